"""Using the console: from something that is wrong to its cause and a remedy."""

from __future__ import annotations

import re
from contextlib import closing

from browsing import WAIT, Visitor
from busy_scene import BusyScene
from playwright.sync_api import Browser, expect
from waiting import wait_until


def path_of(visitor: Visitor) -> str:
    """Return the path of the page that is shown."""
    return visitor.page.url.removeprefix(visitor.address)


def test_a_link_with_the_token_is_gone_at_once(
    browser: Browser, scene: BusyScene, token: str
) -> None:
    """The address that a person copies from the browser has no token in it."""
    with closing(Visitor(browser, scene.console.address, width=1300, scheme="light")) as visitor:
        visitor.page.goto(f"{visitor.address}/sites/{scene.slug}/plugins")
        assert path_of(visitor).startswith("/sign-in?next=")
        visitor.page.get_by_label("Token").fill(token)
        visitor.page.get_by_role("button", name="Sign in").click()
        expect(visitor.page.get_by_role("heading", name="Plugins")).to_be_visible()
        assert path_of(visitor) == f"/sites/{scene.slug}/plugins"
        visitor.page.get_by_role("button", name="Sign out").click()
        expect(visitor.page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_what_needs_a_person_comes_first_and_leads_to_a_remedy(
    visitor: Visitor, scene: BusyScene
) -> None:
    """From the overview to the paused plugin, its cause, and its resumption, in three clicks."""
    visitor.open(f"/sites/{scene.slug}/")
    need = visitor.page.locator(".need", has_text="Plugin archive is paused")
    expect(need).to_contain_text("the archive is read-only")
    need.get_by_role("link", name="Open the plugin").click()
    trouble = visitor.page.locator(".trouble")
    expect(trouble).to_contain_text('raise PermissionError("the archive is read-only")')
    expect(trouble.get_by_role("link")).to_have_attribute("href", re.compile(r"event\?id=\d+$"))
    visitor.page.get_by_role("button", name="Resume").click()
    expect(visitor.page.get_by_role("status")).to_be_visible()
    visitor.page.get_by_role("link", name="Requests").click()
    row = visitor.page.locator("tr", has_text="resume").first
    expect(row).to_contain_text("archive")
    expect(row).to_contain_text("done")


def test_a_plugin_is_paused_with_a_reason_and_resumed(visitor: Visitor, scene: BusyScene) -> None:
    """The daemon carries it out while the person looks on; the reason is kept."""
    visitor.open(f"/sites/{scene.slug}/plugin?name=notes")
    visitor.page.get_by_label("Why, for others").fill("the disk is full")
    visitor.page.get_by_role("button", name="Pause").click()
    expect(visitor.page.locator("main .badge.bad").first).to_have_text("paused")
    assert scene.state_of("notes") == "paused"
    visitor.page.get_by_role("button", name="Resume").click()
    expect(visitor.page.get_by_role("status")).to_be_visible()
    wait_until(lambda: scene.state_of("notes") != "paused", what="the plugin goes on")
    visitor.open(f"/sites/{scene.slug}/requests")
    expect(visitor.page.locator("main")).to_contain_text("reason: the disk is full")


def test_the_list_of_plugins_asks_before_a_pause(visitor: Visitor, scene: BusyScene) -> None:
    """One wrong click does nothing."""
    visitor.open(f"/sites/{scene.slug}/plugins")
    link = visitor.page.get_by_role("link", name="failing", exact=True)
    row = visitor.page.locator("tr", has=link)
    row.get_by_role("button", name="Pause").click()
    expect(visitor.page.get_by_role("status")).to_be_visible()
    assert visitor.questions[0].startswith("Pause failing?")
    row.get_by_role("button", name="Resume").click()
    expect(visitor.page.get_by_role("status")).to_be_visible()


def test_hostile_texts_execute_nothing(visitor: Visitor, scene: BusyScene) -> None:
    """Markup in an error is read as text; no question opens, no script runs."""
    visitor.open(f"/sites/{scene.slug}/plugin?name=failing")
    visitor.open(f"/sites/{scene.slug}/")
    text = visitor.page.locator("main").inner_text()
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert visitor.questions == []


def test_a_page_renews_itself_and_keeps_what_is_open(visitor: Visitor, scene: BusyScene) -> None:
    """New events show without a reload; paused, the page stays as it is."""
    visitor.open(f"/sites/{scene.slug}/")
    newest = visitor.page.locator(".figure", has_text="Newest event").locator(".value")
    before = newest.inner_text()
    visitor.page.evaluate("document.querySelector('main').dataset.mark = 'the same page'")
    scene.site.fill(3)
    expect(newest).not_to_have_text(before, timeout=WAIT)
    assert visitor.page.evaluate("performance.getEntriesByType('navigation').length") == 1
    visitor.page.keyboard.press("p")
    switch = visitor.page.get_by_role("button", name="Paused")
    expect(switch).to_have_attribute("aria-pressed", "false")
    switch.click()
    expect(visitor.page.get_by_role("button", name="Live")).to_be_visible()


def test_the_keyboard_is_enough(visitor: Visitor, scene: BusyScene) -> None:
    """Keys lead to pages and show what they are; the first tab stop skips the navigation."""
    visitor.open(f"/sites/{scene.slug}/")
    visitor.page.keyboard.press("Tab")
    expect(visitor.page.get_by_role("link", name="Skip to the content")).to_be_focused()
    visitor.page.keyboard.press("?")
    expect(visitor.page.get_by_role("dialog", name="Keys")).to_be_visible()
    visitor.page.keyboard.press("Escape")
    visitor.page.keyboard.press("g")
    visitor.page.keyboard.press("p")
    expect(visitor.page.get_by_role("heading", name="Plugins")).to_be_visible()


def test_times_are_the_readers_with_the_studios_beside(visitor: Visitor, scene: BusyScene) -> None:
    """The reader is in Tokyo, the studio in Vancouver."""
    visitor.open(f"/sites/{scene.slug}/requests")
    visitor.open(f"/sites/{scene.slug}/")
    shown = visitor.page.locator(".head time").first
    assert re.fullmatch(r"(\S+ )?\d\d:\d\d:\d\d *(\d\d-\d\d )?\d\d:\d\d P[SD]T", shown.inner_text())
    assert "Asia/Tokyo" in str(shown.get_attribute("title"))


def test_charts_are_drawn(visitor: Visitor, scene: BusyScene) -> None:
    """From the same addresses that programs read."""
    visitor.open(f"/sites/{scene.slug}/plugin?name=failing")
    plot = visitor.page.locator("figure.chart .plot canvas").first
    expect(plot).to_be_visible()
    visitor.page.get_by_role("button", name="1 day").click()
    expect(visitor.page.get_by_role("button", name="1 day")).to_have_attribute(
        "aria-pressed", "true"
    )
    expect(plot).to_be_visible()


def test_a_window_that_becomes_narrow_keeps_its_charts_inside(
    visitor: Visitor, scene: BusyScene
) -> None:
    """They are drawn anew for the width, as when a telephone is turned."""
    visitor.open(f"/sites/{scene.slug}/")
    canvas = visitor.page.locator("figure.chart .plot canvas").first
    expect(canvas).to_be_visible()
    wide = canvas.evaluate("chart => chart.clientWidth")
    visitor.page.set_viewport_size({"width": 400, "height": 800})
    wait_until(
        lambda: canvas.evaluate("chart => chart.clientWidth") < min(wide, 400),
        what="the chart is as narrow as the window",
    )
    visitor.width = 400
    assert visitor.overhang() == 0


def test_a_chart_shows_its_newest_values(visitor: Visitor, scene: BusyScene) -> None:
    """Below it, without a pointer over it, with the unit that fits."""
    visitor.open(f"/sites/{scene.slug}/")
    lag = visitor.page.locator("figure.chart", has_text="Lag of the lanes")
    expect(lag.locator(".u-legend")).to_contain_text(re.compile(r"lag\W*[\d.]+ (ms|s|min|h|d)\b"))
