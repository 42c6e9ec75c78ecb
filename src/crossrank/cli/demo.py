"""``crossrank demo``: what reranking gains, on a collection that comes with the package."""


def demo() -> None:
    """Show what reranking gains on real search results.

    \b
    Example:
      crossrank demo
    """
    from crossrank.demo import run_demo

    run_demo()
