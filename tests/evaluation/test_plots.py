"""Pictures: the same for the same figures, in the page's colours, one shape a series."""

import re
import xml.etree.ElementTree as ET

import pytest

from crossrank.evaluation.depth import DepthSweep, sweep_depths
from crossrank.evaluation.depth_report import depth_figures
from crossrank.evaluation.plots import (
    COLOURS,
    INK,
    depth_plot,
    differences_plot,
    drawing,
    time_plot,
)
from crossrank.types import Qrels, Run

matplotlib = pytest.importorskip("matplotlib", reason="needs the extra evaluation")
pytest.importorskip("ir_measures", reason="needs the extra evaluation")


@pytest.fixture(scope="module")
def sweep() -> DepthSweep:
    first: Run = {f"q{n}": {f"d{place}": -float(place) for place in range(20)} for n in range(8)}
    qrels: Qrels = {f"q{n}": {f"d{2 * n}": 1} for n in range(8)}
    logits: Run = {q: {d: float(d in qrels[q]) for d in found} for q, found in first.items()}
    seconds = {5: 0.125, 10: 0.25, 20: 0.5}
    return sweep_depths(first, logits, qrels, "RR", [5, 10, 20], seconds=seconds)


def texts(svg: str) -> list[str]:
    return ["".join(e.itertext()) for e in ET.fromstring(svg).findall(".//{*}text")]


def test_a_curve_for_each_way_to_rank(sweep: DepthSweep) -> None:
    found = texts(depth_plot(sweep))
    for name in ("reranker alone", "interpolated", "reciprocal ranks", "first stage alone"):
        assert name in found
    assert {"5", "10", "20", "candidates reranked", "RR", "recommended"} <= set(found)


def test_time_in_milliseconds(sweep: DepthSweep) -> None:
    assert {"125", "250", "500", "milliseconds a query"} <= set(texts(time_plot(sweep)))


def test_the_same_figures_give_the_same_picture(sweep: DepthSweep) -> None:
    assert depth_plot(sweep) == depth_plot(sweep)
    assert "<metadata" not in depth_plot(sweep)


def test_settings_of_the_user_stay_and_change_nothing(sweep: DepthSweep) -> None:
    picture = depth_plot(sweep)
    mine = {"axes.facecolor": "red", "svg.hashsalt": "mine", "font.size": 20}
    with matplotlib.rc_context(mine):
        assert depth_plot(sweep) == picture
        assert {name: matplotlib.rcParams[name] for name in mine} == mine


def test_colours_of_the_page(sweep: DepthSweep) -> None:
    picture = depth_plot(sweep)
    assert INK not in picture
    assert "currentColor" in picture
    assert not re.search(r"#(000000|ffffff)|: (black|white)", picture)


def test_colours_can_be_seen_on_both_grounds() -> None:
    def light(colour: str) -> float:
        parts = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
        red, green, blue = (
            p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts
        )
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    for colour in COLOURS:
        assert 1.05 / (light(colour) + 0.05) >= 3
        assert (light(colour) + 0.05) / (light("#14171c") + 0.05) >= 3


def test_ids_of_two_pictures_are_apart(sweep: DepthSweep) -> None:
    pictures = [depth_plot(sweep), time_plot(sweep), differences_plot([0.1, -0.2], "RR")]
    ids = [name for picture in pictures for name in re.findall(r'\bid="([^"]+)"', picture)]
    assert ids
    assert len(ids) == len(set(ids))
    for picture in pictures:
        used = re.findall(r'(?:xlink:href="|url\()#([^")]+)', picture)
        assert used
        assert set(used) <= set(re.findall(r'\bid="([^"]+)"', picture))


def test_a_dollar_sign_and_markup_are_text() -> None:
    with drawing("text") as picture:
        picture.axes.set_title("from $5 to $10 <script>")
    assert "from $5 to $10 <script>" in texts(picture.svg)


def test_differences_are_two_shapes_whatever_their_number() -> None:
    small, large = (differences_plot([0.5, -0.25] * n, "nDCG@10") for n in (1, 2000))
    assert {"change of nDCG@10", "queries, most gained first"} <= set(texts(small))
    for colour in COLOURS[:2]:
        assert large.count(f"fill: {colour}") == small.count(f"fill: {colour}") == 1
    # Half of the width is 0.5 high and the other half 0.25 deep.
    top, bottom = (_box(small, colour) for colour in COLOURS[:2])
    assert top[1] == pytest.approx(2 * bottom[1], rel=0.01)
    assert top[0] == pytest.approx(bottom[0], rel=0.01)


def _box(svg: str, colour: str) -> tuple[float, float]:
    """Width and height of the shape of a colour, where it is not flat."""
    use = re.search(rf'xlink:href="#(\w+)"[^>]*fill: {colour}', svg)
    assert use
    path = re.search(rf'<path id="{use[1]}" d="([^"]*)"', svg)
    assert path
    points = [tuple(map(float, p)) for p in re.findall(r"[ML] (\S+) (\S+)", path[1])]
    heights = [y for _, y in points]
    flat = max(set(heights), key=heights.count)
    wide = [x for x, y in points if y != flat]
    return max(wide) - min(wide), max(heights) - min(heights)


def test_captions_say_what_curves_show(sweep: DepthSweep) -> None:
    depth, time = depth_figures(sweep)
    alone = sweep.curves[0].points[0].mean.mean
    assert f"the reranker alone has {alone:.3f} at 5" in depth.caption
    assert time.caption.endswith("125 ms at 5, 250 ms at 10, 500 ms at 20.")
