"""Snapshots: where new copies begin, and what is cut off the streams behind them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from journal_rows import AT, event_row, grow
from logs_in_memory import MemoryLogs, ViewOfLogs
from nats_server import new_site_url, running_nats
from nats_states import nats_state
from state_values import failure

from sgevents_core.errors import FrontCut, StreamLost
from sgevents_core.state.nats import snapshot_keeping
from sgevents_core.state.nats.copy import Copy
from sgevents_core.state.nats.copy_snapshots import make_snapshot, read_snapshot_pointer, remake
from sgevents_core.state.nats.nats_state import NatsState, NatsWriter
from sgevents_core.state.nats.snapshot_keeping import SnapshotKeeping
from sgevents_core.state.progress import Progress
from sgevents_core.state.sqlite.log_copy import dump_tables
from sgevents_core.state.steps import Step


class Site:
    """Logs, and the host that writes most of them."""

    def __init__(self, folder: Path, opened: ExitStack) -> None:
        self.folder = folder
        self.logs = MemoryLogs(["main"])
        self._opened = opened
        self.state = self.host("first")
        self.writer: NatsWriter = opened.enter_context(closing(self.state.writer()))
        self.fence = self.writer.take_lane("main")
        self.days = 0

    def host(self, name: str, logs: Any = None) -> NatsState:
        """A host with a copy of its own."""
        shown = self.logs if logs is None else logs
        return self._opened.enter_context(
            closing(NatsState(self.folder / name, lambda: shown, name))
        )

    def day(self) -> None:
        """Something of each kind happens, and a snapshot is made."""
        self.days += 1
        first = 10 * self.days
        grow(self.writer, [event_row(number) for number in range(first, first + 5)])
        for attempt in range(1, 4):
            step = Step(
                progress=Progress(self.days),
                failure=failure(seq=self.days, attempt=attempt),
                store={"notify": {"day": self.days}},
            )
            self.writer.record("main", self.fence, step)
        with closing(self.state.requests()) as requests:
            requests.ask("pause", "notify", {}, "anna@host")
        self.snapshot()

    def snapshot(self) -> bool:
        """Make a snapshot of everything."""
        self.writer.end()
        return make_snapshot(self.state.session().copy, self.logs)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A site with one host."""
    with ExitStack() as opened:
        yield Site(tmp_path, opened)


def tables_of(state: NatsState) -> dict[str, Any]:
    """Everything that a host's copy holds."""
    copy = state.session().copy
    with copy.applying_lock:
        return dump_tables(copy.database)


def test_new_host_begins_with_the_newest_snapshot(site: Site) -> None:
    """It reads what came after it, and the rows that the journal has; its copy is equal."""
    for _ in range(3):
        site.day()
    grow(site.writer, [event_row(99)])
    newcomer = site.host("new")
    with closing(newcomer.reader()) as reader:
        assert (reader.end(), reader.store("notify")) == (16, {"day": 3})
        assert len(reader.read(0, 99)) == 16
    site.writer.end()
    assert tables_of(newcomer) == tables_of(site.state)
    with closing(newcomer.requests()) as requests:
        assert requests.ask("pause", "notify", {}, "ben@host") == 4


def test_streams_are_cut_up_to_the_snapshot_before(site: Site) -> None:
    """A copy between the last two still finds its next message; older snapshots are removed."""
    site.day()
    behind = ViewOfLogs(site.logs)
    behind.look()
    late = site.host("late", behind)
    late.session()
    for _ in range(2):
        site.day()
    newest, _ = read_snapshot_pointer(site.logs)
    assert newest is not None
    assert set(site.logs.files) == {newest.file, newest.file_before}
    assert site.logs.log("lane:main").first_sequence() == 8
    behind.look()
    late.session().reader.wake()
    late.session().copy.wait_for(site.logs.last_places(), 30)
    assert tables_of(late) == tables_of(site.state)


def test_copy_that_is_too_far_behind_is_made_anew(site: Site) -> None:
    """Its open connections go on with what the snapshot says, and lack no row."""
    site.day()
    behind = ViewOfLogs(site.logs)
    behind.look()
    late = site.host("late", behind)
    with closing(late.reader()) as reader:
        assert reader.store("notify") == {"day": 1}
        for _ in range(4):
            site.day()
        behind.look()
        late.session().reader.wake()
        late.session().copy.wait_for(site.logs.last_places(), 30)
        assert reader.store("notify") == {"day": 5}
        assert [entry.seq for entry in reader.read(0, 99)] == list(range(1, 26))
    assert tables_of(late) == tables_of(site.state)


def test_journal_is_cut_by_what_was_pruned(site: Site) -> None:
    """Rows that any plugin may need stay in the stream; a new copy has the same ones."""
    for _ in range(3):
        site.day()
    assert site.logs.log("journal").first_sequence() == 1
    assert site.writer.prune(created_before=2 * AT, first_kept_seq=9) == 8
    for _ in range(2):
        site.day()
    assert site.logs.log("journal").first_sequence() == 3
    newcomer = site.host("new")
    with closing(newcomer.reader()) as reader:
        assert (reader.lowest(), reader.end()) == (9, 25)
    assert tables_of(newcomer) == tables_of(site.state)


