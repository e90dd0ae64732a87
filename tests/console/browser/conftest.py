"""A real browser, Debian's Chromium, on the console of a busy scene."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest
from browsing import Visitor
from busy_scene import BusyScene, busy_scene
from playwright.sync_api import Browser, sync_playwright
from served_console import served_token

CHROMIUM: Final = os.environ.get("SGEVENTS_CHROMIUM", "chromium")
"""The browser's program."""
FLAGS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BusyScene]:
    """A running daemon with a failing, a hanging and a paused plugin, and its console."""
    with busy_scene(tmp_path_factory.mktemp("busy")) as running_scene:
        yield running_scene


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A new Chromium, which keeps nothing of another run.

    It ends with its module: an event loop runs in this thread as long as it does.
    """
    program = shutil.which(CHROMIUM)
    assert program, "Chromium is missing: apt-get install chromium, or name it in SGEVENTS_CHROMIUM"
    with (
        sync_playwright() as playwright,
        closing(playwright.chromium.launch(executable_path=program, args=list(FLAGS))) as started,
    ):
        yield started


@pytest.fixture(scope="module")
def token(scene: BusyScene) -> str:
    """The token of the console's start."""
    return served_token(scene.console.output)


@pytest.fixture
def visitor(browser: Browser, scene: BusyScene, token: str) -> Iterator[Visitor]:
    """Somebody who has signed in, on a wide screen in another time zone."""
    with closing(Visitor(browser, scene.console.address, width=1300, scheme="light")) as person:
        person.sign_in(token)
        yield person


@pytest.fixture(scope="session")
def docs_images() -> Path | None:
    """Where screenshots of the documentation go; None unless they are to be renewed."""
    wanted = os.environ.get("SGEVENTS_RENEW_SCREENSHOTS")
    return Path(__file__).parents[3] / "docs" / "images" if wanted else None
