"""A real browser without a window, and pages in it that must not complain or call anybody."""

import os
import shutil

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
#: A page has no need of a graphics card, of a sandbox (which the administrator of a container
#: cannot have), or of anything that a browser likes to fetch.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
DESKTOP, PHONE = (1280, 900), (390, 844)


def browser_path():
    found = os.environ.get("STEPSIZE_BROWSER") or next(
        filter(None, map(shutil.which, BROWSERS)), ""
    )
    if not found:
        reason = f"needs a browser: {', '.join(BROWSERS)}, or a path in STEPSIZE_BROWSER"
        (pytest.fail if os.environ.get("STEPSIZE_NEEDS_BROWSER") else pytest.skip)(reason)
    return found


@pytest.fixture(scope="module")
def browser():
    """A browser for the tests of a file. It is closed after them: it keeps an asyncio loop running,
    in which no other test could start its own.
    """
    path = browser_path()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield started
        started.close()


@pytest.fixture
def show(browser, tmp_path):
    """``show(html, size, dark=..., touch=..., scripts=...)`` opens a page as a file.

    After the test the page must have asked for nothing but itself, written nothing to its console,
    raised nothing and opened no dialogue.
    """
    contexts, wrong = [], []

    def open_page(html, size=DESKTOP, *, dark=False, touch=False, scripts=True):
        path = tmp_path / f"page-{len(contexts)}.html"
        path.write_text(html, encoding="utf-8")
        context = browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            color_scheme="dark" if dark else "light",
            has_touch=touch,
            is_mobile=touch,
            java_script_enabled=scripts,
        )
        context.set_default_timeout(15_000)
        contexts.append(context)
        page = context.new_page()
        page.on(
            "console",
            lambda message: message.type != "error" or wrong.append(f"console: {message.text}"),
        )
        page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
        page.on(
            "dialog", lambda dialog: (wrong.append(f"dialogue: {dialog.message}"), dialog.dismiss())
        )
        page.on(
            "request",
            lambda request: (
                request.url in (path.as_uri(), "data:,") or wrong.append(f"request: {request.url}")
            ),
        )
        page.goto(path.as_uri())
        if scripts:
            settle(page)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert wrong == []


def settle(page):
    """Wait until what was asked for is drawn."""
    page.evaluate(
        "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
    )
