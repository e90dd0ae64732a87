"""`sgevents state check` finds and names every record that is not what was written."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from journal_rows import event_row, grow
from observed_calls import SeenCall

from sgevents_core.cli.check_database import database_findings
from sgevents_core.cli.findings import Finding
from sgevents_core.crashes.recovering import recover
from sgevents_core.errors import StateDamaged
from sgevents_core.plugins.implementing import Registry
from sgevents_core.plugins.loading import Loaded
from sgevents_core.settings import Secret, Settings, SiteSettings, StateSettings
from sgevents_core.state.batches import BatchedEvent
from sgevents_core.state.call_times import CallTimes
from sgevents_core.state.failures import Failure
from sgevents_core.state.keys import CallKey
from sgevents_core.state.opening import open_state
from sgevents_core.state.plugin_record import PluginRecord
from sgevents_core.state.progress import Progress
from sgevents_core.state.register import Register, lane_register_path
from sgevents_core.state.running import RUNNING_FILE, Running, write_running_daemon
from sgevents_core.state.sqlite.database import DATABASE
from sgevents_core.state.steps import Step

FAILURE = Failure("notify", "notify:on_new", 3, 3, 1, "ValueError", "", 1.0, "dead-letter")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A state with something of everything, closed."""
    with closing(open_state(tmp_path).writer()) as state:
        rows = [event_row(number, filler="x" * 3000) for number in range(1, 60)]
        grow(state, rows[:30])  # too few for a page
        grow(state, rows[30:])
        fence = state.take_lane("main")
        records = [
            PluginRecord("notify", "main", Progress(20), apart=True),
            PluginRecord("other", "main"),
        ]
        step = Step(Progress(40), records, failure=FAILURE, dead=True, store={"notify": {"n": 5}})
        state.record("main", fence, step)
        for seq, letter in ((50, 0), (51, 1)):
            batched = BatchedEvent(
                "notify", "notify:on_new", seq, "k", seq, 1, seq, b"{}", 0, 1.0, 2.0, letter=letter
            )
            state.record("main", fence, Step(collected=batched))
    Register(lane_register_path(tmp_path, "main"), [CallKey("notify", "notify:on_new")]).close()
    times = CallTimes(tmp_path, "main", [CallKey("notify", "notify:on_new")])
    times.ended(SeenCall(seq=1, number_in_lane=0), 0.0, 0.0, None)
    times.write(now=True)
    write_running_daemon(tmp_path, Running(1, "run", "1.0", {}))
    return tmp_path


def change(sql: str) -> Callable[[Path], None]:
    """Return what changes the database behind everybody's back."""

    def changed(folder: Path) -> None:
        with closing(sqlite3.connect(folder / DATABASE, isolation_level=None)) as db:
            db.execute(sql)

    return changed


def in_page(sql: str) -> Callable[[Path], None]:
    """Return what appends a page of the events 101 to 150, and then changes it."""

    def changed(folder: Path) -> None:
        with closing(open_state(folder).writer()) as state:
            grow(state, [event_row(number, filler="x" * 30) for number in range(101, 151)])
        change(sql)(folder)

    return changed


def flip(name: str, at: int) -> Callable[[Path], None]:
    """Return what flips a byte of a file."""

    def flipped(folder: Path) -> None:
        content = bytearray((folder / name).read_bytes())
        content[at] ^= 0x55
        (folder / name).write_bytes(content)

    return flipped


def zero_page(table: str) -> Callable[[Path], None]:
    """Return what zeroes the first page of a table."""

    def zeroed(folder: Path) -> None:
        with closing(sqlite3.connect(folder / DATABASE)) as db:
            sql = "SELECT rootpage FROM sqlite_master WHERE name = ?"
            (page,) = db.execute(sql, (table,)).fetchone()
            (page_size,) = db.execute("PRAGMA page_size").fetchone()
        with (folder / DATABASE).open("r+b") as file:
            file.seek((page - 1) * page_size)
            file.write(bytes(page_size))

    return zeroed


