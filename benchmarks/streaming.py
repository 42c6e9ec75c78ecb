"""Streams many distinct short pairs through the embedded model, and watches the memory.

python benchmarks/streaming.py --pairs 1000000
"""

import argparse
import json
import random
import time
from collections.abc import Iterator
from typing import Any

from settings import memory_mb, pin

SAMPLES = 100


def measure(pairs: int) -> dict[str, Any]:
    """Stream pairs of 8 to 16 tokens, [CLS] and [SEP] included.

    Returns:
        Pairs per second, the peak of resident memory, and its course: ``[pairs, MB]``.
        ``growth_mb`` is the mean of the last tenth less the mean of the second tenth.
    """
    from crossrank import CrossEncoder

    pin()
    every = max(1, pairs // SAMPLES)
    with CrossEncoder() as model:
        vocabulary = model.tokenizer.get_vocab()
        words = sorted(word for word in vocabulary if word.isascii() and word.isalpha())
        course = []
        start = time.perf_counter()
        for count, _ in enumerate(model.stream(_distinct_pairs(words, pairs)), start=1):
            if count % every == 0:
                course.append((count, memory_mb("VmRSS")))
        seconds = time.perf_counter() - start
    memory = [value for _, value in course]
    tenth = max(1, len(memory) // 10)
    late, early = memory[-tenth:], memory[tenth : 2 * tenth] or memory
    return {
        "pairs": pairs,
        "pairs_per_s": pairs / seconds,
        "seconds": seconds,
        "peak_mb": memory_mb("VmHWM"),
        "growth_mb": sum(late) / len(late) - sum(early) / len(early),
        "course": course,
    }


def _distinct_pairs(words: list[str], count: int) -> Iterator[tuple[str, str]]:
    """Make pairs of 5 to 13 words; each word is one token, and the first two number the pair."""
    generator = random.Random(0)
    for number in range(count):
        name = words[number % len(words)], words[number // len(words)]
        more = generator.choices(words, k=generator.randint(3, 11))
        split = generator.randint(0, 2)
        yield " ".join([*name, *more[:split]]), " ".join(more[split:])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=1_000_000)
    print(json.dumps(measure(parser.parse_args().pairs), indent=2))
