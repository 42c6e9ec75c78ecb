"""A real browser, and the playground in it."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

PATIENCE = 30
"""Seconds after which a page that does not do what it should fails the test."""


@contextmanager
def open_browser() -> Iterator[Chrome]:
    """Start Debian's Chromium without a window; skips where it is absent."""
    paths = [shutil.which(name) for name in ("chromium", "chromedriver")]
    if not all(paths):
        pytest.skip("chromium and chromedriver are absent: install Debian's packages")
    options = ChromeOptions()
    options.binary_location = str(paths[0])
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1280,900"):
        options.add_argument(argument)
    options.add_argument("--lang=en-US")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = Chrome(options, Service(str(paths[1])))
    try:
        yield driver
    finally:
        driver.quit()


class Page:
    """The playground, as a person sees it.

    Args:
        driver: The browser.
        url: The server's.
    """

    def __init__(self, driver: Chrome, url: str) -> None:
        self.driver = driver
        self.url = url
        self.load()

    def load(self) -> None:
        """Open the page, or open it again."""
        self.driver.get(self.url)
        self.wait(lambda: self.all("#model option"))

    def wait(self, condition: Callable[[], object]) -> None:
        WebDriverWait(self.driver, PATIENCE, poll_frequency=0.02).until(lambda _: condition())

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def text(self, selector: str) -> str:
        return self.one(selector).text

    def texts(self, selector: str) -> list[str]:
        return [element.text for element in self.all(selector)]

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def fill(self, query: str, documents: str) -> None:
        """Type a query, and paste documents."""
        for selector, text in (("#query", query), ("#documents", documents)):
            box = self.one(selector)
            box.clear()
            # Pasted, as the driver cannot type all characters.
            self.run(
                "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input'))",
                box,
                text,
            )

    def rank(self, said: str = "Ranked") -> None:
        """Press the button and wait for the ranking."""
        self.run("document.getElementById('status').textContent = ''")
        self.one("#rank").click()
        self.wait(lambda: said in self.text("#status") or self.text("#problem"))
        assert self.text("#problem") == ""

    def problem(self) -> str:
        """Wait for an error, and read it."""
        self.wait(lambda: self.text("#problem"))
        return self.text("#problem")

    def colour(self) -> str:
        """The colour of the page's ground."""
        found: str = self.run("return getComputedStyle(document.body).backgroundColor")
        return found

    def prefer(self, scheme: str) -> None:
        """Let the system be light or dark."""
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})

    def complaints(self) -> list[str]:
        """What the console says, but for requests that the server refused."""
        entries = self.driver.get_log("browser")  # type: ignore[no-untyped-call]
        return [e["message"] for e in entries if "Failed to load resource" not in e["message"]]

    def requested(self) -> list[str]:
        """Whatever was asked of any server since the last call."""
        return requested(self.driver)


def requested(driver: Chrome) -> list[str]:
    """Whatever a browser has asked for since the last call."""
    entries = driver.get_log("performance")  # type: ignore[no-untyped-call]
    messages = [json.loads(entry["message"])["message"] for entry in entries]
    return [
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    ]
