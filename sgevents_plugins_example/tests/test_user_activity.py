"""The plugin user-activity, loaded as the daemon loads it, on the events of a sandbox site."""

from __future__ import annotations

from collections.abc import Callable

from desk import Desk, set_status, task, version

Told = Callable[[], list[str]]


def test_three_callbacks_share_one_count(desk: Desk, told: Told) -> None:
    """What two callbacks count the third tells, by user, and begins anew."""
    desk.enable("user-activity")
    one = task(desk)
    set_status(desk, one, "ip")
    set_status(desk, one, "fin")
    version(desk)
    with desk.site.transaction("anna") as work:
        work.event("Shotgun_User_Logout")
        work.event("Shotgun_User_Logout")
    assert set(desk.catch_up()) == {"count_change", "count_new", "report"}
    assert told() == ["Anna logged out: 2 changed, 1 created", "Anna logged out: nothing done"]