def cut_off(folder: Path) -> None:
    """Take the second half of the database away."""
    with (folder / DATABASE).open("r+b") as file:
        file.truncate((folder / DATABASE).stat().st_size // 32_768 * 16_384)


def log_flipped(folder: Path) -> None:
    """Leave a log behind, as after a kill, with a byte flipped in its middle."""
    database, log = folder / DATABASE, folder / f"{DATABASE}-wal"
    with closing(open_state(folder).writer()) as state:
        for number in range(60, 90):
            feed = state.load_feed()
            assert feed is not None
            grow(state, [event_row(number, filler="x" * 3000)])
        kept = {path: path.read_bytes() for path in (database, log)}
    for path, content in kept.items():
        path.write_bytes(content)
    flip(log.name, len(kept[log]) // 2)(folder)


REPLACED = "body = CAST(replace(CAST(body AS TEXT), 'xxx', 'xyx') AS BLOB)"
IN_PAGE = "UPDATE journal_pages SET {0} = CAST(replace(CAST({0} AS TEXT), '{1}', '{2}') AS BLOB)"
KINDS: dict[str, tuple[Callable[[Path], None], str]] = {
    "event in a page": (
        in_page(IN_PAGE.format("bodies", '"id": 107', '"id": 108')),
        "event 107 in the journal cannot be read",
    ),
    "heads of a page": (
        in_page(IN_PAGE.format("heads", "[101,102", "[101,103")),
        "event 101 in the journal cannot be read",
    ),
    "page": (
        in_page("UPDATE journal_pages SET heads = x'7b7d', bodies = x'7b7d'"),
        "a page of the journal",
    ),
    "event that waits": (
        change(f"UPDATE journal SET {REPLACED} WHERE event_id = 50"),
        "event 50 in the journal cannot be read",
    ),
    "event handled": (
        change(f"UPDATE journal SET {REPLACED} WHERE event_id = 7"),
        "event 7 in the journal cannot be read",
    ),
    "feed": (
        change("UPDATE feed SET state = replace(state, '{', '{ ')"),
        "the record of the feed",
    ),
    "feed of an older version": (
        change("UPDATE feed SET state = '{{', sum = NULL"),
        "the record of the feed",
    ),
    "cursor": (change("UPDATE plugins SET cursor = 22"), "the record of plugin notify"),
    "cursor of an older version": (
        change("UPDATE plugins SET cursor = 2000000, sum = NULL"),
        "the cursor of plugin notify is ahead of the journal",
    ),
    "place": (change("UPDATE lanes SET seq = 41"), "the place of lane main"),
    "store": (change("UPDATE stores SET value = '4'"), "'n' in the store of plugin notify"),
    "store of an older version": (
        change("UPDATE stores SET value = x'7bff', sum = NULL"),
        "'n' in the store of plugin notify",
    ),
    "letter": (change("UPDATE failures SET body = x'7b01'"), "dead letter 1: its event 3"),
    "value in a letter": (
        change("UPDATE failures SET body = CAST(replace(CAST(body AS TEXT), 'xx', 'xy') AS BLOB)"),
        "dead letter 1: its event 3",
    ),
    "event in a batch": (
        change("UPDATE batched SET body = x'7b01' WHERE letter = 0"),
        "event 50 in a batch of plugin notify cannot be read",
    ),
    "event of a batch's letter": (
        change("UPDATE batched SET body = x'7b01' WHERE letter = 1"),
        "event 51 of dead letter 1 cannot be read",
    ),
    "register": (flip("lane-main.register", 3), "lane-main.register"),
    "call times": (flip("lane-main.calls", 0), "lane-main.calls"),
    "what runs": (flip(RUNNING_FILE, 1), RUNNING_FILE),
    "log": (log_flipped, f"{DATABASE}-wal is damaged"),
    "page of the journal": (zero_page("journal"), "table journal"),
    "page of the plugins": (zero_page("plugins"), "table plugins"),
    "page of an index": (zero_page("journal_event"), "index journal_event"),
    "end of the file": (cut_off, DATABASE),
}
"""What is damaged -> how, and what the check says of it."""


def told(findings: list[Finding]) -> str:
    """All that findings say."""
    return "\n".join(f"{one.message}\n{one.detail}" for one in findings if one.status != "ok")


def test_whole_state_is_whole(folder: Path) -> None:
    """Nothing to complain of, but for the register of no boot."""
    assert told(database_findings(folder)) == ""


@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_found_and_named(folder: Path, kind: str) -> None:
    """Each kind of record, each file; with something to do about it."""
    damage, says = KINDS[kind]
    damage(folder)
    findings = database_findings(folder)
    assert says in told(findings)
    assert all(one.fix for one in findings if one.status != "ok")


def start(settings: Settings) -> None:
    """Read what a start reads."""
    with closing(open_state(settings.state.path).writer()) as state:
        state.load_feed()
        recover(settings, Loaded(plugins=(), statuses=(), registry=Registry()), state)


@pytest.mark.parametrize(
    "kind", ["feed", "feed of an older version", "cursor", "place", "page of the plugins"]
)
def test_start_says_what_is_damaged(folder: Path, kind: str) -> None:
    """What a start cannot do without ends it with an error that names it, no traceback."""
    KINDS[kind][0](folder)
    site = SiteSettings(url="http://127.0.0.1:1", script_name="x", api_key=Secret("demo-key"))
    settings = Settings(path=folder / "c.toml", site=site, state=StateSettings(path=folder))
    with pytest.raises(StateDamaged) as refused:
        start(settings)
    said = KINDS[kind][1].replace("table plugins", DATABASE)
    assert said in str(refused.value)
    assert "sgevents state check" in str(refused.value)


def test_quick_check_leaves_out_what_is_handled(folder: Path) -> None:
    """And finds what still waits."""
    for kind in ("event that waits", "event handled"):
        KINDS[kind][0](folder)
    assert "event 50" in told(database_findings(folder, quick=True))
    assert "event 7" not in told(database_findings(folder, quick=True))


def test_many_of_a_kind_are_counted(folder: Path) -> None:
    """Ten are told one by one."""
    change(f"UPDATE journal SET {REPLACED}")(folder)
    findings = database_findings(folder)
    assert sum("in the journal" in one.message for one in findings) == 10
    assert "49 more events cannot be read" in told(findings)
