"""One contender in a process of its own: loads, warms up, then scores whenever it is told to.

Started by ``speed.py``. Every line on standard input is an order to score the pairs; every line on
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
    pairs = [(query, document) for query, document in json.loads(Path(path).read_bytes())]
    (contender,) = (each for each in CONTENDERS if each.title == title)

    def answer(**values: object) -> None:
        print(json.dumps(values), file=answers, flush=True)

    predict = contender.load()
    load_s = time.perf_counter() - STARTED
    logits = [float(value) for value in predict(pairs)]  # all shapes have been seen after this
    answer(load_s=load_s, logits=logits)
    for _ in sys.stdin:
        start = time.perf_counter()
        predict(pairs)
        seconds = time.perf_counter() - start
        answer(seconds=seconds, peak_mb=memory_mb("VmHWM"))


if __name__ == "__main__":
    main()
