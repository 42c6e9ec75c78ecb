"""Contenders in processes of their own, which take turns.

They are pinned to the same cores and score in turns (A B C A B C ...), so that a machine that slows
down for a while slows all of them; the others sleep meanwhile.
"""

import functools
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from contenders import Contender
from data import Pair
from settings import BUILD, CORES, HERE, ROOT, pin

SETTLE_S = 0.3
"""Engines spin a while after their work before their threads sleep."""


class WorkerFailedError(Exception):
    """A contender could not load the model or score the pairs."""


class Worker:
    """A contender's process.

    Args:
        contender: Who.
        pairs: A file with named lists of pairs.
        cores: How many it may use.

    Attributes:
        title: The contender's.
        load_s: Seconds from the first line of its script to a loaded model.
    """

    load_s: float

    def __init__(self, contender: Contender, pairs: Path, cores: int = CORES) -> None:
        self.title = contender.title
        self._log = BUILD / "logs" / f"{self.title.replace(' ', '-')}.txt"
        self._log.parent.mkdir(parents=True, exist_ok=True)
        environment = {"CROSSRANK_CACHE": str(BUILD / "cache"), "HF_HUB_OFFLINE": "1"}
        with self._log.open("w") as errors:
            self._process = subprocess.Popen(
                [contender.python, HERE / "worker.py", self.title, pairs],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                preexec_fn=functools.partial(pin, cores),  # this process has no other threads
                env=os.environ | environment | {"DO_NOT_TRACK": "1"},
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.kill()
        self._process.wait()

    def load(self) -> None:
        """Wait until the model is loaded."""
        self.load_s = self._read()["load_s"]

    def score(self, name: str) -> dict[str, Any]:
        """Score a list of pairs: ``seconds``, ``logits`` and ``peak_mb``."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{name}\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            told = self._log.read_text(encoding="utf-8", errors="replace").split("\n")
            last = next(
                (line.strip() for line in reversed(told) if line.strip()), "it said nothing"
            )
            raise WorkerFailedError(f"{last} ({self._log.relative_to(ROOT)})")
        answer: dict[str, Any] = json.loads(line)
        return answer


def start(
    stack: ExitStack,
    contenders: Sequence[Contender],
    lists: Mapping[str, Sequence[Pair]],
    *,
    missing: Mapping[Path, str],
    warm_up: Iterable[str],
    cores: int = CORES,
) -> tuple[list[Worker], dict[str, str]]:
    """Load contenders, and let them see all shapes once.

    Args:
        stack: Ends their processes.
        contenders: Whom.
        lists: What they are to score, by name.
        missing: Why a Python, and with it an environment, is not there.
        warm_up: Names of the lists that are scored beforehand.
        cores: How many each may use.

    Returns:
        Those who can, and why the others cannot.
    """
    file = BUILD / "pairs.json"
    file.write_text(json.dumps(lists), encoding="utf-8")
    workers, failed = [], {}
    for contender in contenders:
        say(f"loading {contender.title}")
        try:
            if contender.python in missing:
                raise WorkerFailedError(missing[contender.python])
            worker = stack.enter_context(Worker(contender, file, cores))
            worker.load()
            for name in warm_up:
                worker.score(name)
        except WorkerFailedError as error:
            say(f"{contender.title} failed: {error}")
            failed[contender.title] = str(error)
        else:
            workers.append(worker)
    return workers, failed


def score_in_turn(workers: Sequence[Worker], name: str) -> dict[str, dict[str, Any]]:
    """Let each worker score a list of pairs: the answer of each, by its title."""
    answers = {}
    for worker in workers:
        time.sleep(SETTLE_S)
        answers[worker.title] = worker.score(name)
        seconds = answers[worker.title]["seconds"]
        say(f"{name}: {worker.title}: {len(answers[worker.title]['logits']) / seconds:.0f} pairs/s")
    return answers


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
