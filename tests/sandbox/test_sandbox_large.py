"""A large log costs no more per page than a small one, and is filled quickly."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sgevents_core.sandbox import Sandbox
from sgevents_core.sandbox.client_values import wire_filters

FIELDS = ["event_type", "attribute_name", "meta", "entity", "user", "project", "created_at"]
SMALL, LARGE = 5_000, 100_000


@pytest.fixture(scope="module")
def sites() -> Iterator[tuple[Sandbox, Sandbox]]:
    """A site with a small log and one with a log twenty times as large."""
    with Sandbox(events=SMALL) as small, Sandbox(events=LARGE) as large:
        yield small, large


def seconds(call: Callable[[], Any]) -> float:
    """The least processor time of several that a call takes."""
    times = []
    for _ in range(7):
        began = time.process_time()
        call()
        times.append(time.process_time() - began)
    return min(times)


def asked(site: Sandbox, position: float, kind: str) -> tuple[str, dict[str, Any]]:
    """A call about a position in the log, from 0 for its start to 1 for its end."""
    ids = site.log.visible_ids()
    at = ids[int(position * (len(ids) - 1))]
    stamp = site.log.row(at).created_at
    spread = ids[:: max(1, len(ids) // 300)]
    filters: Any = {
        "ascending": [["id", "greater_than", at]],
        "descending": [["id", "less_than", at]],
        "in": [["id", "in", spread]],
        "ranges": [
            {
                "filter_operator": "any",
                "filters": [["id", "between", event_id, event_id + 1] for event_id in spread],
            }
        ],
        "count": [["id", "between", ids[0], at]],
        "time": [["created_at", "greater_than", stamp]],
    }[kind]
    params: dict[str, Any] = {"type": "EventLogEntry", "filters": wire_filters(filters)}
    if kind == "count":
        return "summarize", {**params, "summaries": [{"field": "id", "type": "count"}]}
    direction = "desc" if kind == "descending" else "asc"
    return "read", {
        **params,
        "return_fields": FIELDS,
        "sorts": [{"field_name": "id", "direction": direction}],
        "paging": {"entities_per_page": 1 if kind == "time" else 500, "current_page": 1},
        "return_paging_info_without_counts": True,
    }


@pytest.mark.parametrize("kind", ["ascending", "descending", "in", "ranges", "count", "time"])
def test_time_does_not_grow_with_the_log(sites: tuple[Sandbox, Sandbox], kind: str) -> None:
    """Pages by id in both directions, ranges, counts and times cost the same in a larger log."""
    small, large = sites
    small_call, large_call = asked(small, 0.5, kind), asked(large, 0.5, kind)
    small_time = seconds(lambda: small.call(*small_call))
    large_time = seconds(lambda: large.call(*large_call))
    assert large_time < 6 * small_time + 0.002


def test_server_is_quicker_than_the_client(sites: tuple[Sandbox, Sandbox], connect: Any) -> None:
    """Most of the time of reading pages is the client's own."""
    _, large = sites
    sg = connect(large)
    method, params = asked(large, 0.5, "ascending")
    of_site = seconds(lambda: large.call(method, params))
    above = large.log.highest_id - 2_000
    filters = [["id", "greater_than", above]]
    whole = seconds(lambda: sg.find("EventLogEntry", filters, FIELDS, limit=500))
    assert of_site < whole / 2


def test_filled_rows_are_like_others(sites: tuple[Sandbox, Sandbox], connect: Any) -> None:
    """Rows of a large log have all their fields, timestamps that ascend, and end now."""
    _, large = sites
    sg = connect(large)
    highest = large.log.highest_id
    rows = sg.find("EventLogEntry", [["id", "greater_than", highest - 1_000]], FIELDS)
    assert [row["id"] for row in rows] == list(range(highest - 999, highest + 1))
    assert all(row["event_type"] and row["meta"] and row["user"] for row in rows)
    stamps = [row["created_at"] for row in rows]
    assert stamps == sorted(stamps)
    recent = [["created_at", "in_last", 1, "HOUR"]]
    count = [{"field": "id", "type": "count"}]
    assert sg.summarize("EventLogEntry", recent, count)["summaries"]["id"] > 1_000
    assert large.event("Studio_After") == highest + 1


def test_fill_is_the_same_for_the_same_seed() -> None:
    """The same seed fills a log with the same rows; that of an empty site contains logins."""

    def types(seed: int) -> list[str | None]:
        with Sandbox(seed=seed, events=300) as site:
            return [site.log.row(event_id).event_type for event_id in site.log.visible_ids()]

    assert types(1) == types(1) != types(2)
    with Sandbox(project=False, events=3) as site:
        assert {row["event_type"] for row in site.event_rows()} == {"Shotgun_User_Login"}
        assert len(site.fill(0)) == 0


def test_many_clients_at_once(empty: Sandbox, connect: Any) -> None:
    """Clients on several threads each get whole answers while rows are written."""
    failures: list[BaseException] = []
    empty.fill(2_000)

    def read() -> None:
        try:
            sg = connect(empty)
            for _ in range(3):
                ids_read = [row["id"] for row in sg.find("EventLogEntry", [], ["id"])]
                assert ids_read[:2_000] == list(range(1, 2_001))
                sg.create("Tag", {"name": "x"})
        except BaseException as error:
            failures.append(error)

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert failures == []
    assert len(empty.find("Tag")) == 12
