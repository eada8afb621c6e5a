"""A real Chromium for the tests of pages; it speaks to this machine alone."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge")
FLAGS = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-sync",
         "--disable-component-update", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]  # fmt: skip
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


@contextmanager
def chromium(driver: Any) -> Iterator[Any]:
    """Start an installed Chromium with a new profile, or skip with the reason; `driver` is playwright.sync_api."""
    with driver.sync_playwright() as play:
        path = next((found for name in NAMES if (found := shutil.which(name))), None)
        path = path or (own if Path(own := play.chromium.executable_path).exists() else None)
        if path is None:
            pytest.skip("no Chromium is installed")
        flags = [*FLAGS, "--no-sandbox"] if os.geteuid() == 0 else FLAGS
        browser = play.chromium.launch(executable_path=path, args=flags)
        yield browser
        browser.close()
