"""The playground in a real browser: rank, upload, compare, explain; languages, colours, keys."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

pytest.importorskip("selenium", reason="the browser's driver is not installed")
pytest.importorskip("fastapi", reason="the extra `server` is not installed")

from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webdriver import WebDriver
from tests.e2e.browser import Page, open_browser
from tests.server.live import live_server

from crossrank import CrossEncoder
from crossrank.server.auth import new_key
from crossrank.server.settings import Settings

QUERY = "capital of France"
DOCUMENTS = [
    "Bread is baked in the morning.",
    "Whoever has seen the museums by the river will agree that Paris is the capital of France.",
    "The capital of Italy is Rome. 🏛 It lies on the Tiber. Paris is the capital of France, though.",
    "<img src=x onerror=alert(1)> is no capital.",
]


@pytest.fixture(scope="module")
def model() -> CrossEncoder:
    return CrossEncoder()


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that reads only 16 tokens, and so ranks in another order."""
    folder = tmp_path_factory.mktemp("short")
    CrossEncoder(max_length=16).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def url(short: Path) -> Iterator[str]:
    with live_server(Settings(models={"default": "default", "short": str(short)})) as url:
        yield url


@pytest.fixture(scope="module")
def driver() -> Iterator[WebDriver]:
    with open_browser() as driver:
        yield driver


@pytest.fixture
def page(driver: WebDriver, url: str) -> Iterator[Page]:
    """A fresh page, which complains of nothing and asks nobody but its server."""
    page = Page(driver, url)
    yield page
    assert page.complaints() == []
    assert {urlsplit(found)[:2] for found in page.requested()} <= {urlsplit(url)[:2]}
    page.run("localStorage.clear(); sessionStorage.clear()")
    page.prefer("light")


def test_documents_are_ranked_as_the_model_ranks_them(page: Page, model: CrossEncoder) -> None:
    page.fill(QUERY, "\n\n".join(DOCUMENTS))
    assert page.text("#count") == "4 documents"
    page.rank()
    expected = model.rank(QUERY, DOCUMENTS)
    order = [entry["corpus_id"] for entry in expected]
    assert page.texts(".text") == [DOCUMENTS[index] for index in order]
    scores = [float(text.split()[-1]) for text in page.texts(".score")]
    assert scores == pytest.approx([entry["score"] for entry in expected], abs=0.002)
    widths = page.run("return [...document.querySelectorAll('.bar span')].map(b => b.style.width)")
    assert [float(width[:-1]) / 100 for width in widths] == pytest.approx(scores, abs=0.002)
    for place, (index, moved) in enumerate(zip(order, page.texts(".moved"), strict=True)):
        assert moved.endswith(f"was {index + 1}")
        distance = abs(index - place)
        way = f"▲ {distance}" if index > place else f"▼ {distance}" if index < place else "="
        assert moved.startswith(way)
    assert page.text("#status").startswith("Ranked 4 documents in ")
    assert "on the server" in page.text(".ranking > p")


def test_why_marks_what_makes_the_score(page: Page, model: CrossEncoder) -> None:
    page.fill(QUERY, "\n".join(DOCUMENTS[2:]))
    page.rank()
    assert page.texts(".text")[0] == DOCUMENTS[2]
    page.one("[data-action=why]").click()
    page.wait(lambda: page.all("mark"))
    spans = model.explain(QUERY, DOCUMENTS[2]).relevant_spans()
    assert sorted(page.texts("mark")) == sorted(span.text for span in spans)
    assert page.texts(".text")[0] == DOCUMENTS[2], "marks must not change the text"
    page.one("[data-action=why]").click()
    assert page.all("mark") == []


def test_only_the_first_three_can_be_explained(page: Page) -> None:
    page.fill(QUERY, "\n".join(DOCUMENTS))
    page.rank()
    assert len(page.all("[data-action=why]")) == 3


def test_two_models_are_compared(page: Page, model: CrossEncoder, short: Path) -> None:
    page.fill(QUERY, "\n".join(DOCUMENTS))
    page.one("#compare option[value=short]").click()
    page.rank()
    assert page.texts(".ranking h3") == ["default", "short"]
    places = []
    for number, ranker in enumerate((model, CrossEncoder(short)), 1):
        expected = ranker.rank(QUERY, DOCUMENTS, return_truncation=True)
        inside = f".ranking:nth-child({number})"
        assert page.texts(f"{inside} .text") == [DOCUMENTS[e["corpus_id"]] for e in expected]
        cut = [e["truncated_tokens"] for e in expected if e["truncated_tokens"]]
        assert page.texts(f"{inside} .cut") == [f"{n} token{'s' * (n > 1)} not read" for n in cut]
        places.append([e["corpus_id"] for e in expected])
    assert places[0] != places[1], "the test needs models that disagree"
    elsewhere = [f"other model: {places[1].index(index) + 1}" for index in places[0]]
    assert page.texts(".ranking:first-child .notes > span:first-child") == elsewhere
    same = len({*places[0][:2]} & {*places[1][:2]})
    assert f"{same} of the top 2 are the same" in page.text(".ranking > p")
    page.run("arguments[0].focus()", page.one(".ranking:last-child [data-action=why]"))
    assert [e.get_attribute("data-index") for e in page.all(".same")] == [str(places[1][0])] * 2


