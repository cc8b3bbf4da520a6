"""The site as `make site` has built it, on a server of this process and in a browser."""

from __future__ import annotations

import functools
import http.server
import os
import platform
import shutil
import threading
from collections.abc import Iterator
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


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    """Where the site is served, with a slash in the end."""
    handler = functools.partial(QuietHandler, directory=str(SITE))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def programs() -> tuple[str, str]:
    """The browser and its driver; skips loudly without them, and fails where they must be there."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if browser and driver:
        return browser, driver
    reason = "no Chromium with chromedriver here: `.ci/browser` installs them on Debian"
    # Ubuntu has none for Arm.
    if os.environ.get("CI") == "true" and platform.machine() == "x86_64":
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
