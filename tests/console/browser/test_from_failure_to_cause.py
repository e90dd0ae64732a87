"""From "something is wrong" to the cause and another try, and the search of events."""

from __future__ import annotations

from contextlib import closing

import pytest
from browsing import WAIT, Visitor
from busy_scene import BusyScene
from playwright.sync_api import expect
from waiting import wait_until

from sgevents_core.state.letters import LetterChoice
from sgevents_core.state.opening import open_state


def letters_left(scene: BusyScene, error: str) -> set[int]:
    """The numbers of the failing plugin's dead letters whose errors contain a text."""
    with closing(open_state(scene.daemon.folder / "state").letters()) as letters:
        return {letter.number for letter in letters.listed(LetterChoice("failing", error=error))}


def open_group(visitor: Visitor, scene: BusyScene) -> None:
    """Come from the overview to the dead letters without a delivery folder."""
    visitor.open(f"/sites/{scene.slug}/")
    need = visitor.page.locator(".need", has_text="failing").first
    need.get_by_role("link", name="Look at the failures").click()
    row = visitor.page.locator("tr", has_text="no delivery folder for event #")
    row.get_by_role("link", name="Open").click()
    expect(visitor.page.locator("pre").first).to_contain_text("raise ValueError")


def test_from_the_overview_to_the_cause_and_a_retry(visitor: Visitor, scene: BusyScene) -> None:
    """Five clicks: the failures, the group with its traceback, one event, and another try of it."""
    open_group(visitor, scene)
    letters = visitor.page.locator("#selection tbody tr")
    letters.first.get_by_role("link").click()
    fate = visitor.page.locator(".fate", has_text="failing")
    expect(fate.locator(".badge", has_text="dead letter")).to_be_visible()
    expect(fate.locator("pre")).to_contain_text("no delivery folder")
    fate.get_by_role("button", name="Retry").click()
    expect(visitor.page.get_by_role("status")).to_contain_text("failed again")
    expect(visitor.page.locator(".fate", has_text="failing")).to_contain_text("attempt 2")


def test_a_selection_is_dismissed_after_a_preview(visitor: Visitor, scene: BusyScene) -> None:
    """The preview says how many; going on drops those, and no others."""
    before = letters_left(scene, "no delivery folder")
    open_group(visitor, scene)
    chosen = visitor.page.locator("#selection input[type=checkbox]").all()[:2]
    numbers = {int(box.get_attribute("value") or 0) for box in chosen}
    for box in chosen:
        box.check()
    visitor.page.get_by_role("button", name="Dismiss the chosen").click()
    expect(visitor.page.get_by_role("heading")).to_contain_text("Dismiss 2 dead letters?")
    visitor.page.get_by_label("Why, for others").fill("the folder is gone")
    visitor.page.get_by_role("button", name="Dismiss 2").click()
    expect(visitor.page.get_by_role("status").first).to_contain_text("dismissed")
    left = letters_left(scene, "no delivery folder")
    assert before - left == numbers


def test_events_come_by_themselves_and_can_be_paused(visitor: Visitor, scene: BusyScene) -> None:
    """The newest row is renewed; while the page is paused it stays."""
    visitor.open(f"/sites/{scene.slug}/events")
    newest = visitor.page.locator("tbody tr").first.locator("a.plain, td a").first
    before = newest.inner_text()
    scene.site.fill(2)
    expect(newest).not_to_have_text(before, timeout=WAIT)
    visitor.page.keyboard.press("p")
    expect(visitor.page.get_by_role("button", name="Paused")).to_be_visible()
    visitor.page.keyboard.press("p")


@pytest.mark.parametrize(
    ("label", "text"), [("Id or ids", "1501-1503"), ("Type", "Shotgun_Task_*")]
)
def test_a_search_is_in_the_address(
    visitor: Visitor, scene: BusyScene, label: str, text: str
) -> None:
    """So that it can be sent to somebody, who sees the same; the key / leads to the fields."""
    visitor.open(f"/sites/{scene.slug}/events")
    visitor.page.keyboard.press("/")
    expect(visitor.page.get_by_label("Id or ids")).to_be_focused()
    visitor.page.get_by_label(label, exact=True).fill(text)
    visitor.page.keyboard.press("Enter")
    visitor.wait_for_scripts()
    rows = visitor.page.locator("tbody tr").count()
    visitor.open(visitor.page.url.removeprefix(visitor.address))
    expect(visitor.page.get_by_label(label, exact=True)).to_have_value(text)
    assert visitor.page.locator("tbody tr").count() == rows > 0


def test_the_fixture_is_copied(visitor: Visitor, scene: BusyScene) -> None:
    """The button says that it is done, or marks the text where the browser does not allow it."""
    visitor.open(f"/sites/{scene.slug}/event?id=1500")
    visitor.page.get_by_text("As a fixture for a test").click()
    visitor.page.get_by_role("button", name="Copy").click()
    wait_until(
        lambda: visitor.page.evaluate(
            "document.querySelector('[data-copy]').textContent === 'Copied'"
            " || getSelection().toString().includes('EventLogEntry')"
        ),
        what="the fixture is copied or marked",
    )


def test_a_dry_run_asks_nothing_and_a_replay_does(visitor: Visitor, scene: BusyScene) -> None:
    """One changes nothing, the other calls the plugin; the result of each is shown."""
    visitor.open(f"/sites/{scene.slug}/event?id=1500")
    visitor.page.locator("select[name=plugin]").select_option("notes")
    visitor.page.get_by_role("button", name="Dry run").click()
    run = visitor.page.locator(".fate", has_text="Dry run of notes")
    expect(run.locator(".badge")).to_have_text("done", timeout=WAIT)
    assert visitor.questions == []
    visitor.page.locator("select[name=plugin]").select_option("notes")
    visitor.page.get_by_role("button", name="Replay").click()
    expect(visitor.page.get_by_role("status")).to_contain_text("replayed 1 event")
    assert visitor.questions == ["Call the plugin for event 1500 again?"]


def test_the_log_is_a_picture(visitor: Visitor, scene: BusyScene) -> None:
    """Each square says which ids it is."""
    visitor.open(f"/sites/{scene.slug}/log")
    square = visitor.page.locator("svg.log rect").first
    expect(square).to_be_visible()
    assert "taken" in (square.locator("title").text_content() or "")
