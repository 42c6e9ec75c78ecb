"""Draws the results beside their JSON: ``speed.svg``, ``scaling.svg`` and ``memory.svg``.

Runs in the peers' environment, which has matplotlib:

    .venv-peers/bin/python benchmarks/plot.py benchmarks/results/latest.json
"""

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.ticker import LogLocator, NullLocator

OURS, THEIRS, LIMIT = "#1f6f8b", "#b8b8b8", "#c0392b"
CURVES: dict[str, dict[str, Any]] = {
    "crossrank int8": {"color": OURS},
    "crossrank fp32": {"color": OURS, "linestyle": "--"},
    "sentence-transformers OpenVINO int8": {"color": "#808080"},
    "sentence-transformers fp32": {"color": "#808080", "linestyle": "--"},
}
LIMIT_MB = 600


def draw_speed(speed: dict[str, Any], path: Path) -> None:
    """One bar a contender: the median, with the slowest and fastest round."""
    titles = sorted(speed, key=lambda title: speed[title]["pairs_per_s"])
    medians = [speed[title]["pairs_per_s"] for title in titles]
    ranges = [speed[title]["pairs_per_s_min_max"] for title in titles]
    errors = [
        [median - low for median, (low, _) in zip(medians, ranges, strict=True)],
        [high - median for median, (_, high) in zip(medians, ranges, strict=True)],
    ]
    figure, axes = plt.subplots(figsize=(8, 0.36 * len(titles) + 1), layout="constrained")
    colours = [OURS if title.startswith("crossrank") else THEIRS for title in titles]
    axes.barh(titles, medians, xerr=errors, color=colours, ecolor="#404040", capsize=2)
    for row, title in enumerate(titles):
        label = f" {medians[row]:.0f} ({speed[title]['ratio']:.1f}×)"  # noqa: RUF001
        axes.text(ranges[row][1], row, label, va="center", fontsize=9)
    axes.set_xlim(0, 1.2 * max(high for _, high in ranges))
    axes.set_xlabel("pairs per second, 2 cores; in brackets against sentence-transformers fp32")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path)


def draw_scaling(panels: dict[str, Any], path: Path) -> None:
    """A panel for candidates, tokens and cores: medians, with the slowest and fastest round."""
    labels = {
        "candidates": "candidates of a query",
        "tokens": "tokens of a document",
        "cores": "cores",
    }
    figure, every = plt.subplots(1, len(panels), figsize=(12, 4), layout="constrained")
    for axes, (panel, points) in zip(every, panels.items(), strict=True):
        for title, style in CURVES.items():
            found = [(int(value), rows[title]) for value, rows in points.items() if title in rows]
            if found:
                medians = [row["pairs_per_s"] for _, row in found]
                ends = [row["pairs_per_s_min_max"] for _, row in found]
                around = [[m - low for m, (low, _) in zip(medians, ends, strict=True)]]
                around += [[high - m for m, (_, high) in zip(medians, ends, strict=True)]]
                values = [value for value, _ in found]
                axes.errorbar(values, medians, around, label=title, capsize=2, marker="o", **style)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xticks([int(value) for value in points], labels=points, minor=False)
        axes.set_xticks([], minor=True)
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter("{x:,.0f}")
        axes.set_xlabel(labels[panel])
        axes.spines[["top", "right"]].set_visible(False)
    every[0].set_ylabel("pairs per second")
    figure.legend(*every[0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
    figure.savefig(path)


def draw_memory(streaming: dict[str, Any], path: Path) -> None:
    """Resident memory over the pairs streamed so far."""
    figure, axes = plt.subplots(figsize=(8, 3), layout="constrained")
    pairs, memory = zip(*streaming["course"], strict=True)
    axes.plot(pairs, memory, color=OURS)
    axes.axhline(LIMIT_MB, color=LIMIT, linestyle="--", linewidth=1)
    axes.set_ylim(0, 1.1 * max(LIMIT_MB, *memory))
    axes.set_xlabel("pairs streamed")
    axes.set_ylabel("resident memory, MB")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path)


def main() -> None:
    source = Path(sys.argv[1])
    results = json.loads(source.read_text(encoding="utf-8"))
    for part, draw, name in (
        ("speed", draw_speed, "speed.svg"),
        ("scaling", draw_scaling, "scaling.svg"),
        ("streaming", draw_memory, "memory.svg"),
    ):
        if part in results:
            drawn = results[part]
            draw(drawn.get("rows", drawn.get("panels", drawn)), source.with_name(name))


if __name__ == "__main__":
    main()
