"""Explanations as people and machines see them."""

import json
import re
import shutil
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from crossrank.explanation.explanation import Explanation, Method, Piece
from crossrank.explanation.faithfulness import Faithfulness
from crossrank.explanation.shading import LOWERS, RAISES

DOCUMENT = "Paris <b>is</b> big.\nIt & rains. Unread rest"
WORDS = (("Paris", 2.0), ("<b>is</b>", -1.0), ("big.", 0.05), ("It", 0.0), ("&", -2.0))
FAITHFULNESS = Faithfulness(0.25, 0.875, 0.5, 0.625, beaten=0.9)


def explanation(method: Method = "tokens", faithful: bool = True) -> Explanation:
    words = WORDS if method != "sentences" else (("Paris <b>is</b> big.", 3.0), ("It & rains.", -1))
    pieces = tuple(
        Piece(start := DOCUMENT.index(word), start + len(word), word, value)
        for word, value in words
    )
    return Explanation(
        query="how <big>?",
        document=DOCUMENT,
        method=method,
        label=0,
        logit=1.5,
        score=0.8176,
        baseline=-1.0,
        pieces=pieces,
        read=32,
        faithfulness=FAITHFULNESS if faithful else None,
    )


TAGS = {end + tag for tag in ("div", "strong", "mark", "sup", "span") for end in ("", "/")}


class Page(HTMLParser):
    """Text (without the numbers), marks and tags of a fragment."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.marks: list[dict[str, str | None]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "mark":
            self.marks.append(dict(attributes))

    def handle_endtag(self, tag: str) -> None:
        self.tags.append("/" + tag)

    def handle_data(self, data: str) -> None:
        if self.tags[-1] != "sup":
            self.text += data


def test_plain_text() -> None:
    assert str(explanation()).splitlines() == [
        "how <big>?",
        "logit 1.500, score 0.8176; logit without the document -1.000",
        "",
        "Paris <b>is</b> big.",
        "It & rains.",
        "",
        "  +2.000  Paris",
        "  -2.000  &",
        "  -1.000  <b>is</b>",
        "  +0.050  big.",
        "",
        "Not read by the model: Unread rest",
        "",
        "Faithfulness: gain over random orders +0.250 (deletion 0.250 against 0.500, "
        "insertion 0.875 against",
        "0.625; better than 90% of them)",
    ]


def test_sentences_are_listed_in_order() -> None:
    assert str(explanation("sentences", faithful=False)).splitlines()[2:6] == [
        "",
        "  +3.000  Paris <b>is</b> big.",
        "  -1.000  It & rains.",
        "",
    ]


def shown(monkeypatch: pytest.MonkeyPatch, **environment: str) -> str:
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    console = Console(file=StringIO(), force_terminal=True, color_system="truecolor", width=100)
    with console.capture() as captured:
        console.print(explanation())
    return captured.get()


def background(colour: tuple[int, int, int]) -> str:
    return "48;2;{};{};{}m".format(*colour)


def test_terminals_show_shades(monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(monkeypatch)
    assert f"{background(RAISES)}Paris\x1b" in text
    assert f"{background(LOWERS)}&\x1b" in text
    half = tuple(round(255 - (255 - full) * 3 / 4) for full in LOWERS)
    assert f"{background(half)}<b>is</b>\x1b" in text  # type: ignore[arg-type]
    assert f"{background(half)}<b>is</b>\x1b[0m big.\nIt " in text  # faint ones have no colour


def test_no_color_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "48;2" not in shown(monkeypatch, NO_COLOR="1")
    assert "+2.000" in shown(monkeypatch, NO_COLOR="1")


@pytest.mark.parametrize("method", ["sentences", "tokens"])
def test_html_shows_the_document_with_shades(method: Method) -> None:
    page = Page(explanation(method).to_html())
    assert set(page.tags) <= TAGS
    assert page.tags.count("div") == page.tags.count("/div")
    assert "how <big>?" in page.text
    assert DOCUMENT in page.text
    assert "gain over random orders" in page.text
    values = [piece.attribution for piece in explanation(method).pieces]
    assert [float(mark["title"] or "") for mark in page.marks] == values
    assert "background:rgba(90,170,255,0.6)" in (page.marks[0]["style"] or "")


def test_html_is_a_fragment_that_loads_nothing() -> None:
    html = explanation().to_html()
    assert html == explanation()._repr_html_()
    assert not re.search(r"https?:|url\(|<(script|link|img|html|body)", html)


@given(st.text(max_size=40), st.text(max_size=40))
def test_whatever_the_text_html_and_terminal_hold_it(query: str, word: str) -> None:
    pieces = (Piece(0, len(word), word, 1.0),) if word.strip() else ()
    found = Explanation(query, word, "tokens", 0, 1.0, 1.0, 0.0, pieces, read=len(word))
    html = found.to_html()
    assert html.isascii()
    assert set(Page(html).tags) <= TAGS
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", str(found).replace("\t", ""))
    json.loads(json.dumps(found.to_dict()))


def test_texts_cannot_steer_the_terminal() -> None:
    found = Explanation("\x1b[2J", "a\x07\r\nb", "tokens", 0, 1.0, 1.0, 0.0, (), read=5)
    assert str(found).splitlines()[0] == "\ufffd[2J"
    assert "\na\ufffd\nb\n" in str(found)


def test_a_dictionary_for_json() -> None:
    found = json.loads(json.dumps(explanation().to_dict()))
    assert found["pieces"][0] == {"start": 0, "end": 5, "text": "Paris", "attribution": 2.0}
    assert found["faithfulness"] == {
        "deletion": 0.25,
        "insertion": 0.875,
        "random_deletion": 0.5,
        "random_insertion": 0.625,
        "beaten": 0.9,
        "gain": 0.25,
    }
    assert (found["method"], found["logit"], found["read"]) == ("tokens", 1.5, 32)
    assert explanation(faithful=False).to_dict()["faithfulness"] is None


def test_a_browser_shows_it(tmp_path: Path) -> None:
    """Headless Chromium: shades are there, the text is the text, nothing is loaded."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium drives the browser")
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not browser or not driver:
        pytest.skip("chromium and chromedriver are not installed")
    from selenium.webdriver.common.by import By

    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    page = tmp_path / "page.html"
    page.write_text(explanation().to_html(), encoding="ascii")
    service = webdriver.ChromeService(executable_path=driver)
    with webdriver.Chrome(options=options, service=service) as chrome:
        chrome.get(page.as_uri())
        marks = chrome.find_elements(By.TAG_NAME, "mark")
        assert [mark.text.split("+")[0].split("-")[0] for mark in marks] == [
            "Paris",
            "<b>is</b>",
            "big.",
            "It",
            "&",
        ]
        assert marks[0].value_of_css_property("background-color") == "rgba(90, 170, 255, 0.6)"
        assert marks[0].value_of_css_property("color") == "rgba(0, 0, 0, 1)"
        assert marks[3].value_of_css_property("background-color").endswith(", 0)")
        assert not chrome.find_elements(By.TAG_NAME, "b")
        assert marks[4].rect["y"] > marks[0].rect["y"]  # the line break is kept
        assert not chrome.execute_script("return performance.getEntriesByType('resource').length")
