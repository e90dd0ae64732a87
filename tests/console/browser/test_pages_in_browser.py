"""Every page in a real browser: it fits, nothing keeps people out, nothing leaves the host."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import pytest
from browsing import Visitor
from busy_scene import BusyScene
from console_visits import config_file
from hostile_states import (
    FIRST_EVENT,
    NAMES,
    TEXTS,
    fill_with_hostile_events,
    fill_with_hostile_plugins,
)
from playwright.sync_api import Browser
from served_console import ServedConsole, served_console

from sgevents_core.console.pages import PAGES

PLAIN = [page.path for page in PAGES if page.in_navigation and page.template]
PATHS = [*PLAIN, "plugin?name=failing", "plugin?name=archive"]
PATHS += ["event?id=1500", "failures?plugin=failing", "events?failed=true"]
PATHS += ["failures-preview?action=retry&plugin=failing"]
PICTURED = (1300, "light")
"""How pages look in the documentation."""
SCREENSHOTS = {
    "": "console-overview",
    "plugin?name=failing": "console-plugin",
    "failures": "console-failures",
    "event?id=1500": "console-event",
    "log": "console-log",
}
"""Page -> its picture in docs/images."""


@pytest.mark.parametrize("width", [1300, 400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_fits_and_is_for_everybody(
    browser: Browser,
    scene: BusyScene,
    token: str,
    width: int,
    scheme: Literal["light", "dark"],
    docs_images: Path | None,
) -> None:
    """On wide and narrow screens, in light and dark, with hostile texts on the pages."""
    with closing(Visitor(browser, scene.console.address, width=width, scheme=scheme)) as visitor:
        visitor.sign_in(token)
        found: dict[str, object] = {}
        for path in PATHS:
            visitor.open(f"/sites/{scene.slug}/{path}")
            if visitor.overhang():
                found[f"{path} is too wide"] = visitor.overhang()
            if barriers := visitor.barriers():
                found[path] = barriers
            if docs_images is not None and path in SCREENSHOTS and (width, scheme) == PICTURED:
                docs_images.mkdir(exist_ok=True)
                visitor.page.screenshot(path=docs_images / f"{SCREENSHOTS[path]}.png")
        assert found == {}


@pytest.mark.parametrize("path", ["/sign-in", "/nothing/here", "/?all"])
def test_pages_outside_a_site_are_for_everybody_too(visitor: Visitor, path: str) -> None:
    """The sign-in, the list of sites, and what is shown where there is no page."""
    visitor.page.goto(f"{visitor.address}{path}")
    visitor.wait_for_scripts()
    assert visitor.barriers() == []
    assert visitor.overhang() == 0
    visitor.errors.clear()  # Chromium reports the status 404, too


@pytest.fixture(scope="module")
def hostile_console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedConsole]:
    """A console of a state in which every value is hostile; everybody may come in."""
    folder = tmp_path_factory.mktemp("hostile")
    fill_with_hostile_plugins(folder / "studio")
    fill_with_hostile_events(folder / "studio")
    more = '[console]\nlisten = "127.0.0.1:0"\naccess = "open"\n'
    with served_console(config_file(folder, more=more)) as console:
        yield console


@pytest.mark.parametrize("width", [1300, 400])
def test_the_layout_holds_whatever_is_in_it(
    browser: Browser, hostile_console: ServedConsole, width: int
) -> None:
    """Long words, markup, control characters and other directions in every name and text."""
    kinds = ("long", "long words", "ansi")
    paths = [*PLAIN, *(f"plugin?name={quote(NAMES[kind])}" for kind in kinds)]
    paths += [f"event?id={FIRST_EVENT + [*TEXTS].index(kind)}" for kind in kinds]
    paths += [f"failures?plugin={quote(NAMES[kind])}" for kind in kinds]
    with closing(Visitor(browser, hostile_console.address, width=width, scheme="light")) as visitor:
        too_wide: dict[str, int] = {}
        for path in paths:
            visitor.open(f"/sites/studio/{path}")
            if visitor.overhang():
                too_wide[path] = visitor.overhang()
        assert too_wide == {}
        assert visitor.questions == []
