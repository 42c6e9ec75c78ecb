"""One call for each worker, on threads."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Worker = TypeVar("Worker")


def run_workers(
    work: Callable[[Worker], None], workers: Sequence[Worker], stop: threading.Event
) -> None:
    """Run one worker on this thread when one is enough, else each on a thread of its own.

    Args:
        work: What a worker does, until ``stop`` is set.
        workers: One at least.
        stop: Set when a worker failed.
    """
    if len(workers) == 1:
        work(workers[0])
        return
    with ThreadPoolExecutor(len(workers), thread_name_prefix="crossrank-forward") as threads:
        futures = [threads.submit(work, worker) for worker in workers]
        try:
            for future in futures:
                future.result()
        finally:
            # After an error or Ctrl-C the other threads finish their batch and take no more.
            stop.set()