def test_what_was_not_read_is_grey(page: Page) -> None:
    page.fill(QUERY, DOCUMENTS[1])
    page.one("#model option[value=short]").click()
    assert "up to 16 tokens" in page.text("#model-hint")
    page.rank()
    page.one("[data-action=why]").click()
    page.wait(lambda: page.all(".unread"))
    unread = page.text(".unread")
    assert unread.endswith("Paris is the capital of France.")
    assert DOCUMENTS[1].endswith(unread)
    assert page.text(".text") == DOCUMENTS[1]


def test_long_documents_are_shown_whole_on_demand(page: Page) -> None:
    page.fill(QUERY, "Paris is the capital of France. " * 30)
    page.rank()
    short = page.one(".text").size["height"]
    page.one("[data-action=open]").click()
    assert page.one(".text").size["height"] > 2 * short
    assert page.text("[data-action=open]").startswith("Show less")


FILES = {
    "a.jsonl": '{"text": "Bread.\\nBaked."}\n\n"Paris is the capital of France."\n"Rome"',
    "b.CSV": 'id,Text\r\n1,"Bread.\nBaked."\r\n\r\n2,Paris is the capital of France.\r\n3,Rome',
    "c.txt": "\ufeffBread. Baked.\r\n\r\nParis is the capital of France.\nRome.\n",
    "d.csv": 'Bread. Baked.\n"Paris is the capital of France."\nRome.',
}


