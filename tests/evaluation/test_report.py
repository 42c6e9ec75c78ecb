"""Reports as files: all of it is there, text is text, and files are whole."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from crossrank import __version__
from crossrank.evaluation.report import (
    LONG,
    Figure,
    Report,
    Section,
    Table,
    write_html,
    write_json,
)

pytest.importorskip("jinja2", reason="needs the extra evaluation")

EVIL = "<script>alert('&')</script>\"'"
SVG = '<svg viewBox="0 0 2 1"><rect width="2" height="1"/></svg>'


class Elements(HTMLParser):
    """What is on a page: how often each element is there, and the text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.counts: dict[str, int] = {}
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.counts[tag] = self.counts.get(tag, 0) + 1
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def report(*sections: Section) -> Report:
    return Report(f"title {EVIL}", {f"part{n}": section for n, section in enumerate(sections)})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "report.html"


def test_all_text_is_shown_as_text(file: Path) -> None:
    table = Table([f"head {EVIL}", "b"], [[f"cell {EVIL}", f"other {EVIL}"]], f"caption {EVIL}")
    section = Section(f"section {EVIL}", [f"text {EVIL}"], [table], [Figure(SVG, f"shown {EVIL}")])
    write_html(report(section), file)
    page = Elements(file.read_text(encoding="utf-8"))
    assert "script" not in page.counts
    for what in ("title", "section", "text", "head", "cell", "other", "caption", "shown"):
        assert f"{what} {EVIL}" in page.text
    assert page.counts["rect"] == 1
    assert ("aria-label", f"caption {EVIL}") in page.attributes
    assert not any(name.startswith("on") for name, _ in page.attributes)


def test_nothing_is_loaded_from_elsewhere(file: Path) -> None:
    write_html(report(Section("A", figures=[Figure(SVG, "a")]), Section("B")), file)
    page = Elements(file.read_text(encoding="utf-8"))
    policy = next(value for name, value in page.attributes if name == "content" and value)
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline';")
    assert not page.counts.keys() & {"link", "img", "iframe", "object", "embed", "base", "form"}
    loaded = [v for name, v in page.attributes if name in ("src", "href", "xlink:href")]
    assert loaded == ["#part0", "#part1"]
    assert "url(" not in file.read_text(encoding="utf-8")


def test_long_tables_are_folded(file: Path) -> None:
    short, long = (Table(["a"], [[str(n)] for n in range(count)], "") for count in (LONG, LONG + 1))
    write_html(report(Section("A", tables=[short])), file)
    assert "details" not in Elements(file.read_text()).counts
    write_html(report(Section("A", tables=[long, short])), file)
    page = Elements(file.read_text())
    assert page.counts["details"] == 1
    assert page.counts["tr"] == 2 * LONG + 1 + 2
    assert f"Table ({LONG + 1} rows)" in page.text


def test_one_section_needs_no_list_of_them(file: Path) -> None:
    write_html(report(Section("A")), file)
    assert "nav" not in Elements(file.read_text()).counts


def test_figures_stand_under_each_other_and_words_do_not() -> None:
    rows = [["BM25", "0.5 [0.4, 0.6]", "<0.0001", "", "▲1"], ["x", "−1", "+2 %", "", "a1"]]
    assert Table(list("abcde"), rows).numeric() == [False, True, True, True, False]
    assert Table(["a"], []).numeric() == []


def test_an_empty_table(file: Path) -> None:
    write_html(report(Section("A", tables=[Table(["only head"], [])])), file)
    assert "only head" in Elements(file.read_text()).text


def test_the_same_report_is_the_same_file(tmp_path: Path) -> None:
    files = [tmp_path / "a.html", tmp_path / "b.html"]
    for file in files:
        write_html(report(Section("A", ["text"])), file)
    assert files[0].read_bytes() == files[1].read_bytes()


def test_json_has_each_sections_data(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    write_json(report(Section("A", ["not this"], data={"x": [1.5, None]}), Section("B")), file)
    assert json.loads(file.read_text()) == {
        "title": f"title {EVIL}",
        "crossrank": __version__,
        "sections": {"part0": {"x": [1.5, None]}, "part1": {}},
    }


def test_text_that_is_no_unicode(file: Path, tmp_path: Path) -> None:
    odd = report(Section("A", ["lone \ud800 and \x00"], data={"x": "\ud800"}))
    write_html(odd, file)
    assert "lone ? and" in file.read_text(encoding="utf-8")
    write_json(odd, tmp_path / "report.json")
    assert json.loads((tmp_path / "report.json").read_text())["sections"]["part0"]["x"] == "\ud800"


def test_what_was_there_stays_when_writing_fails(file: Path) -> None:
    file.write_text("before")
    with pytest.raises(ValueError):
        write_json(report(Section("A", data={"x": float("nan")})), file)
    file.with_name("report.html.partial").mkdir()  # cannot be written to
    with pytest.raises(OSError, match="partial"):
        write_html(report(Section("A")), file)
    assert file.read_text() == "before"


def test_colours_have_contrast(file: Path) -> None:
    """4.5:1 between text and ground, in light and dark (WCAG 2.2, AA)."""
    write_html(report(Section("A")), file)
    blocks = re.findall(r"--page: (#\w+); --ink: (#\w+); --soft: (#\w+);", file.read_text())
    assert len(blocks) == 3  # light, dark, print
    for ground, *inks in blocks:
        for ink in inks:
            bright, dim = sorted(map(_light, (ground, ink)), reverse=True)
            assert (bright + 0.05) / (dim + 0.05) >= 4.5


def _light(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
