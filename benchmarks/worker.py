"""One contender in a process of its own: loads, then scores whenever it is told to.

Started by ``turns.py``. Every line on standard input names a list of pairs to score; every line on
standard output is an answer as JSON.

    python worker.py TITLE PAIRS.json
"""

import json
import os
import sys
import time
from pathlib import Path

STARTED = time.perf_counter()

from contenders import CONTENDERS  # noqa: E402  # the clock starts before anything is imported
from settings import memory_mb  # noqa: E402


def main() -> None:
    title, path = sys.argv[1:]
    # Libraries print; only our answers may go to the parent.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    lists = {
        name: [(query, document) for query, document in pairs]
        for name, pairs in json.loads(Path(path).read_bytes()).items()
    }
    (contender,) = (each for each in CONTENDERS if each.title == title)

    def answer(**values: object) -> None:
        print(json.dumps(values), file=answers, flush=True)

    predict = contender.load()
    answer(load_s=time.perf_counter() - STARTED)
    for order in sys.stdin:
        pairs = lists[order.strip()]
        start = time.perf_counter()
        logits = predict(pairs)
        seconds = time.perf_counter() - start
        answer(seconds=seconds, peak_mb=memory_mb("VmHWM"), logits=[*map(float, logits)])


if __name__ == "__main__":
    main()
