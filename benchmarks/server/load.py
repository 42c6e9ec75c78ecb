"""Loads the server on loopback, beside infinity with the same weights.

    make load

* closed loop: 1 to 64 clients, 1 to 200 documents a request;
* open loop: requests at random times, at half and at 80 % of what the closed loop reached;
* fairness: requests of 10 documents alone, and beside requests of 1,000;
* overhead: documents a second over HTTP against the bare engine on the same pairs;
* overload: three times the capacity for two minutes;
* a worker killed with -9 while requests come.

The model is that of ``benchmarks/model.py``; crossrank serves its int8 file and, to compare like
with like, fp32, too. Client and server share the machine's two cores.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from clients import Clients, Seen
from data import first_stage_pairs
from model import build
from servers import Server, crossrank, infinity
from settings import INT8, MODEL, RESULTS, pin

from crossrank import CrossEncoder

QUICK = 6.0
"""Seconds of most measurements."""


def main() -> None:
    """Run what is asked for, and keep the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--overload-seconds", type=float, default=120)
    chosen = parser.parse_args()
    pin()
    build((MODEL, INT8))
    file = RESULTS / "server.json"
    results = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    pairs = first_stage_pairs("dl19", 1000)
    for part in chosen.only:
        results[part] = asyncio.run(PARTS[part](pairs, chosen))
        print(part, json.dumps(results[part], indent=1), flush=True)
        file.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


async def closed(pairs: list[tuple[str, str]], _: Any) -> Any:
    """Alternate the servers, so that a busy machine hits them alike."""
    grid = [(1, 1), (1, 20), (1, 200), (4, 20), (16, 20), (64, 20), (16, 1), (16, 200)]
    found: dict[str, Any] = {}
    with (
        crossrank(INT8, "--precision", "int8", name="crossrank int8") as int8,
        crossrank(MODEL, "--precision", "fp32", name="crossrank fp32") as fp32,
        infinity(MODEL) as peer,
    ):
        for clients, size in grid:
            key = f"{clients} clients x {size} documents"
            rounds: dict[str, list[dict[str, Any]]] = {}
            for _round in range(3 if (clients, size) == (16, 20) else 1):
                for server in (int8, fp32, peer):
                    seen = await load(server, pairs, clients, size)
                    rounds.setdefault(server.name, []).append(seen.figures())
            found[key] = {name: _median(figures) for name, figures in rounds.items()}
            print(key, found[key], flush=True)
        found["memory_mb"] = {s.name: round(s.memory_mb()) for s in (int8, fp32, peer)}
    return found


async def load(
    server: Server, pairs: list[tuple[str, str]], clients: int, size: int, seconds: float = QUICK
) -> Seen:
    """Warm up for a second, then measure a closed loop."""
    async with Clients(server, pairs[0][0], [document for _, document in pairs]) as made:
        await made.closed_loop(clients, size, 1.0)
        return await made.closed_loop(clients, size, seconds)


