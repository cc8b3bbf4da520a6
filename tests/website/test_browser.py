"""The site in a real browser: no error, nothing invisible, nothing too wide for a phone; screenshots for people."""

from __future__ import annotations

from typing import Any

import pytest

from peers import ROOT
from website.pages import READ_PAGES

SCREENSHOTS = ROOT / "build" / "site-screens"
SHOWN = ["", "tutorial/", "errors/", "observing/", "architecture/", "reference/pool/"]
"""Pages of each kind, for the screenshots."""
SHOWN_DARK = ["", "errors/", "architecture/"]
"""Those with pictures, with code and with tables: what depends on the colours."""

PHONE, DESKTOP = (390, 844), (1280, 1000)

INVISIBLE_PICTURES = """
return Promise.all([...document.images].map(picture => picture.decode().catch(() => null)))
    .then(() => [...document.images].filter(picture => !picture.naturalWidth).map(picture => picture.src))
"""

SEARCH = """
const [wanted, done] = arguments;
const results = document.querySelector('.md-search-result__list');
new MutationObserver(() => {
    const found = [...results.querySelectorAll('a')].filter(link => link.textContent.includes(wanted));
    if (found.length) done(found.map(link => link.href));
}).observe(results, { childList: true, subtree: true });
document.querySelector('#__search').click();
const field = document.querySelector('.md-search__input');
field.focus();
field.value = wanted;
field.dispatchEvent(new Event('keyup', { bubbles: true }));
field.dispatchEvent(new Event('input', { bubbles: true }));
"""


def resize(browser: Any, size: tuple[int, int], scheme: str) -> None:
    """Makes the browser that of a phone or of a desktop, for a reader who prefers light or dark."""
    width, height = size
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == PHONE}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def complaints(browser: Any) -> list[str]:
    """The errors on the browser's console."""
    return [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


@pytest.fixture
def phone(browser: Any) -> Any:
    resize(browser, PHONE, "light")
    return browser


@pytest.mark.parametrize("page", READ_PAGES)
def test_page_on_a_phone(page: str, phone: Any, address: str) -> None:
    phone.get(address + page)
    assert phone.execute_script(INVISIBLE_PICTURES) == []
    assert phone.execute_script("return [document.documentElement.scrollWidth, innerWidth]") == [PHONE[0]] * 2
    assert complaints(phone) == []


def test_search_finds_a_class(browser: Any, whole_site: str) -> None:
    resize(browser, DESKTOP, "light")
    browser.get(whole_site)
    found = browser.execute_async_script(SEARCH, "OutcomeUnknown")
    assert any("/errors/" in link or "/pool/" in link for link in found)
    assert complaints(browser) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("device", "size"), [("phone", PHONE), ("desktop", DESKTOP)])
def test_screenshots(device: str, size: tuple[int, int], scheme: str, browser: Any, address: str) -> None:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    resize(browser, size, scheme)
    browser.get(address)
    # The colours of the reader before.
    browser.execute_script("localStorage.clear()")
    for page in SHOWN if scheme == "light" else SHOWN_DARK:
        browser.get(address + page)
        shown = browser.execute_script("return document.body.getAttribute('data-md-color-scheme')")
        assert shown == {"light": "default", "dark": "slate"}[scheme]
        browser.execute_script(INVISIBLE_PICTURES)
        name = page.strip("/").replace("/", "-") or "index"
        assert browser.save_screenshot(str(SCREENSHOTS / f"{name}-{device}-{scheme}.png"))
