"""The longest sequence that a model reads."""

import operator
import warnings
from typing import Any

from crossrank.errors import InputError, describe

_COUNT_FROM_PADDING = {
    "camembert",
    "data2vec-text",
    "ibert",
    "longformer",
    "luke",
    "mpnet",
    "roberta",
    "roberta-prelayernorm",
    "xlm-roberta",
    "xlm-roberta-xl",
    "xmod",
}
"""Model types that number positions from the padding id on: the first ones are never used."""

_LEARNED_POSITIONS = _COUNT_FROM_PADDING | {
    "albert",
    "bert",
    "distilbert",
    "electra",
    "ernie",
    "prettr",
}
"""Model types with a table of positions: nothing past its end can be read."""

_DEFAULT = 512


def read_max_length(
    config: dict[str, Any],
    settings: dict[str, Any],
    transformer: dict[str, Any],
    processor: dict[str, Any],
) -> int:
    """Find the longest sequence in tokens, special tokens included.

    As in sentence-transformers, a length that the caller gives (``processor``) or that was saved
    with the model (``transformer``) stands; otherwise it is the tokenizer's, but no more than
    ``max_position_embeddings``. Unlike there, a learned table of positions limits them all, so a
    long text is cut and does not crash the model; a caller who asked for more is warned.

    Args:
        config: ``config.json``.
        settings: ``tokenizer_config.json``.
        transformer: ``sentence_bert_config.json`` of modular models, else empty.
        processor: The caller's ``processor_kwargs``.

    Raises:
        InputError: The caller's length is no integer, or below 1.

    Example:
        >>> roberta = {"model_type": "roberta", "max_position_embeddings": 514, "pad_token_id": 1}
        >>> read_max_length(roberta, {"model_max_length": 10**30}, {}, {})
        512
    """
    asked = processor.get("model_max_length")
    if asked is not None:
        return within_positions(asked, config)
    length = transformer.get("max_seq_length")
    if length is None:
        positions = _positions(config)
        read = settings.get("model_max_length")
        length = int(read) if read and read < 10**9 else positions or _DEFAULT
        if positions is not None:
            length = min(length, positions)
    table = _usable_positions(config)
    return int(length) if table is None else min(int(length), table)


def within_positions(asked: int, config: dict[str, Any]) -> int:
    """Cut a length that a caller asks for to what the model has positions for, with a warning.

    Args:
        asked: Tokens, special tokens included.
        config: ``config.json``.

    Raises:
        InputError: It is no integer, or below 1.

    Example:
        >>> within_positions(400, {"model_type": "bert", "max_position_embeddings": 512})
        400
    """
    try:
        asked = operator.index(asked)
    except TypeError as error:
        raise InputError(f"max_length must be an integer, received {describe(asked)}.") from error
    if asked < 1:
        raise InputError(f"max_length must be at least 1, received {asked}.")
    table = _usable_positions(config)
    if table is None or asked <= table:
        return asked
    warnings.warn(
        f"max_length must be at most {table} tokens, for which the model has positions; received "
        f"{asked}; {table} is used. Longer documents can be read in windows: "
        'rank(..., long_documents="max").',
        stacklevel=2,
    )
    return table


def _positions(config: dict[str, Any]) -> int | None:
    positions = config.get("max_position_embeddings") or config.get("n_positions")
    return positions if isinstance(positions, int) and positions > 0 else None


def _usable_positions(config: dict[str, Any]) -> int | None:
    if "text_config" in config:  # a model of several encoders reads what its text encoder reads
        return _usable_positions(config["text_config"])
    kind, positions = config.get("model_type"), _positions(config)
    if positions is None or kind not in _LEARNED_POSITIONS:
        return None
    if kind in _COUNT_FROM_PADDING:
        return positions - 1 - int(config.get("pad_token_id", 1))
    return positions
