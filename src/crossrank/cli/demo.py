"""``crossrank demo``: what reranking gains, on a collection that comes with the package."""


def demo() -> None:
    """Rerank real search results with the embedded model, and show what that gained.

    \b
    Example:
      crossrank demo
    """
    from crossrank.demo import run_demo

    run_demo()
