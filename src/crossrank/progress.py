"""The progress bar of long work."""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SECONDS_BEFORE_SHOWING = 2.0


def on_terminal() -> bool:
    """Say whether somebody looks at stderr, which some programs do not have at all."""
    return sys.stderr is not None and sys.stderr.isatty()


@contextmanager
def progress_bar(
    total: int | None, *, show: bool | None, unit: str = "pair"
) -> Iterator[Callable[[int], object]]:
    """Show a bar on stderr while work is going on.

    Args:
        total: How much there is to do, when known.
        show: ``True`` or ``False``; ``None`` shows it when stderr is a terminal and the work
            takes more than two seconds.
        unit: What is counted.

    Yields:
        A function to call, from any thread, with how much has been done since the last call.
    """
    if show is False or (show is None and not on_terminal()):
        yield lambda _: None
        return
    from tqdm.auto import tqdm

    delay = SECONDS_BEFORE_SHOWING if show is None else 0
    lock = threading.Lock()
    with tqdm(total=total, unit=unit, unit_scale=True, delay=delay, desc="Scoring") as bar:

        def advance(done: int) -> None:
            with lock:
                bar.update(done)

        yield advance
