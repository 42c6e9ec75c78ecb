"""A report in a real browser: what it shows, in light and dark, alone and on paper."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("selenium", reason="the browser's driver is not installed")
pytest.importorskip("jinja2", reason="needs the extra evaluation")
pytest.importorskip("matplotlib", reason="needs the extra evaluation")
pytest.importorskip("scipy", reason="needs the extra evaluation")

from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from tests.e2e.browser import open_browser, requested

from crossrank.evaluation.comparison import System, compare_systems
from crossrank.evaluation.depth import rerank, sweep_depths
from crossrank.evaluation.depth_report import depth_figures, depth_section
from crossrank.evaluation.evaluation_report import (
    Speed,
    differences_figure,
    queries_section,
    reranking_section,
    speed_section,
)
from crossrank.evaluation.report import Report, write_html
from crossrank.types import Qrels, Run

QUERIES = 40
EVIL = "<script>document.title = 'broken'</script><img src=http://127.0.0.1:9/x onerror=alert(1)>"

Look = Callable[[str], list[WebElement]]


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``crossrank evaluate`` writes, of a model that is always right."""
    first: Run = {f"q{n}": {f"d{place}": -float(place) for place in range(20)} for n in range(40)}
    qrels: Qrels = {f"q{n}": {f"d{n % 20}": 1} for n in range(QUERIES)}
    logits: Run = {q: {d: float(d in qrels[q]) for d in found} for q, found in first.items()}
    systems = [System("first stage", first), System("reranked", rerank(first, logits, 20))]
    gains = compare_systems(systems, qrels, ["RR@10", "P@1"])
    seconds = {5: 0.05, 10: 0.1, 20: 0.2}
    sweep = sweep_depths(first, logits, qrels, "RR@10", [5, 10, 20], seconds=seconds)
    alone = {depth: [value, 2 * value] for depth, value in seconds.items()}
    sections = {
        "reranking": reranking_section(gains, None, 20),
        "depth": depth_section(sweep),
        "speed": speed_section(Speed("A model", QUERIES, 800, 4.0, 8, 512, alone)),
        "queries": queries_section(gains, {f"q{n}": f"{EVIL} {n}" for n in range(QUERIES)}),
    }
    sections["depth"].figures.extend(depth_figures(sweep))
    sections["queries"].figures.append(differences_figure(gains))
    file = tmp_path_factory.mktemp("report") / "report.html"
    write_html(Report("Evaluation of <b>A model</b>", sections), file)
    return file


@pytest.fixture(scope="module")
def driver(page_file: Path) -> Iterator[Chrome]:
    with open_browser() as driver:
        driver.get(page_file.as_uri())
        yield driver


@pytest.fixture
def look(driver: Chrome) -> Look:
    return lambda selector: driver.find_elements(By.CSS_SELECTOR, selector)


def test_headings_and_rows(driver: Chrome, look: Look) -> None:
    assert driver.title == "Evaluation of <b>A model</b>"
    assert [heading.text for heading in look("h1, h2")] == [
        *("Evaluation of <b>A model</b>", "Reranking", "Depth", "Speed", "Queries")
    ]
    counts = {name: len(look(f"#{name} tbody tr")) for name in ("reranking", "depth", "speed")}
    assert counts == {"reranking": 2, "depth": 4, "speed": 3}
    assert [cell.text for cell in look("#reranking tbody tr:nth-child(2) > *")][:2] == [
        *("P@1", "0.0500 [0.000, 0.125]")
    ]
    assert driver.execute_script("return document.documentElement.lang") == "en"


def test_figures_are_seen(driver: Chrome, look: Look) -> None:
    pictures = look("figure svg")
    assert len(pictures) == 3
    for picture in pictures:
        assert picture.is_displayed()
        assert picture.size["width"] > 300
        assert picture.size["height"] > 150
    shapes = look("#depth figure:first-child svg path, #depth figure:first-child svg use")
    drawn = [shape for shape in shapes if shape.size["width"] > 100]
    assert len(drawn) > 4  # curves, their band, and the first stage's line
    labels = {text.text for text in look("#depth svg text")}
    assert {"candidates reranked", "milliseconds a query", "reranker alone"} <= labels
    named = [figure.get_attribute("aria-labelledby") for figure in look("[role=img]")]
    assert all(look(f"figcaption#{name}")[0].text for name in named)


def test_long_tables_unfold(look: Look) -> None:
    folded = look("#queries details")[0]
    row = look("#queries tbody tr")[0]
    assert not row.is_displayed()
    assert look("#queries summary")[0].text == f"RR@10 of each query ({QUERIES} rows)"
    look("#queries summary")[0].click()
    assert folded.get_attribute("open")
    assert row.is_displayed()
    assert len(look("#queries tbody tr")) == QUERIES


def test_text_of_users_is_only_text(driver: Chrome, look: Look) -> None:
    assert look("img, script, b") == []
    shown = driver.execute_script("return document.querySelector('#queries td').textContent")
    assert shown.startswith(EVIL)


def test_nothing_is_asked_of_anybody(driver: Chrome, page_file: Path) -> None:
    driver.get(page_file.as_uri())
    assert set(requested(driver)) == {page_file.as_uri()}
    assert driver.get_log("browser") == []  # type: ignore[no-untyped-call]


def test_nothing_could_be_loaded(driver: Chrome, page_file: Path) -> None:
    """Markup that got in would find no way out, nor run."""
    found = driver.execute_async_script(
        """
        const done = arguments[0], blocked = [];
        document.addEventListener("securitypolicyviolation",
                                  event => blocked.push(event.effectiveDirective));
        const script = document.createElement("script");
        script.textContent = "window.ran = true";
        const image = document.createElement("img");
        image.src = "http://127.0.0.1:9/x.png";
        document.body.append(script, image);
        setTimeout(() => done([blocked.sort(), window.ran === true]), 200);
        """
    )
    assert found == [["img-src", "script-src-elem"], False]
    driver.get_log("browser")  # type: ignore[no-untyped-call]  # has the complaints of this test
    driver.get(page_file.as_uri())


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark(driver: Chrome, look: Look, scheme: str) -> None:
    prefer(driver, features=[{"name": "prefers-color-scheme", "value": scheme}])
    ground, ink = colours(driver, "document.body", "backgroundColor", "color")
    assert (sum(ground) < sum(ink)) is (scheme == "dark")
    # Pictures take the text's colour.
    label = "document.querySelector('svg text')"
    assert colours(driver, label, "fill") == [ink]
    prefer(driver)


@pytest.mark.parametrize("width", [360, 1280])
def test_narrow_and_wide(driver: Chrome, width: int) -> None:
    """Tables scroll in their own boxes; the page does not scroll sideways."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    wide = driver.execute_script("return document.documentElement.scrollWidth")
    driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert wide <= width


def test_on_paper(driver: Chrome, look: Look) -> None:
    prefer(driver, "print", [{"name": "prefers-color-scheme", "value": "dark"}])
    assert colours(driver, "document.body", "backgroundColor", "color") == [
        *([255, 255, 255], [0, 0, 0])
    ]
    assert not look("nav")[0].is_displayed()
    prefer(driver)


def prefer(driver: Chrome, media: str = "", features: list[dict[str, str]] | None = None) -> None:
    wanted = {"media": media, "features": features or []}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", wanted)


def colours(driver: Chrome, element: str, *properties: str) -> list[list[int]]:
    found = []
    for name in properties:
        value = driver.execute_script(f"return getComputedStyle({element}).{name}")
        found.append([int(part) for part in value[4:-1].split(",")])
    return found