def _median(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    return {name: float(np.median([figures[name] for figures in rounds])) for name in rounds[0]}


async def opened(pairs: list[tuple[str, str]], _: Any) -> Any:
    """Send at random times."""
    found = {}
    with crossrank(INT8, "--precision", "int8", name="crossrank int8") as server:
        capacity = (await load(server, pairs, 16, 20)).figures()["documents_per_s"] / 20
        for share in (0.5, 0.8):
            async with Clients(server, pairs[0][0], [text for _, text in pairs]) as clients:
                seen = await clients.open_loop(share * capacity, 20, 4 * QUICK)
            found[f"{share:.0%} of capacity"] = seen.figures()
    return found


async def fairness(pairs: list[tuple[str, str]], _: Any) -> Any:
    """Time small requests alone and beside large ones."""
    texts = [text for _, text in pairs]
    with crossrank(INT8, "--precision", "int8", name="crossrank int8") as server:
        async with Clients(server, pairs[0][0], texts) as small:
            await small.closed_loop(1, 10, 1.0)
            alone = await small.closed_loop(1, 10, 2 * QUICK)
            async with Clients(server, pairs[0][0], texts) as large:
                crowd = asyncio.create_task(large.closed_loop(2, 1000, 4 * QUICK))
                await asyncio.sleep(1)
                beside = await small.closed_loop(1, 10, 2 * QUICK)
                await crowd
    ratio = float(np.quantile(beside.seconds, 0.99) / np.quantile(alone.seconds, 0.99))
    return {"alone": alone.figures(), "beside": beside.figures(), "p99_ratio": round(ratio, 2)}


async def overhead(pairs: list[tuple[str, str]], _: Any) -> Any:
    """Alternate the bare engine and the server on the same thousand pairs."""
    texts = [text for _, text in pairs]
    same = [(pairs[0][0], text) for text in texts]
    model = CrossEncoder(INT8, precision="int8")
    bare, served = [], []
    with crossrank(INT8, "--precision", "int8", name="crossrank int8") as server:
        async with Clients(server, pairs[0][0], texts) as clients:
            for _round in range(6):
                start = time.perf_counter()
                model.predict(same)
                bare.append(len(same) / (time.perf_counter() - start))
                seen = Seen()
                start = time.perf_counter()
                await asyncio.gather(*(clients.send(clients.take(50), seen) for _ in range(20)))
                served.append(len(same) / (time.perf_counter() - start))
    ratio = float(np.median([s / b for s, b in zip(served[1:], bare[1:], strict=True)]))
    return {
        "bare_documents_per_s": round(float(np.median(bare[1:])), 1),
        "served_documents_per_s": round(float(np.median(served[1:])), 1),
        "ratio": round(ratio, 3),
    }


async def overload(pairs: list[tuple[str, str]], chosen: Any) -> Any:
    """Send three times what the server can do, and check every answer."""
    texts = [text for _, text in pairs]
    model = CrossEncoder(INT8, precision="int8")
    right = dict(zip(texts, model.predict([(pairs[0][0], t) for t in texts]).tolist(), strict=True))
    wrong = []

    def check(documents: list[str], answer: Any) -> None:
        found = {entry["index"]: entry["relevance_score"] for entry in answer["results"]}
        expected = {n: right[document] for n, document in enumerate(documents)}
        if found.keys() != expected.keys() or any(
            abs(found[n] - score) > 1e-3 for n, score in expected.items()
        ):
            wrong.append(documents)

    with crossrank(
        INT8,
        *("--precision", "int8", "--max-queue", "2000"),
        name="crossrank int8",
    ) as server:
        capacity = (await load(server, pairs, 16, 20)).figures()["documents_per_s"] / 20
        before = server.memory_mb()
        peaks: list[float] = []

        async def watch() -> None:
            while True:
                peaks.append(await asyncio.to_thread(server.memory_mb))
                await asyncio.sleep(1)

        watching = asyncio.create_task(watch())
        async with Clients(server, pairs[0][0], texts) as clients:
            seen = await clients.open_loop(3 * capacity, 20, chosen.overload_seconds, check)
        watching.cancel()
        after = await load(server, pairs, 1, 20)
    return {
        "sent_per_s": round(3 * capacity, 1),
        "answered": seen.figures(),
        "statuses": {str(status): count for status, count in seen.statuses.items()},
        "wrong_answers": len(wrong),
        "memory_mb": {"before": round(before), "peak": round(max(peaks))},
        "afterwards": after.figures(),
    }


async def killed(pairs: list[tuple[str, str]], _: Any) -> Any:
    """Kill one of two workers with -9 while requests come."""
    options = ("--precision", "int8", "--workers", "2")
    with crossrank(INT8, *options, name="crossrank int8") as server:
        workers = set(server.pids()) - {server.process.pid}
        async with Clients(server, pairs[0][0], [text for _, text in pairs]) as clients:
            asking = asyncio.create_task(clients.closed_loop(4, 5, 4 * QUICK))
            await asyncio.sleep(QUICK)
            victim = max(workers, key=_threads)
            os.kill(victim, signal.SIGKILL)
            seen = await asking
        now = set(server.pids())
    return {
        "statuses": {str(status): count for status, count in seen.statuses.items()},
        "victim_gone": victim not in now,
        "processes": {"before": len(workers) + 1, "after": len(now)},
    }


def _threads(pid: int) -> int:
    """Count a process's threads: those that compute have several."""
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


PARTS = {
    "closed": closed,
    "open": opened,
    "fairness": fairness,
    "overhead": overhead,
    "overload": overload,
    "killed": killed,
}

if __name__ == "__main__":
    main()
