"""The goals, and the rows of the tables that say whether they are met."""

from collections.abc import Iterator
from typing import Any

from contenders import BASELINE
from ratios import compare

Rows = list[tuple[str, ...]]

OURS = "crossrank"
BF16_GOAL, INT8_GOAL, FP32_GOAL, PEER_GOAL = 2.3, 4.5, 1.2, 1.1
IMPORT_S, RANK_S, MEMORY_MB, GROWTH_MB = 0.15, 1.5, 600, 30


def speed_rows(speed: dict[str, Any]) -> Rows:
    """List what was measured of each contender."""
    rows = [("", "pairs/s", "min-max", "ratio", "95 %", "tau", "diff", "load s", "MB")]
    for title, row in speed.items():
        rows.append(
            (
                title,
                f"{row['pairs_per_s']:.0f}",
                "{:.0f}-{:.0f}".format(*row["pairs_per_s_min_max"]),
                f"{row['ratio']:.2f}",
                "{:.2f}-{:.2f}".format(*row["ratio_95"]),
                f"{row['kendall_tau']:.3f}",
                f"{row['max_difference']:.1e}",
                f"{row['load_s']:.1f}",
                f"{row['peak_mb']:.0f}",
            )
        )
    return rows


def scaling_rows(panels: dict[str, Any]) -> Rows:
    """List how much faster ours are than their rivals, at each point of the curves."""
    rows = [("", "", "pairs/s", "rival", "pairs/s", "ratio", "95 %")]
    for panel, values in panels.items():
        for value, found in values.items():
            for title, row in found.items():
                if "rival" in row:
                    rows.append(
                        (
                            f"{value} {panel}",
                            title,
                            f"{row['pairs_per_s']:.0f}",
                            row["rival"],
                            f"{found[row['rival']]['pairs_per_s']:.0f}",
                            f"{row['ratio']:.2f}",
                            "{:.2f}-{:.2f}".format(*row["ratio_95"]),
                        )
                    )
    return rows


def absences(failed: dict[str, str]) -> str:
    """Say why a contender is missing."""
    return "".join(f"not measured: {title}: {reason}\n" for title, reason in failed.items())


def goal_rows(results: dict[str, Any]) -> Rows:
    """List every goal that was measured."""
    return [("goal", "wanted", "measured", ""), *_goals(results)]


def _goals(results: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    speed = results.get("speed", {}).get("rows", {})
    failed = results.get("speed", {}).get("failed", {})
    for name, goal in (("int8", INT8_GOAL), ("fp32", FP32_GOAL), ("bf16", BF16_GOAL)):
        title = f"{OURS} {name}"
        if title in speed:
            yield _ratio_row(f"{title} / {BASELINE}", goal, speed[title])
        elif title in failed:
            yield f"{title} / {BASELINE}", f">= {goal:g}x", "failed", _mark(met=False)
    peer = best_peer(speed)
    if peer and f"{OURS} int8" in speed:
        ratio = compare(speed[peer]["seconds"], speed[f"{OURS} int8"]["seconds"])
        yield _ratio_row(f"{OURS} int8 / best peer ({peer})", PEER_GOAL, ratio)
    if startup := results.get("startup"):
        yield _row("import crossrank", IMPORT_S, startup["import_crossrank_s"], " s")
        yield _row("crossrank rank, 100 documents", RANK_S, startup["rank_s"], " s")
        modules = startup["heavy_modules_after_rank"]
        yield "torch, transformers imported", "none", modules, _mark(met=modules == "[]")
    if stream := results.get("streaming"):
        title = f"peak memory of {stream['pairs']:,} streamed pairs"
        yield _row(title, MEMORY_MB, stream["peak_mb"], " MB")
        yield _row("memory growth, start to end", GROWTH_MB, stream["growth_mb"], " MB")


def best_peer(speed: dict[str, Any]) -> str | None:
    """Name the fastest of the others, however well it scores."""
    rivals = [title for title in speed if not title.startswith(OURS)]
    return max(rivals, key=lambda title: speed[title]["pairs_per_s"], default=None)


def _ratio_row(title: str, goal: float, found: dict[str, Any]) -> tuple[str, ...]:
    low, high = found["ratio_95"]
    measured = f"{found['ratio']:.3g}x ({low:.3g}-{high:.3g})"
    return title, f">= {goal:g}x", measured, _mark(met=found["ratio"] >= goal)


def _row(title: str, goal: float, value: float, unit: str) -> tuple[str, ...]:
    return title, f"< {goal:g}{unit}", f"{value:.3g}{unit}", _mark(met=value < goal)


def _mark(*, met: bool) -> str:
    return "met" if met else "MISSED"
