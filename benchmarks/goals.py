"""The goals, and the tables that say whether they are met."""

from collections.abc import Iterator
from typing import Any

from contenders import BASELINE

OURS = "crossrank"
BF16_GOAL, INT8_GOAL, FP32_GOAL, PEER_GOAL = 2.3, 4.5, 1.2, 1.1
IMPORT_S, RANK_S, MEMORY_MB, GROWTH_MB = 0.15, 1.5, 600, 30


def speed_table(speed: dict[str, Any]) -> str:
    """Lay out what was measured of each contender."""
    rows = [("", "pairs/s", "min-max", "ratio", "min-max", "tau", "diff", "load s", "MB")]
    for title, row in speed.items():
        rows.append(
            (
                title,
                f"{row['pairs_per_s']:.0f}",
                "{:.0f}-{:.0f}".format(*row["pairs_per_s_min_max"]),
                f"{row['ratio']:.2f}",
                "{:.2f}-{:.2f}".format(*row["ratio_min_max"]),
                f"{row['kendall_tau']:.3f}",
                f"{row['max_difference']:.1e}",
                f"{row['load_s']:.1f}",
                f"{row['peak_mb']:.0f}",
            )
        )
    return _aligned(rows)


def verdicts(results: dict[str, Any]) -> str:
    """Lay out every goal that was measured."""
    return _aligned([("goal", "wanted", "measured", ""), *_rows(results)])


def _rows(results: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    speed = results.get("speed", {}).get("rows", {})
    failed = results.get("speed", {}).get("failed", {})
    for name, goal in (("int8", INT8_GOAL), ("fp32", FP32_GOAL), ("bf16", BF16_GOAL)):
        title = f"{OURS} {name}"
        if title in speed:
            yield _row(f"{title} / {BASELINE}", ">=", goal, speed[title]["ratio"], "x")
        elif title in failed:
            yield f"{title} / {BASELINE}", f">= {goal:g}x", "failed", _mark(met=False)
    peer = best_peer(speed)
    if peer and f"{OURS} int8" in speed:
        ratio = speed[f"{OURS} int8"]["pairs_per_s"] / speed[peer]["pairs_per_s"]
        yield _row(f"{OURS} int8 / best peer ({peer})", ">=", PEER_GOAL, ratio, "x")
    if startup := results.get("startup"):
        yield _row("import crossrank", "<", IMPORT_S, startup["import_crossrank_s"], " s")
        yield _row("crossrank rank, 100 documents", "<", RANK_S, startup["rank_s"], " s")
        modules = startup["heavy_modules_after_rank"]
        yield "torch, transformers imported", "none", modules, _mark(met=modules == "[]")
    if stream := results.get("streaming"):
        title = f"peak memory of {stream['pairs']:,} streamed pairs"
        yield _row(title, "<", MEMORY_MB, stream["peak_mb"], " MB")
        yield _row("memory growth, start to end", "<", GROWTH_MB, stream["growth_mb"], " MB")


def best_peer(speed: dict[str, Any]) -> str | None:
    """Name the fastest of the others, however well it scores."""
    rivals = [title for title in speed if not title.startswith(OURS)]
    return max(rivals, key=lambda title: speed[title]["pairs_per_s"], default=None)


def _row(title: str, relation: str, goal: float, value: float, unit: str) -> tuple[str, ...]:
    met = value >= goal if relation == ">=" else value < goal
    return title, f"{relation} {goal:g}{unit}", f"{value:.3g}{unit}", _mark(met=met)


def _mark(*, met: bool) -> str:
    return "met" if met else "MISSED"


def _aligned(rows: list[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *others in rows:
        cells = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        lines.append("  ".join([first.ljust(widths[0]), *cells]).rstrip())
    return "\n".join(["", *lines, ""])
