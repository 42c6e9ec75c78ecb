"""crossrank and its peers, side by side.

Makes the peers' environments and the model when they are missing, prints a table of goals and
measurements, and writes ``results/latest.json`` with pictures beside it: ``speed.svg``,
``scaling.svg`` and ``memory.svg``. A whole run puts its tables into ``RESULTS.md``, too.

    python benchmarks/run.py                        everything, about an hour
    python benchmarks/run.py --only speed           one part
    python benchmarks/run.py --only speed --contenders crossrank FlashRank --rounds 3
    python benchmarks/run.py --only scaling         the curves, about 20 minutes
    python benchmarks/run.py --only scaling --smoke --rounds 1 --output /tmp/try/latest.json
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from goals import absences, goal_rows, scaling_rows, speed_rows
from page import aligned, rewrite
from settings import BUILD, CORES, HERE, INFINITY, MAIN, PAIRS, PEERS, RESULTS, ROOT

PARTS = ("speed", "scaling", "startup", "streaming")
CALM_LOAD = 1.0
LATEST = RESULTS / "latest.json"


def main() -> None:
    options = _options()
    parts = [options.only] if options.only else PARTS
    results: dict[str, Any] = {"machine": machine(options)}
    if {"speed", "scaling"} & set(parts):
        make_peers()
        missing = make_infinity()
        subprocess.run([MAIN, HERE / "model.py"], check=True)
    if "speed" in parts:
        import speed

        found = speed.measure(
            options.pairs, options.rounds or 5, options.contenders, missing=missing
        )
        print(aligned(speed_rows(found["rows"])), absences(found["failed"]), sep="\n")
        results["speed"] = found
    if "scaling" in parts:
        import scaling

        sizes = scaling.SMOKE if options.smoke else scaling.Sizes()
        found = scaling.measure(options.rounds or 3, sizes, missing=missing)
        print(aligned(scaling_rows(found["panels"])), absences(found["failed"]), sep="\n")
        results["scaling"] = found
    # A process each: what one part leaves in memory must not count for the next.
    if "startup" in parts:
        results["startup"] = _script("startup.py")
    if "streaming" in parts:
        results["streaming"] = _script("streaming.py", "--pairs", str(options.stream_pairs))
    print(aligned(goal_rows(results)))
    _write(results, options.output)
    part_of_it = options.only or options.contenders or options.smoke
    if options.output == LATEST and not part_of_it:
        rewrite(HERE / "RESULTS.md", results)


def make_peers() -> None:
    """Install the other libraries, in an environment of their own."""
    done = PEERS.parent.parent / ".complete"
    if done.exists():
        return
    subprocess.run([sys.executable, "-m", "venv", PEERS.parent.parent], check=True)
    pip = [PEERS, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "-r", HERE / "peers.txt"], check=True)
    # optimum-intel asks for it; built for CUDA, it cannot be loaded beside a CPU torch.
    subprocess.run([*pip, "uninstall", "--yes", "torchvision"], check=True)
    done.touch()


def make_infinity() -> dict[Path, str]:
    """Install infinity as ``make load`` does; where that fails, say why."""
    target = f"{INFINITY.parent.parent.name}/.built"
    made = subprocess.run(["make", "-C", ROOT, target], capture_output=True, text=True)
    if made.returncode == 0:
        return {}
    said = [line for line in made.stderr.splitlines() if not line.startswith("make")]
    return {INFINITY: f"it cannot be installed: {said[-1] if said else made.stderr.strip()}"}


def machine(options: argparse.Namespace) -> dict[str, Any]:
    """Say where and when this was measured, and on how calm a machine."""
    load = os.getloadavg()[0]
    if load > CALM_LOAD:
        print(f"Warning: the load is {load:.1f}; other work disturbs timings.", file=sys.stderr)
    cpu = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    fields = dict(line.split(":", 1) for line in cpu.splitlines() if ":" in line)
    fields = {key.strip(): value.strip() for key, value in fields.items()}
    kinds = ("avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")
    commit = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
    return {
        "date": time.strftime("%Y-%m-%d %H:%M"),
        "commit": subprocess.run(commit, capture_output=True, text=True).stdout.strip(),
        "cpu": fields.get("model name", platform.processor()),
        "cpu_features": [kind for kind in kinds if kind in fields.get("flags", "").split()],
        "cores": CORES,
        "load_before": load,
        "pairs": options.pairs,
        "rounds": options.rounds,
        "versions": {
            name: version(name)
            for name in ("torch", "transformers", "sentence-transformers", "openvino")
        },
        "peers": [
            line
            for line in (HERE / "peers.txt").read_text(encoding="utf-8").splitlines()
            if not line.startswith("#")
        ],
    }


def _script(name: str, *arguments: str) -> Any:
    print(f"running {name}", file=sys.stderr)
    command = [MAIN, HERE / name, *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def _write(results: dict[str, Any], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    make_peers()  # the pictures are drawn there
    subprocess.run([PEERS, HERE / "plot.py", path], check=True)
    print(f"written: {path} and the pictures beside it", file=sys.stderr)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure crossrank and its peers side by side.")
    parser.add_argument("--only", choices=PARTS, help="one part instead of all")
    parser.add_argument("--contenders", nargs="*", default=[], help="words of their titles")
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--rounds", type=int, help="5, and 3 for the curves, if not given")
    parser.add_argument("--smoke", action="store_true", help="curves of a few pairs, for a try")
    parser.add_argument("--stream-pairs", type=int, default=1_000_000)
    parser.add_argument("--output", type=Path, default=LATEST)
    options = parser.parse_args()
    BUILD.mkdir(parents=True, exist_ok=True)
    return options


if __name__ == "__main__":
    main()
