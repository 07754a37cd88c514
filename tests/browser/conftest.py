"""A browser for the tests: Debian's Chromium, driven by Playwright."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
from playwright.sync_api import Browser, sync_playwright

QUIET = (
    "--no-sandbox",  # CI runs as root
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)

Launch = Callable[[], AbstractContextManager[Browser]]


@pytest.fixture(scope="session")
def launch() -> Launch:
    """Return a context manager that starts a browser; no flow may run on the thread meanwhile."""

    @contextmanager
    def start() -> Iterator[Browser]:
        chromium = shutil.which("chromium")
        if chromium is None:
            missing = "needs Chromium: tests/browser/install-chromium"
            if os.environ.get("CI"):
                pytest.fail(missing)
            pytest.skip(missing)
        with sync_playwright() as playwright:
            started = playwright.chromium.launch(executable_path=chromium, args=QUIET)
            yield started
            started.close()

    return start
