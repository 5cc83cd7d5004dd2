"""The built site, served on this machine, and a Chromium that reaches nothing else."""

import functools
import http.server
import json
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import WebDriverWait

SITE = Path(os.environ.get("CROSSCHECK_SITE", "site")).resolve()
PATIENCE_S = 10
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-sync",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
    "--blink-settings=primaryHoverType=2,availableHoverTypes=2,primaryPointerType=4,availablePointerTypes=4",  # a mouse
)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


def serve(folder: Path) -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def pages() -> list[str]:
    """The address of every page, relative to the site."""
    paths = [path.parent.relative_to(SITE).as_posix() for path in sorted(SITE.rglob("index.html"))]
    assert paths, f"no page in {SITE}: build the site first, with nox -s docs"
    return ["" if path == "." else f"{path}/" for path in paths]


@pytest.fixture(scope="session")
def site() -> Iterator[str]:
    yield from serve(SITE)


@pytest.fixture(scope="session")
def chromium() -> Iterator["Chromium"]:
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or shutil.which("google-chrome") or ""
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    yield Chromium(driver)
    driver.quit()


@pytest.fixture
def browser(chromium: "Chromium", site: str) -> "Chromium":
    """The browser as a reader has it who comes for the first time, on a wide light screen."""
    chromium.driver.get("about:blank")
    chromium.driver.execute_cdp_cmd("Storage.clearDataForOrigin", {"origin": site, "storageTypes": "all"})
    chromium.size(1280, 900)
    chromium.scheme("light")
    chromium.driver.execute_cdp_cmd("Network.clearBrowserCache", {})
    chromium.said()
    chromium.console()
    return chromium


class Chromium:
    """What the tests do with a browser."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def size(self, width: int, height: int) -> None:
        screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)

    def scheme(self, name: str) -> None:
        feature = {"name": "prefers-color-scheme", "value": name}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})

    def open(self, address: str) -> None:
        """Open a page, its folded parts too, and wait for its fonts and pictures, those further down too."""
        self.visit(address)
        self.driver.execute_async_script(LOAD_ALL)

    def visit(self, address: str) -> None:
        """Open a page and leave it as it is."""
        self.driver.get(address)
        there = "document.readyState === 'complete' && location.href === arguments[0]"
        WebDriverWait(self.driver, PATIENCE_S).until(lambda _: self.ask(there, address), message=address)

    def ask(self, script: str, *arguments: object) -> Any:
        """What an expression of JavaScript is."""
        return self.driver.execute_script(f"return {script}", *arguments)

    def said(self) -> list[dict[str, Any]]:
        """The events of the network since the last call."""
        return [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]

    def console(self) -> list[str]:
        """The warnings and errors in the console since the last call."""
        return [f"{entry['level']}: {entry['message']}" for entry in self.driver.get_log("browser")]


LOAD_ALL = """
const done = arguments[0];
document.querySelectorAll("details").forEach(one => one.open = true);
const pictures = [...document.images];
pictures.forEach(one => one.loading = "eager");
const loaded = pictures.map(one => one.decode());
Promise.allSettled([...loaded, document.fonts.ready]).then(() => setTimeout(done, 50));
"""
