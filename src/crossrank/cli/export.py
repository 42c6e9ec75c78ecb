"""``crossrank export``: a smaller, faster copy of a model."""


def export() -> None:
    """Export and quantise a model.

    \b
    Example:
      crossrank export cross-encoder/my-model my-model-int8 --precision int8
    """
