"""The site as `make site` has built it, on a server of this process and in a browser."""

from __future__ import annotations

import functools
import http.server
import json
import os
import platform
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import pytest

from website.pages import SITE

# `make site-test` has it, and no other target does.
collect_ignore_glob = [] if find_spec("selenium") else ["test_*.py"]


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serves files, and logs nothing."""

    def log_message(self, *arguments: Any) -> None:
        """Says nothing."""


class WithoutIndex(QuietHandler):
    """Serves an index of nothing: to read the real one on each page is as much work as the rest of the page."""

    def do_GET(self) -> None:
        """Answers with a file."""
        if not self.path.endswith("/search_index.json"):
            super().do_GET()
            return
        index = json.dumps(json.loads((SITE / "search" / "search_index.json").read_text()) | {"docs": []}).encode()
        self.send_response(http.HTTPStatus.OK)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(index)))
        self.end_headers()
        self.wfile.write(index)


@contextmanager
def served(handler: type[QuietHandler]) -> Iterator[str]:
    """Where a server is that answers so, with a slash in the end."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler, directory=str(SITE))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    """Where the site is, whose search finds nothing."""
    with served(WithoutIndex) as address:
        yield address


@pytest.fixture(scope="session")
def whole_site() -> Iterator[str]:
    """Where the site is with its search."""
    with served(QuietHandler) as address:
        yield address


def programs() -> tuple[str, str]:
    """The browser and its driver; skips loudly without them, and fails where they must be there."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if browser and driver:
        return browser, driver
    reason = "no Chromium with chromedriver here: `.ci/browser` installs them on Debian"
    # Ubuntu has none for Arm; `.ci/run` sets the variable where none can be installed.
    needed = os.environ.get("CI") == "true" and platform.machine() == "x86_64"
    if needed and "FERRULE_WITHOUT_BROWSER" not in os.environ:
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A browser that reaches nothing but this machine."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    binary, driver = programs()
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for argument in (
        "--headless=new",
        # Chromium's own sandbox refuses root.
        *(["--no-sandbox"] if os.geteuid() == 0 else []),
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--disable-extensions",
        "--disable-background-networking",
        "--hide-scrollbars",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    ):
        options.add_argument(argument)
    with webdriver.Chrome(options=options, service=Service(driver)) as opened:
        opened.set_page_load_timeout(30)
        opened.set_script_timeout(30)
        yield opened