@pytest.mark.parametrize("name", FILES)
def test_files_are_read(page: Page, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(FILES[name].encode())
    page.fill(QUERY, "This is replaced.")
    page.one("#upload").send_keys(str(tmp_path / name))
    page.wait(lambda: page.text("#file-name") == name)
    assert page.text("#count") == "3 documents"
    page.rank()
    assert page.texts(".text")[0] == "Paris is the capital of France."
    assert " ".join(sorted(page.texts(".text"))[0].split()) == "Bread. Baked."
    page.one("#file-remove").click()
    assert page.text("#count") == "1 document"
    assert page.driver.switch_to.active_element == page.one("#documents")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.jsonl", b'{"text": "a"}\n{"text": ', "a.jsonl, line 2: this is not JSON"),
        ("a.jsonl", b'"a"\n\n{"title": "a"}', "a.jsonl, line 3: a text is required"),
        ("a.jsonl", b"null", "a.jsonl, line 1: a text is required"),
        ("a.csv", b"id,name\n1,a", "line 1: one of the columns must be called text"),
        ("a.csv", b'id,text\n1,"a\nb"\n2', "line 4: 2 columns are required, as in the first"),
        ("a.csv", b'text\n"a\n', "line 2: a quotation mark is out of place, or never closed"),
        ("a.csv", b'text\n"a" b\n', "line 2: a quotation mark is out of place"),
        ("a.txt", b"a\nb\n\xe9t\xe9", "a.txt, line 3: this is not UTF-8"),
        ("a.txt", b" \n", "a.txt has no documents"),
        ("a.pdf", b"%PDF", "a.pdf must end in .jsonl, .csv or .txt"),
        ("a.txt", b"a\n" * 5_000_001, "a.txt is larger than the 10.0 MB"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_by_line(
    page: Page, tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(content)
    page.one("#upload").send_keys(str(tmp_path / name))
    assert said in page.problem()
    assert not page.one("#file").is_displayed()


def test_a_query_and_documents_are_required(page: Page) -> None:
    page.one("#rank").click()
    assert page.problem() == "Type a query: what should the documents be about?"
    assert page.driver.switch_to.active_element == page.one("#query")
    page.fill(QUERY, " \n ")
    page.one("#rank").click()
    page.wait(lambda: page.problem().startswith("Give at least one document"))
    assert page.one("#documents").get_attribute("aria-invalid") == "true"


def test_the_example_puts_the_answer_first(page: Page) -> None:
    page.one("#example-2").click()
    page.wait(lambda: page.text("#status").startswith("Ranked 6"))
    assert page.texts(".text")[0].startswith("A vaccine shows the immune system")


def test_it_speaks_english_and_chinese_and_remembers(page: Page) -> None:
    page.fill(QUERY, "\n".join(DOCUMENTS))
    page.rank()
    page.one("#language").click()
    assert page.one("html").get_attribute("lang") == "zh-CN"
    assert page.text("#rank") == "排序"
    assert page.text("#status").startswith("已为 4 篇文档排序")
    assert page.texts(".moved")[0].endswith("位")
    page.load()
    assert page.text("label[for=query]") == "查询"
    page.one("#rank").click()
    assert page.problem() == "请输入查询：文档应当关于什么？"
    page.one("#language").click()
    assert page.problem().startswith("Type a query")
    assert "undefined" not in page.text("body")


def test_both_languages_say_everything(page: Page) -> None:
    english, chinese = page.driver.execute_async_script(
        "const done = arguments[0];"
        "import('/playground/messages.js').then(({MESSAGES}) => done("
        "Object.values(MESSAGES).map(m => Object.entries(m).map(([k, v]) => [k, typeof v]))))"
    )
    assert english == chinese
    used = page.run(
        "return [...document.querySelectorAll('[data-say], [data-say-placeholder]')]"
        ".map(e => e.dataset.say ?? e.dataset.sayPlaceholder)"
    )
    assert set(used) <= {key for key, _ in english}


def test_it_is_light_and_dark(page: Page) -> None:
    light = page.colour()
    page.prefer("dark")
    dark = page.colour()
    assert light != dark
    page.one("#theme").click()
    assert page.colour() == light
    page.load()
    assert page.colour() == light, "the choice is remembered, and wins over the system's"
    page.one("#theme").click()
    page.prefer("light")
    assert page.colour() == dark


def press(page: Page, *keys: str) -> None:
    """Press keys, wherever the focus is."""
    ActionChains(page.driver).send_keys(*keys).perform()


def tab_to(page: Page, selector: str) -> None:
    """Press the tab key until an element has the focus, which must be seen."""
    wanted = page.one(selector)
    for _ in range(40):
        press(page, Keys.TAB)
        if page.driver.switch_to.active_element == wanted:
            outline = "return getComputedStyle(arguments[0]).outlineStyle"
            seen = wanted if selector != "#upload" else page.one("label[for=upload]")
            assert page.run(outline, seen) == "solid"
            return
    pytest.fail(f"the tab key never reaches {selector}")


def test_it_works_by_keyboard_alone(page: Page) -> None:
    tab_to(page, "#query")
    press(page, QUERY)
    tab_to(page, "#documents")
    press(page, "Bread.", Keys.ENTER, "Paris is the capital of France.")
    tab_to(page, "#upload")
    tab_to(page, "#model")
    ActionChains(page.driver).key_down(Keys.CONTROL).send_keys(Keys.ENTER).key_up(
        Keys.CONTROL
    ).perform()
    page.wait(lambda: page.text("#status").startswith("Ranked 2"))
    assert page.texts(".text") == ["Paris is the capital of France.", "Bread."]
    tab_to(page, ".entry [data-action=why]")
    press(page, Keys.SPACE)
    page.wait(lambda: page.all("mark"))
    button = page.driver.switch_to.active_element
    assert button.get_attribute("data-action") == "why"
    assert button.get_attribute("aria-expanded") == "true"


def test_everything_has_a_name_and_news_are_announced(page: Page) -> None:
    page.fill(QUERY, "\n".join(DOCUMENTS))
    page.rank()
    for control in page.all("input, textarea, select, button"):
        if control.is_displayed():
            assert control.accessible_name, control.get_attribute("outerHTML")
    assert page.one("#status").get_attribute("aria-live") == "polite"
    assert page.one("#problem").aria_role == "alert"


def test_nothing_but_its_own_files_runs(page: Page) -> None:
    page.run(
        "const s = document.createElement('script'); s.textContent = 'window.ran = true';"
        "document.head.append(s)"
    )
    assert page.run("return window.ran ?? false") is False
    assert ["Content Security Policy" in message for message in page.complaints()] == [True]


def test_refusals_of_the_server_are_said_in_words(driver: WebDriver, tmp_path: Path) -> None:
    key, line = new_key()
    keys = tmp_path / "keys"
    keys.write_text(line)
    settings = Settings(api_keys=keys, max_documents=3, max_body_bytes=2000, max_requests=1)
    with live_server(settings) as url:
        page = Page(driver, url)
        page.fill(QUERY, "\n".join(DOCUMENTS[:3]))
        page.one("#rank").click()
        assert page.problem().startswith("This server needs a valid API key")
        assert driver.switch_to.active_element == page.one("#key")
        press(page, key)
        page.rank()
        assert json.dumps(page.run("return {...localStorage}")) == "{}"
        assert page.run("return {...sessionStorage}") == {"crossrank.key": key}

        page.fill(QUERY, "\n".join(DOCUMENTS))
        page.one("#rank").click()
        assert "takes at most 3 documents at a time, and these are 4" in page.problem()
        page.fill(QUERY, "a" * 2000)
        page.one("#rank").click()
        page.wait(lambda: "takes at most 2 kB at a time" in page.problem())

        page.fill(QUERY, "\n".join(DOCUMENTS[:3]))
        with busy(url, key):
            page.one("#rank").click()
            page.wait(lambda: "The server is busy. Try again in 1 second." in page.problem())
    page.one("#rank").click()
    page.wait(lambda: page.problem().startswith("The server does not answer"))
    assert page.complaints() == []


def busy(url: str, key: str) -> socket.socket:
    """Occupy a server with a request whose body never comes."""
    where = urlsplit(url)
    connection = socket.create_connection((where.hostname, where.port))
    connection.sendall(
        f"POST /playground/rank HTTP/1.1\r\nHost: {where.netloc}\r\n"
        f"Authorization: Bearer {key}\r\nContent-Type: application/json\r\n"
        "Content-Length: 100\r\n\r\n{".encode()
    )
    return connection
