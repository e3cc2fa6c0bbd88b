"""A headless Chromium for tests, if this machine has one."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

Test = TypeVar("Test", bound=Callable[..., None])
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
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
    expect.set_options(timeout=240_000)  # five seconds else
    with sync_playwright() as engine:
        browser = engine.chromium.launch(
            executable_path=CHROMIUM, args=NO_SERVICES, timeout=240_000
        )
        try:
            yield browser
        finally:
            browser.close()
