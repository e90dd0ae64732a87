"""Ranges read on several connections to a site over HTTP."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from odd_site import OddSite, odd_site, text_of
from running_feed import Start, events
from site_records import AT, Connect
from waiting import PATIENCE

from sgevents_core.errors import SiteUnreachable
from sgevents_core.sandbox import Sandbox
from sgevents_core.site.questions import PageRange

RANGES = [PageRange(first, first + 9, 20, 1, AT) for first in range(2, 82, 10)]


def is_range(params: Mapping[str, Any]) -> bool:
    """Whether a question is for a range and the known row."""
    return any(one.get("logical_operator") == "or" for one in params["filters"]["conditions"])


@pytest.fixture
def long_log() -> Iterator[OddSite]:
    """A site with a hundred rows."""
    with odd_site() as site:
        site.rows = {id_: text_of(id_) for id_ in range(1, 101)}
        yield site


class Gate:
    """Lets questions for ranges pass only when it is opened, and knows how many wait."""

    def __init__(self, site: OddSite) -> None:
        self.waiting = 0
        self.most = 0
        self._opened = threading.Event()
        self._changed = threading.Condition()
        site.fails = self._hold

    def _hold(self, _found: list[int], params: Mapping[str, Any]) -> bool:
        if is_range(params):
            self._count(1)
            assert self._opened.wait(PATIENCE)
            self._count(-1)
        return False

    def _count(self, change: int) -> None:
        with self._changed:
            self.waiting += change
            self.most = max(self.most, self.waiting)
            self._changed.notify_all()

    def wait_for(self, number: int) -> None:
        """Wait until so many questions are there at the same time."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.waiting == number, PATIENCE)

    def open(self) -> None:
        """Let all pass from now on."""
        self._opened.set()


def test_ranges_are_asked_for_at_the_same_time(long_log: OddSite, connect: Connect) -> None:
    """As many as there may be, and their answers are those to the questions."""
    log, gate = connect(long_log.url), Gate(long_log)
    log.page_size()
    log.read_ahead(RANGES, 3)
    gate.wait_for(3)
    gate.open()
    for call in RANGES:
        log.read_ahead(RANGES[RANGES.index(call) :], 3)
        rows = log.ask(call).rows
        assert [row.id for row in rows] == [1, *range(call.first, call.last + 1)]
    assert gate.most == 3


def test_what_was_given_up_occupies_its_connection(long_log: OddSite, connect: Connect) -> None:
    """A site is never asked more at the same time than it should be, whatever is discarded."""
    log, gate = connect(long_log.url), Gate(long_log)
    log.page_size()
    log.read_ahead(RANGES[:2], 2)
    gate.wait_for(2)
    log.read_ahead(RANGES[2:4], 2)
    gate.open()
    assert [row.id for row in log.ask(RANGES[2]).rows][1:] == list(range(22, 32))
    assert gate.most <= 3  # the one that was waited for was asked whatever else was under way


def test_a_failure_comes_with_its_range(long_log: OddSite, connect: Connect) -> None:
    """The ranges below it are there; it is raised when the feed comes to it."""
    long_log.fails = lambda found, _params: 15 in found
    log = connect(long_log.url)
    log.page_size()
    log.read_ahead(RANGES, 4)
    assert [row.id for row in log.ask(RANGES[0]).rows][-1] == 11
    with pytest.raises(SiteUnreachable):
        log.ask(RANGES[1])


def test_a_closed_log_leaves_nothing_behind(long_log: OddSite, connect: Connect) -> None:
    """Calls under way fail, and their threads end."""
    before = set(threading.enumerate())
    log, gate = connect(long_log.url, timeout=PATIENCE), Gate(long_log)
    log.page_size()
    log.read_ahead(RANGES, 4)
    gate.wait_for(4)
    log.close()
    left = {thread for thread in set(threading.enumerate()) - before if "feed" in thread.name}
    gate.open()
    assert left == set()


@pytest.mark.parametrize("fault", ["none", "status 503", "status 429", "cut off", "slow"])
def test_catching_up_with_a_site(site: Sandbox, start: Start, fault: str) -> None:
    """Whatever it does meanwhile: every row once, in the order of the log."""
    for _ in range(8):
        events(site, 60)
        site.burn(7)
    site.burn(5000)
    events(site, 200)
    if fault.startswith("status"):
        site.faults.add("status", status=int(fault[-3:]), probability=0.2, method="read")
    elif fault == "cut off":
        site.faults.add("cut-body", probability=0.2, method="read")
    elif fault == "slow":
        site.faults.add("latency", seconds=0.02, probability=0.5, method="read")
    running = start(page_size=10, backlog_timeout=0.3)
    running.until_complete(site)
    assert running.ids() == site.log.visible_ids()
    assert not any(entry.late for entry in running.entries())