def test_copy_whose_rows_were_not_all_read_goes_on_with_them(site: Site) -> None:
    """A process that ended in between leaves nothing out."""
    for _ in range(3):
        site.day()
    copy = Copy(site.folder / "new", "new")
    remake(copy, site.logs)
    copy.skip_rows(1)
    copy.apply_rows(1, site.logs.log("journal").read_after(1)[:2])
    grow(site.writer, [event_row(99)])
    assert copy.apply("journal", 4, site.logs.log("journal").read_after(4)) == 0
    copy.close()
    newcomer = site.host("new")
    with closing(newcomer.reader()) as reader:
        assert reader.end() == 16
    site.writer.end()
    assert tables_of(newcomer) == tables_of(site.state)


def test_copy_that_no_snapshot_can_help_is_lost(site: Site) -> None:
    """It says what is missing, and begins nothing anew."""
    for _ in range(3):
        site.day()
    site.logs.files.clear()
    with pytest.raises(StreamLost, match="is gone"):
        site.host("new").session()


def test_new_copy_without_rows_that_are_kept_is_refused(site: Site) -> None:
    """Somebody purged the journal's stream: events that lanes need would be left out unseen."""
    for _ in range(3):
        site.day()
    site.logs.log("journal").cut_front(10**6)
    with pytest.raises(StreamLost, match="no snapshot holds it"):
        site.host("new").session()


def test_long_row_stays_whole_where_the_journal_is_cut(tmp_path: Path) -> None:
    """Its message has several parts, and a copy that is made anew needs all of them."""
    with ExitStack() as opened:
        server = opened.enter_context(running_nats(tmp_path / "nats", jetstream=""))
        url = new_site_url()
        first = opened.enter_context(
            nats_state(server.port, tmp_path / "first", ["main"], site_url=url)
        )
        writer, session = opened.enter_context(closing(first.writer())), first.session()
        fence = writer.take_lane("main")
        for number, text in enumerate(["", "", os.urandom(1_200_000).hex(), ""], 1):
            grow(writer, [event_row(number, text=text)])
            if number == 4:
                assert writer.prune(created_before=2 * AT, first_kept_seq=3) == 2
            for step in (1, 2):
                writer.record("main", fence, Step(store={"notify": {"n": [number, step]}}))
                writer.end()
                assert make_snapshot(session.copy, session.logs)
        long_row = session.logs.log("journal").read_after(3)[0]
        assert long_row.sequence >= 5  # the place of its last part
        with pytest.raises(FrontCut):
            session.logs.log("journal").read_after(2)
        second = opened.enter_context(
            nats_state(server.port, tmp_path / "second", [], site_url=url, make=False)
        )
        with closing(second.reader()) as reader:
            assert [entry.seq for entry in reader.read(0, 9)] == [3, 4]
        assert tables_of(second) == tables_of(first)


def test_snapshot_that_is_behind_changes_nothing(site: Site) -> None:
    """Neither that of a host that sees less, nor one of what the newest has already."""
    site.day()
    behind = ViewOfLogs(site.logs)
    behind.look()
    late = site.host("late", behind)
    late.session()
    site.day()
    files = set(site.logs.files)
    assert not make_snapshot(late.session().copy, site.logs)
    assert not site.snapshot()
    assert set(site.logs.files) == files


def test_snapshots_are_made_by_the_feeds_host_once_streams_have_grown(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither sooner, nor by any other host."""
    monkeypatch.setattr(snapshot_keeping, "LEAST_GROWTH", 1)
    copy = site.state.session().copy
    for holds_feed in (False, True):
        keeping = SnapshotKeeping(copy, site.logs, lambda held=holds_feed: held)  # type: ignore[misc] # mypy cannot infer it
        site.writer.record("main", site.fence, Step(store={"notify": {"n": 1}}))
        site.writer.end()
        assert keeping.look() is holds_feed
        assert not keeping.look()
        keeping.stop()


def test_snapshot_that_was_deleted_is_made_anew(site: Site) -> None:
    """At once, whatever has grown: no new host can begin without one."""
    copy = site.state.session().copy
    keeping = SnapshotKeeping(copy, site.logs, lambda: True)
    site.writer.record("main", site.fence, Step(store={"notify": {"n": 1}}))
    site.writer.end()
    assert [keeping.look(), keeping.look()] == [True, False]
    site.logs.files.clear()
    assert [keeping.look(), keeping.look()] == [True, False]
    assert len(site.logs.files) == 1
    keeping.stop()


def test_snapshot_goes_through_the_servers(tmp_path: Path) -> None:
    """A host whose streams were cut begins with what another one stored there."""
    with ExitStack() as opened:
        server = opened.enter_context(running_nats(tmp_path / "nats", jetstream=""))
        url = "https://snapshots.test"
        first = opened.enter_context(
            nats_state(server.port, tmp_path / "first", ["main"], site_url=url)
        )
        writer = opened.enter_context(closing(first.writer()))
        fence = writer.take_lane("main")
        for number in range(1, 4):
            grow(writer, [event_row(number)])
            writer.record("main", fence, Step(store={"notify": {"n": number}}))
            writer.end()
            session = first.session()
            assert make_snapshot(session.copy, session.logs)
        second = opened.enter_context(
            nats_state(server.port, tmp_path / "second", [], site_url=url, make=False)
        )
        with closing(second.reader()) as reader:
            assert (reader.store("notify"), reader.end()) == ({"n": 3}, 3)
        assert tables_of(second) == tables_of(first)
