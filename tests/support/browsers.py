"""A headless Chromium for tests, if this machine has one."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect, sync_playwright

Test = TypeVar("Test", bound=Callable[..., None])
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
SECONDS = 240_000  # of a busy machine, in ms
NO_SERVICES = ("--no-sandbox", "--disable-gpu", "--disable-background-networking")


def needs_chromium(test: Test) -> Test:
    """Mark a test that needs a browser; it is skipped by name where there is none."""
    for mark in (
        pytest.mark.skipif(CHROMIUM is None, reason="no Chromium found on this machine"),
        pytest.mark.browser,
    ):
        test = mark(test)
    return test


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start a browser that calls nobody by itself, and end it."""
    expect.set_options(timeout=SECONDS)  # five seconds else
    with sync_playwright() as engine:
        browser = engine.chromium.launch(
            executable_path=CHROMIUM, args=NO_SERVICES, timeout=SECONDS
        )
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def tab(browser: Browser, url: str, **options: Any) -> Iterator[Page]:
    """Open a tab that tolerates neither an error nor a request to anywhere else."""
    context = browser.new_context(**options)
    page = context.new_page()
    page.set_default_timeout(SECONDS)
    wrong: list[str] = []
    host = urlsplit(url).netloc

    def said(message: ConsoleMessage) -> None:
        if message.type == "error":
            wrong.append(message.text)

    def asked(request: Request) -> None:
        if urlsplit(request.url).netloc not in {host, ""}:
            wrong.append(f"asked {request.url}")

    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", said)
    page.on("request", asked)
    try:
        yield page
        assert wrong == []
    finally:
        context.close()
