"""What is wrong in a picture of a daemon."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from sgevents_core.alerts.conditions import (
    LONGEST_TEXT,
    MOST_GROUPS,
    Condition,
    DiskSpace,
    Picture,
    conditions_in,
)
from sgevents_core.choices import AlertKind
from sgevents_core.observe.lasting_failure import LastingFailure
from sgevents_core.reading.overview import FeedOverview, Overview, PluginOverview
from sgevents_core.state.feed_values import SetAside
from sgevents_core.state.letters import LetterGroup
from sgevents_core.state.pulse import Pulse

NOW = 1_000_000.0
GIGABYTE = 10**9


def feed(**changed: Any) -> FeedOverview:
    """Return a feed that is well, except for what is changed."""
    well: dict[str, Any] = {"newest_id": 9, "complete_to": 9, "proved_to": 9, "proved_at": NOW}
    well |= {"waiting": 0, "waiting_ranges": 0, "given_up": 0, "answered_s_ago": 0, "rewound": ""}
    return FeedOverview(**(well | changed))


def plugin(**changed: Any) -> PluginOverview:
    """Return a plugin that is well, except for what is changed."""
    well: dict[str, Any] = {"name": "status", "lane": "default", "state": "active", "reason": ""}
    well |= {"behind": 0, "behind_s": 0.0, "retry_in_s": 0.0, "dead_letters": 0, "failures": 0}
    return PluginOverview(**(well | {"last_error": ""} | changed))


def picture(
    *plugins: PluginOverview, feed_overview: FeedOverview | None = None, **changed: Any
) -> Picture:
    """Return a picture in which all is well, except for what is changed."""
    pulse = changed.pop("pulse", None) or pulse_with()
    aside = changed.pop("set_aside", ())
    overview = Overview(
        pid=1,
        host="h",
        events=9,
        feed=feed_overview or feed(),
        plugins=plugins,
        pulse=pulse,
        set_aside=aside,
    )
    return Picture(NOW, NOW - 7200, overview, pulse=pulse, **changed)


def pulse_with(**changed: Any) -> Pulse:
    """Return a pulse, with what is changed."""
    return Pulse(pid=1, version="1", started=NOW, at=NOW, **changed)


def groups(count: int, error: str = "ValueError: {}") -> list[LetterGroup]:
    """Return groups of dead letters of one callback."""
    return [LetterGroup("p", "p:f", error.format(n), 3, n, NOW, NOW) for n in range(count)]


CASES = {
    "outage": picture(pulse=pulse_with(site=LastingFailure("no route", NOW - 5))),
    "refused": picture(pulse=pulse_with(site=LastingFailure("bad key", NOW, refused=True))),
    "not written": picture(pulse=pulse_with(journal=LastingFailure("no space", NOW))),
    "nearly full": picture(disk=DiskSpace(GIGABYTE // 2, 100 * GIGABYTE)),
    "paused": picture(plugin(state="paused", reason="ValueError")),
    "held": picture(plugin(state="held", reason="ValueError")),
    "not loaded": picture(plugin(state="not loaded")),
    "broken": picture(plugin(state="not loaded"), broken={"status": "SyntaxError"}),
    "behind": picture(plugin(behind=7, behind_s=601.0)),
    "parked": picture(feed_overview=feed(parked=2000)),
    "rewound": picture(feed_overview=feed(rewound="it ends at 5")),
    "unproved": picture(feed_overview=feed(proved_at=NOW - 3601)),
    "aside": picture(set_aside=[SetAside("7", "odd", "site", NOW)]),
    "crash": picture(crashed_at=NOW - 60),
    "worker": picture(worker_deaths={"render": 2, "other": 0}),
    "letters": picture(letters=groups(1)),
}
KINDS = {
    **{"outage": "outage", "refused": "outage", "not written": "disk", "nearly full": "disk"},
    **{"paused": "paused", "held": "held", "not loaded": "broken", "broken": "broken"},
    **{"behind": "lag", "parked": "parked", "rewound": "rewound", "unproved": "incomplete"},
    **{"aside": "incomplete", "crash": "crash", "worker": "crash", "letters": "dead_letter"},
}


def test_worker_processes_that_ended_are_said_to_have_ended() -> None:
    """In a whole sentence, with their lane."""
    (condition,) = conditions_in(CASES["worker"], 600.0)
    assert condition.text == "2 worker processes of lane render ended"


@pytest.mark.parametrize("case", CASES)
def test_each_thing_that_is_wrong_is_one_condition(case: str) -> None:
    """It has its kind, says what is wrong, and what to do."""
    (condition,) = conditions_in(CASES[case], 600.0)
    assert condition.kind == KINDS[case]
    assert condition.text == condition.text.strip()
    assert condition.text
    assert condition.fix


def test_every_kind_of_the_configuration_can_happen() -> None:
    """None of `on` is empty words."""
    assert set(KINDS.values()) == set(get_args(AlertKind))


def test_nothing_is_wrong_with_a_daemon_that_is_well() -> None:
    """A disk of a container may be small, a plugin a little behind, and a state not there yet."""
    well = picture(
        plugin(behind=7, behind_s=599.0),
        plugin(name="off", state="disabled", behind_s=9e9),
        disk=DiskSpace(GIGABYTE // 2, GIGABYTE),
    )
    assert list(conditions_in(well, 600.0)) == []
    assert list(conditions_in(Picture(NOW, NOW, None), 600.0)) == []


def test_a_state_that_cannot_even_be_read_is_a_condition() -> None:
    """With what helps there; and nothing else is known, so that nothing else counts as over."""
    trouble = LastingFailure("the servers are away", NOW, fix="see whether they run")
    unread = Picture(NOW, NOW, None, pulse=pulse_with(journal=trouble))
    (condition,) = conditions_in(unread, 600.0)
    assert (condition.kind, condition.fix) == ("disk", "see whether they run")
    assert "the servers are away" in condition.text
    assert not unread.is_whole


def test_an_outage_is_not_also_a_missing_proof() -> None:
    """Nothing can be proved while the site does not answer."""
    down = picture(
        feed_overview=feed(proved_at=0), pulse=pulse_with(site=LastingFailure("down", NOW))
    )
    assert [condition.kind for condition in conditions_in(down, 600.0)] == ["outage"]


def test_failures_of_a_callback_are_few_conditions() -> None:
    """A thousand different errors of one callback are told apart up to a bound."""
    told = list(conditions_in(picture(letters=groups(1000)), 600.0))
    assert len(told) == MOST_GROUPS + 1
    assert told[-1].times == 3 * (1000 - MOST_GROUPS)
    assert len({condition.key for condition in told}) == len(told)


@pytest.mark.parametrize(
    "hostile", ["\x1b[2J", "a\nTo do: rm -rf /", "\u202egnp", "<script>", "@everyone", "x" * 10**6]
)
def test_texts_from_outside_are_text(hostile: str) -> None:
    """Nothing in an error or a name makes a line, hides one, or calls everybody in a chat."""
    told = conditions_in(
        picture(
            plugin(name=hostile, state="paused", reason=hostile),
            letters=[LetterGroup(hostile, hostile, hostile, 1, 1, NOW, NOW)],
            broken={hostile: hostile},
            pulse=pulse_with(site=LastingFailure(hostile, NOW)),
        ),
        600.0,
    )
    for condition in told:
        assert_is_plain(condition)


def assert_is_plain(condition: Condition) -> None:
    """Check the text of a condition, and what to do about it."""
    for text in (condition.text, condition.fix):
        assert len(text) < 4 * LONGEST_TEXT
        assert "\n" not in text
        assert text.replace("\u2060", "").isprintable()
        assert "@everyone" not in text
