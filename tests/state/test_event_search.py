"""The events that people search for, in each home of a state."""

from __future__ import annotations

from contextlib import closing
from itertools import product
from typing import Any

import pytest
from journal_rows import AT, event_row, grow
from msgspec.structs import replace
from state_values import failure

from sgevents_core.scripts import Scripts
from sgevents_core.state.entries import Row
from sgevents_core.state.event_choice import EventChoice
from sgevents_core.state.progress import Progress
from sgevents_core.state.protocols import State, Writer
from sgevents_core.state.steps import Step
from sgevents_core.state.strands import strands_of_body

SHOT = {"type": "Shot", "id": 12, "name": "SH010"}
PROJECT = {"type": "Project", "id": 5, "name": 'Die "Möwe"'}
ANNA = {"type": "HumanUser", "id": 7, "name": "Anna Müller"}
ROLLUP = {"type": "ApiUser", "id": 7, "name": "rollup 1.0"}
RETIRED = {"type": "entity_retirement", "entity_type": "Shot", "entity_id": 12}


def with_strands(row: Row) -> Row:
    """The row as a newer version stores it."""
    return replace(row, strands=strands_of_body(row.body, row.id))


ROWS = [
    event_row(1, "Shotgun_Shot_New", entity=SHOT, project=PROJECT, user=ANNA),
    with_strands(event_row(2, "Shotgun_Shot_Change", AT + 10, entity=SHOT, project=PROJECT)),
    with_strands(event_row(4, "Shotgun_Shot_Retirement", AT + 30, meta=RETIRED, user=ROLLUP)),
    with_strands(
        event_row(5, "Studio_Odd?", AT + 40, user=ANNA, meta={"sudo_actual_user": ROLLUP})
    ),
    event_row(3, "Shotgun_Task_Change", AT + 20, entity={**SHOT, "type": "Task"}, project=PROJECT),
    with_strands(event_row(6, "Shotgun_Shot_Change", AT + 50, entity={**SHOT, "id": 76})),
    replace(event_row(7, "Shotgun_Asset_New", AT + 60), body=b"{no row"),
]


@pytest.fixture
def searched(home: State, state: Writer) -> State:
    """A state with the rows above, the fifth late; a plugin has failed on the first and third."""
    for rows in (ROWS[:4], ROWS[4:5], ROWS[5:]):
        grow(state, rows, late=[3])
    fence = state.take_lane("main")
    state.record("main", fence, Step(progress=Progress(1), failure=failure(seq=1), dead=True))
    state.record("main", fence, Step(progress=Progress(3), failure=failure("count", seq=3)))
    return home


def ids(state: State, above: int = 0, below: int = 99, limit: int = 50, **chosen: Any) -> list[int]:
    """The ids that a choice finds, in the order of the answer."""
    with closing(state.past()) as past:
        entries = past.chosen(
            EventChoice(**chosen), Scripts({7: "rollup"}), above=above, below=below, limit=limit
        )
    return [entry.event_id for entry in entries]


def test_everything_newest_first(searched: State) -> None:
    """In the order of the journal, not of the ids; up to the limit, between the two places."""
    assert ids(searched) == [7, 6, 3, 5, 4, 2, 1]
    assert ids(searched, limit=2) == [7, 6]
    assert ids(searched, above=2, below=5) == [5, 4]


@pytest.mark.parametrize(
    ("chosen", "found"),
    [
        ({"event_type": "Shotgun_Shot_New"}, [1]),
        ({"event_type": "Shotgun_Shot_*"}, [6, 4, 2, 1]),
        ({"event_type": "*_Change"}, [6, 3, 2]),
        ({"event_type": "Studio_Odd?"}, [5]),
        ({"event_type": "Studio_Odd?*"}, [5]),
        ({"event_type": "Shotgun_Shot_Ne?"}, []),
        ({"event_type": "Shotgun_[S]hot_*"}, []),
        ({"entity": "Shot 12"}, [4, 2, 1]),
        ({"entity": "Shot:76"}, [6]),
        ({"entity": "Shot"}, [6, 4, 2, 1]),
        ({"entity": "12"}, [3, 4, 2, 1]),
        ({"entity": "SH010"}, [6, 3, 2, 1]),
        ({"entity": "SH01"}, []),
        ({"project": "5"}, [3, 2, 1]),
        ({"project": 'Die "Möwe"'}, [3, 2, 1]),
        ({"project": "Die"}, []),
        ({"user": "7"}, [5, 4, 1]),
        ({"user": "ApiUser 7"}, [5, 4]),
        ({"user": "Anna Müller"}, [5, 1]),
        ({"script": "rollup"}, [5, 4]),
        ({"script": "roll"}, []),
        ({"created_since": AT + 30}, [7, 6, 5, 4]),
        ({"created_until": AT + 20}, [3, 2, 1]),
        ({"ids": (3, 4)}, [3, 4]),
        ({"ids": (3, 3_000)}, [7, 6, 3, 5, 4]),
        ({"late": True}, [3]),
        ({"failed": True}, [4, 1]),
        ({"failed_plugin": "count"}, [4]),
        ({"failed_plugin": "nobody"}, []),
        ({"entity": "Shot 12", "event_type": "*_Change", "failed": True}, []),
        ({"entity": "Shot 12", "failed": True, "user": "7", "created_since": AT}, [4, 1]),
    ],
)
def test_each_condition(searched: State, chosen: dict[str, Any], found: list[int]) -> None:
    """Each alone, and several together; a row that cannot be read has only its columns."""
    assert ids(searched, **chosen) == found


def test_conditions_on_the_row_are_never_decided_by_the_cheap_ones(
    home: State, state: Writer
) -> None:
    """Whatever the encoding of a name, and whether the strand is stored or not."""
    names = [
        "Möwe",
        "a/b",
        'say "hi"',
        "back\\slash",
        "日本",
        "<b>",
        "ß",
        "plain name",
        "tab\there",
    ]
    rows = []
    for number, (name, is_stored) in enumerate(product(names, (True, False)), 1):
        link = {"type": "Shot", "id": 1_000 + number, "name": name}
        row = event_row(number, entity=link, project=link, user=link)
        rows.append(with_strands(row) if is_stored else row)
    grow(state, rows)
    for number, name in enumerate(names):
        for condition in ("entity", "project", "user"):
            assert ids(home, **dict[str, Any]({condition: name})) == [
                2 * number + 2,
                2 * number + 1,
            ]
            assert ids(home, **dict[str, Any]({condition: str(1_001 + number)})) == [number + 1]
            if condition != "project":
                assert ids(home, **dict[str, Any]({condition: f"Shot {1_001 + number}"})) == [
                    number + 1
                ]


def test_ids_of_every_era(home: State, state: Writer) -> None:
    """An id that the site gave twice is found twice, and the newest event of it is the one."""
    grow(state, [event_row(1), event_row(2)])
    grow(state, [event_row(2, "Shotgun_Shot_New")], era=3)
    assert ids(home, ids=(2, 2)) == [2, 2]
    with closing(home.past()) as past:
        newest = past.event(2)
    assert newest is not None
    assert newest.era == 3
