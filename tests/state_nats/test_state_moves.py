"""`sgevents state move`: a whole state to the servers and back, whenever the command is killed."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import CliRunner
from journal_rows import event_row, grow
from nats_server import NatsServer, new_site_url
from nats_sites import NatsSite, connected
from state_values import failure
from whole_states import everything_in, live_a_day

from sgevents_core.cli.root import sgevents
from sgevents_core.errors import SgEventsError, StateElsewhere, StreamLost
from sgevents_core.settings import Settings, load_settings
from sgevents_core.state import move_record
from sgevents_core.state.keys import CallKey
from sgevents_core.state.lane_trouble import LaneTrouble
from sgevents_core.state.lock import StateLock
from sgevents_core.state.nats import counter, moving_in, moving_out, snapshots, stream_log
from sgevents_core.state.nats.copy import Copy
from sgevents_core.state.nats.jetstream import call
from sgevents_core.state.nats.messages import MovedRows, decode_message
from sgevents_core.state.nats.nats_state import NatsState, state_on_servers
from sgevents_core.state.nats.stream_log import StreamLog
from sgevents_core.state.opening import open_disk_state, use_state
from sgevents_core.state.plugin_record import PluginRecord
from sgevents_core.state.progress import Progress
from sgevents_core.state.protocols import State
from sgevents_core.state.register import LANE_WORD, Register, lane_register_path
from sgevents_core.state.sqlite.database import DATABASE, Database
from sgevents_core.state.sqlite.log_copy import COPY_TABLES, prepare_copy, read_tables
from sgevents_core.state.sqlite.moved_files import write_moved_file
from sgevents_core.state.steps import Step

LANES = ("main", "other")


class MovingStudio:
    """A site with streams and hosts, whose state is on the first host's disk.

    Args:
        folder: The folder of all.
        server: The server.
    """

    def __init__(self, folder: Path, server: NatsServer) -> None:
        self.folder = folder
        self.server = server
        self.site_url = new_site_url()
        with connected(server.port) as broker:
            NatsSite(broker, self.site_url).make_streams(("default", *LANES))

    def config(self, host: str, *, on_servers: bool = True) -> Path:
        """The configuration of a host."""
        folder = self.folder / host
        folder.mkdir(exist_ok=True)
        config = folder / f"{'servers' if on_servers else 'disk'}.toml"
        lanes = "\n".join(f"[lanes.{lane}]" for lane in LANES)
        servers = f'url = "{self.server.url}"\nhost = "{host}"' if on_servers else ""
        config.write_text(
            f'[site]\nurl = "{self.site_url}"\nscript_name = "a"\napi_key = "k"\n'
            f'[state]\npath = "state"\n{servers}\n{lanes}\n'
        )
        config.chmod(0o600)
        return config

    def settings(self, host: str, *, on_servers: bool = True) -> Settings:
        """The settings of a host."""
        return load_settings(self.config(host, on_servers=on_servers))

    def state_folder(self, host: str) -> Path:
        """The folder of a host's state."""
        return self.settings(host).state.path

    def host(self, name: str) -> NatsState:
        """The state on the servers as a host sees it."""
        settings = self.settings(name)
        return state_on_servers(settings.state, self.site_url)

    def command(self, host: str, *words: str) -> Any:
        """Run `sgevents state` on a host, and return click's result."""
        return self._run(host, "state", *words)

    def cluster(self, host: str, *words: str) -> Any:
        """Run `sgevents cluster` on a host, and return click's result."""
        return self._run(host, "cluster", *words)

    def _run(self, host: str, *words: str) -> Any:
        config = str(self.config(host))
        result = CliRunner().invoke(sgevents, [*words, "--config", config])
        assert result.exception is None or isinstance(result.exception, SystemExit), result
        return result

    def move(self, target: str, host: str = "alpha", *more: str) -> str:
        """Move the state, and return what the command says."""
        result = self.command(host, "move", target, *more)
        assert result.exit_code == 0, result.output
        return str(result.output)

    def on_disk(self, host: str = "alpha") -> dict[str, Any]:
        """Everything in the state on a host's disk."""
        return everything_in(self.state_folder(host))

    def on_servers(self, host: str) -> dict[str, Any]:
        """Everything in the state on the servers, as a host reads it."""
        with closing(self.host(host)) as state:
            state.session()
            return everything_in(self.state_folder(host) / "copy")


@pytest.fixture
def studio(tmp_path: Path, nats_server: NatsServer) -> MovingStudio:
    """A studio after a day on one host."""
    studio = MovingStudio(tmp_path, nats_server)
    live_a_day(open_disk_state(studio.state_folder("alpha")), 0)
    return studio


def note_calls(state: State, seq: int) -> None:
    """Let a lane note that a call has returned and the next has begun; then it is killed."""
    keys = [CallKey("notify", "notify:on_new")]
    with closing(state.writer()) as writer:
        fence = writer.take_lane("main")
        path = lane_register_path(state.folder, "main")
        with closing(Register(path, keys, None)) as register:
            writer.share_register(
                "main", fence, register, stopping=threading.Event(), trouble=LaneTrouble("main")
            )
            slot = register.slots[0]
            slot.begun(LANE_WORD, seq, 0)
            slot.returned(LANE_WORD, seq, 0)
            slot.begun(LANE_WORD, seq + 1, 0)


POINTS: Final = (
    (stream_log.StreamLog, "append"),
    (stream_log.StreamLog, "cut_front"),
    (stream_log.StreamLog, "clear"),
    (counter.Counter, "raise_to"),
    (snapshots.SnapshotStore, "put"),
    (snapshots.SnapshotStore, "delete"),
    (snapshots.SnapshotStore, "move_pointer"),
    (move_record, "replace_plain_file"),
    (moving_in, "set_database_aside"),
    (moving_in, "remove_registers"),
    (moving_out, "export_copy"),
    (moving_out, "remove_registers"),
    (Copy, "apply"),
)
"""What changes anything on the servers or on the disk."""


def killed_after(studio: MovingStudio, target: str, deed_count: int) -> bool:
    """Move the state in a process that is killed after some deeds; return whether it was."""
    child = os.fork()
    if child == 0:
        deeds = count(1)
        for owner, name in POINTS:
            setattr(owner, name, _counted(getattr(owner, name), deeds, deed_count))
        studio.command("alpha", "move", target)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def killed_before_the_pointer(host: str, command: Callable[..., Any], *words: str) -> bool:
    """Run a command in a process that is killed before hosts may begin with what it sent."""
    child = os.fork()
    if child == 0:
        setattr(snapshots.SnapshotStore, "move_pointer", _killed)  # noqa: B010 - in a child
        command(host, *words)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def _killed(*values: Any) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


def _counted(deed: Any, deeds: Iterator[int], deed_count: int) -> Any:
    def do(*values: Any, **more: Any) -> Any:
        result = deed(*values, **more)
        if next(deeds) == deed_count:
            os.kill(os.getpid(), signal.SIGKILL)
            signal.pause()
        return result

    return do


def assert_whole_or_refused(studio: MovingStudio, before: dict[str, Any], target: str) -> None:
    """Whoever would work at the state now is refused, or has the whole of it."""
    folder = studio.state_folder("alpha")
    try:
        use_state(studio.settings("alpha", on_servers=False))
    except StateElsewhere:
        pass
    else:
        assert everything_in(folder) == before
    try:
        on_servers = studio.on_servers("delta")
    except (StateElsewhere, StreamLost):
        return
    if target == "disk" or on_servers["journal"]:  # else nothing was sent to the servers yet
        assert on_servers == before


def test_there_and_back_nothing_changes(studio: MovingStudio) -> None:
    """Every table is the same on the servers, on any host, and on a disk again, with each day."""
    before = studio.on_disk()
    assert all(before.values()), [name for name, rows in before.items() if not rows]
    studio.move("servers")
    assert studio.on_servers("beta") == before
    with closing(studio.host("beta")) as beta:
        live_a_day(beta, 1)
    after_a_day = studio.on_servers("gamma")
    assert studio.on_servers("beta") == after_a_day
    studio.move("disk")
    assert studio.on_disk() == after_a_day
    live_a_day(open_disk_state(studio.state_folder("alpha")), 2)
    after_two_days = studio.on_disk()
    studio.move("servers")
    for host in ("beta", "delta"):  # one that has an old copy, and one that has none
        assert studio.on_servers(host) == after_two_days
    with closing(studio.host("beta")) as beta:
        live_a_day(beta, 3)
    assert studio.on_servers("delta") == studio.on_servers("alpha")
    last = studio.on_servers("gamma")
    studio.move("disk", "beta")
    assert studio.on_disk("beta") == last


def test_register_of_a_killed_lane_is_moved(studio: MovingStudio) -> None:
    """What a lane had noted when its process was killed is in the state that is moved."""
    folder = studio.state_folder("alpha")
    note_calls(open_disk_state(folder), 5)
    studio.move("servers")
    assert not [*folder.glob("lane-*")]
    with closing(studio.host("beta")) as beta:
        with closing(beta.reader()) as reader:
            assert reader.lane_progress("main") == Progress(5)
        note_calls(beta, 6)
    studio.move("disk")
    with closing(open_disk_state(folder).reader()) as reader:
        assert reader.lane_progress("main") == Progress(6)


def test_numbers_are_never_given_twice(studio: MovingStudio) -> None:
    """Failures, letters and requests go on counting on the servers, and on the disk."""
    given: list[int] = []

    def record_failure(state: State) -> None:
        with closing(state.writer()) as writer:
            fence = writer.take_lane("main")
            given.append(writer.record("main", fence, Step(failure=failure(seq=3))))
        with closing(state.requests()) as requests:
            requests.ask("pause", "notify", {}, "anna@host")

    with closing(open_disk_state(studio.state_folder("alpha")).writer()) as writer:
        fence = writer.take_lane("main")
        for _ in range(4):
            given.append(writer.record("main", fence, Step(failure=failure(seq=2))))
    for host in ("beta", "gamma"):
        studio.move("servers")
        with closing(studio.host(host)) as state:
            record_failure(state)
        studio.move("disk")
        record_failure(open_disk_state(studio.state_folder("alpha")))
    assert given == sorted(set(given))
    assert [row[0] for row in studio.on_disk()["requests"]] == list(range(1, 7))


def test_nobody_works_at_a_state_that_moved(studio: MovingStudio) -> None:
    """Neither at what is left on the disk, nor at what is left on the servers."""
    use_state(studio.settings("alpha", on_servers=False))
    studio.move("servers")
    with pytest.raises(StateElsewhere, match="it was moved to NATS servers; set url in"):
        use_state(studio.settings("alpha", on_servers=False))
    with closing(studio.host("beta")) as beta:
        running = beta.session()
        writer = beta.writer()
        fence = writer.take_lane("main")
        studio.move("disk")
        with pytest.raises(SgEventsError):
            writer.record("main", fence, Step(store={"notify": {"late": True}}))
        running.reader.wake()
        with pytest.raises(StateElsewhere, match="it was moved to the disk of host alpha"):
            running.copy.wait_for({"lane:main": 2**40}, 30)
        with pytest.raises(StateElsewhere):
            writer.take_lane("main")
        writer.close()
    with pytest.raises(StateElsewhere, match="sgevents state move servers"):
        studio.on_servers("gamma")
    use_state(studio.settings("alpha", on_servers=False))


def ask_to_pause(state: State) -> None:
    """Ask like a command, or the console, that has had the state open for a while."""
    with closing(state.requests()) as requests:
        requests.ask("pause", "notify", {}, "anna@host")


@pytest.mark.parametrize("moment", ["_read_to_marks", "export_copy"])
def test_what_is_asked_during_a_move_to_the_disk_is_moved_or_refused(
    studio: MovingStudio, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """Whoever asks on another host gets an error, or the request is in the state on the disk."""
    studio.move("servers")
    step = getattr(moving_out, moment)
    with closing(studio.host("beta")) as beta:
        ask_to_pause(beta)

        def be_asked_meanwhile(*values: Any) -> Any:
            with pytest.raises(StateElsewhere, match="it was moved to the disk of host alpha"):
                ask_to_pause(beta)
            return step(*values)

        monkeypatch.setattr(moving_out, moment, be_asked_meanwhile)
        before = len(studio.on_servers("gamma")["requests"])
        studio.move("disk")
    assert len(studio.on_disk()["requests"]) == before
    studio.move("servers")
    assert len(studio.on_servers("delta")["requests"]) == before


def test_what_is_asked_during_a_move_to_the_servers_is_moved_or_refused(
    studio: MovingStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also by a process that has had the state open since long before."""
    step = write_moved_file
    with closing(open_disk_state(studio.state_folder("alpha")).requests()) as requests:
        requests.ask("pause", "notify", {}, "anna@host")

        def be_asked_meanwhile(*values: Any) -> Any:
            with pytest.raises(StateElsewhere, match="moving it is not complete"):
                requests.ask("pause", "notify", {}, "anna@host")
            return step(*values)

        monkeypatch.setattr(moving_in, "write_moved_file", be_asked_meanwhile)
        before = len(studio.on_disk()["requests"])
        studio.move("servers")
        with pytest.raises(StateElsewhere, match="it was moved to NATS servers"):
            requests.ask("pause", "notify", {}, "anna@host")
    assert len(studio.on_servers("beta")["requests"]) == before


def test_move_is_refused_while_somebody_works(studio: MovingStudio) -> None:
    """A daemon on this host, or hosts on the servers; the message says which."""
    with closing(StateLock(studio.state_folder("alpha"))):
        result = studio.command("alpha", "move", "servers")
        assert "is in use by a daemon (process" in result.stderr
    with connected(studio.server.port) as broker:
        leases = NatsSite(broker, studio.site_url).leases()
        held = leases.take("host.beta", b"beta")
        assert held is not None
        for target in ("servers", "disk"):
            result = studio.command("alpha", "move", target)
            assert result.exit_code == 2
            assert "it is in use by beta; stop the daemon of each host" in result.stderr
        leases.give_back(held)
    assert studio.on_servers("gamma")["journal"] == []
    studio.move("servers")


def test_nothing_is_overwritten(studio: MovingStudio) -> None:
    """Neither a state on the servers, nor a newer one elsewhere, nor one in the folder."""
    studio.move("servers")
    live_a_day(open_disk_state(studio.state_folder("beta")), 0)
    refused = studio.command("beta", "move", "servers")
    assert refused.exit_code == 2
    assert "With --replace, this one takes its place" in refused.stderr
    refused = studio.command("beta", "move", "disk")
    assert "there is a state in this folder already" in refused.stderr
    assert "it was moved to the servers before" in studio.command("alpha", "move", "servers").stderr
    studio.move("disk")
    refused = studio.command("beta", "move", "servers")
    assert "the newest state is that of host alpha" in refused.stderr
    live_a_day(open_disk_state(studio.state_folder("beta")), 1)
    newest = studio.on_disk("beta")
    studio.move("servers", "beta", "--replace")
    assert studio.on_servers("gamma") == newest
    nothing = studio.command("delta", "move", "servers")
    assert "there is no state in this folder" in nothing.stderr


def test_backup_is_restored_on_servers(studio: MovingStudio) -> None:
    """Any host writes it; hosts begin with it again, and their newer copies are made anew."""
    studio.move("servers")
    with closing(studio.host("beta")) as beta:
        live_a_day(beta, 1)
    backup = studio.folder / "backup.db"
    assert studio.command("gamma", "backup", str(backup)).exit_code == 0
    saved = studio.on_servers("beta")
    with closing(studio.host("beta")) as beta:
        live_a_day(beta, 2)
    assert studio.on_servers("gamma") != saved
    folder = studio.state_folder("alpha")
    backup.replace(folder / DATABASE)
    assert everything_in(folder) == saved
    refused = studio.command("alpha", "move", "servers")
    assert "With --replace, this one takes its place" in refused.stderr
    studio.move("servers", "alpha", "--replace")
    for host in ("alpha", "beta", "gamma", "delta"):
        assert studio.on_servers(host) == saved


def test_long_journal_goes_in_pages(studio: MovingStudio, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of so many rows, or so many bytes, whatever is less; a row of several parts comes whole."""
    monkeypatch.setattr(moving_in, "ROWS_AT_ONCE", 3)
    monkeypatch.setattr(moving_in, "BYTES_AT_ONCE", 900_000)
    with closing(open_disk_state(studio.state_folder("alpha")).writer()) as writer:
        rows = [event_row(number, text=os.urandom(300_000).hex()) for number in range(70, 73)]
        grow(writer, [*rows, *(event_row(number) for number in range(80, 85))])
    before = studio.on_disk()
    studio.move("servers")
    assert studio.on_servers("beta") == before
    with connected(studio.server.port) as broker:
        journal = NatsSite(broker, studio.site_url).journal()
        lengths = [
            len(message.rows)
            for log_message in journal.read_after(0)
            if isinstance(message := decode_message(log_message.data, ""), MovedRows)
        ]
    assert lengths == [*[3] * 16, 1, 3, 3]


def test_tables_that_only_copies_have_are_known(tmp_path: Path) -> None:
    """A state that is moved or backed up is left without them."""
    with closing(Database(tmp_path)) as database:
        tables = read_tables(database)
        prepare_copy(database)
        assert read_tables(database) - tables == set(COPY_TABLES)


def test_state_of_an_unknown_lane_gets_its_stream(studio: MovingStudio) -> None:
    """A plugin whose lane is in the configuration no more is moved with its lane."""
    with closing(open_disk_state(studio.state_folder("alpha")).writer()) as writer:
        fence = writer.take_lane("former")
        step = Step(progress=Progress(2), plugins=[PluginRecord("old", "former", Progress(2))])
        writer.record("former", fence, step)
    studio.move("servers")
    with closing(studio.host("beta")) as beta, closing(beta.writer()) as writer:
        fence = writer.take_lane("former")
        writer.record("former", fence, Step(progress=Progress(3)))
    assert studio.on_servers("gamma") == studio.on_servers("beta")


def test_streams_made_anew_take_a_backup(studio: MovingStudio) -> None:
    """The pointer to a snapshot of the deleted streams completes nothing."""
    studio.move("servers")
    with closing(studio.host("beta")) as beta:
        live_a_day(beta, 1)
    backup = studio.folder / "backup.db"
    assert studio.command("gamma", "backup", str(backup)).exit_code == 0
    saved = studio.on_servers("gamma")
    with connected(studio.server.port) as broker:
        site = NatsSite(broker, studio.site_url)
        for stream_name in (site.names.journal, site.names.lane("main")):
            call(broker, "STREAM.DELETE", {}, stream=stream_name)
        site.make_streams(("default", *LANES))
    with pytest.raises(StreamLost):
        studio.on_servers("gamma")
    backup.replace(studio.state_folder("alpha") / DATABASE)
    assert killed_before_the_pointer("alpha", studio.command, "move", "servers", "--replace")
    with pytest.raises((StateElsewhere, StreamLost)):
        studio.on_servers("delta")
    studio.move("servers", "alpha", "--replace")
    assert studio.on_servers("delta") == saved
    for host in ("gamma", "beta"):
        shutil.rmtree(studio.state_folder(host) / "copy")
        assert studio.on_servers(host) == saved


def test_lost_stream_is_restored_from_a_copy(studio: MovingStudio) -> None:
    """With what lanes had noted; any host begins anew, and a restore that was killed goes on."""
    studio.move("servers")
    with closing(studio.host("beta")) as beta:
        live_a_day(beta, 1)
        note_calls(beta, 52)
    saved = studio.on_servers("beta")
    for path in studio.state_folder("beta").glob("lane-*"):
        path.unlink()
    with connected(studio.server.port) as broker:
        site = NatsSite(broker, studio.site_url)
        call(broker, "STREAM.DELETE", {}, stream=site.names.journal)
        refused = studio.cluster("beta", "restore")
        assert "make them with `sgevents cluster init`" in refused.stderr
        site.make_streams(("default", *LANES))
    assert killed_before_the_pointer("beta", studio.cluster, "restore")
    with pytest.raises(StateElsewhere):
        use_state(studio.settings("beta"))
    assert studio.cluster("beta", "init").exit_code == 0
    result = studio.cluster("beta", "restore")
    assert result.exit_code == 0, result.output
    for host in ("beta", "delta"):
        restored = studio.on_servers(host)
        changed = {name for name in saved if restored[name] != saved[name]}
        assert changed <= {"lanes", "deaths", "attempts"}, changed
        assert [row[:5] for row in restored["deaths"] if row not in saved["deaths"]] == [
            ("notify", "notify:on_new", 53, 0, 1)
        ]
    with closing(studio.host("delta")) as delta, closing(delta.reader()) as reader:
        assert reader.lane_progress("main") == Progress(52)
    assert "this host has no copy of it" in studio.cluster("alpha", "restore").stderr


def lose_stream(studio: MovingStudio, lane: str) -> None:
    """Delete the stream of a lane as an operator could, and make it anew."""
    with connected(studio.server.port) as broker:
        site = NatsSite(broker, studio.site_url)
        call(broker, "STREAM.DELETE", {}, stream=site.names.lane(lane))
        site.make_streams(("default", *LANES))


def test_restore_takes_what_the_copy_lacks_of_streams_that_were_not_lost(
    studio: MovingStudio,
) -> None:
    """A copy that is behind reads on before the state is restored from it."""
    studio.move("servers")
    studio.on_servers("beta")
    with closing(studio.host("gamma")) as gamma, closing(gamma.writer()) as writer:
        grow(writer, [event_row(number) for number in range(200, 203)])
    saved = studio.on_servers("gamma")
    lose_stream(studio, "other")
    result = studio.cluster("beta", "restore")
    assert result.exit_code == 0, result.output
    assert "The copy has taken 2 messages more" in result.output
    assert studio.on_servers("delta")["journal"] == saved["journal"]


def test_restore_that_would_lose_something_is_refused_with_its_name(studio: MovingStudio) -> None:
    """The host whose copy has more restores all of it; --force takes what one copy has."""
    studio.move("servers")
    studio.on_servers("beta")
    with closing(studio.host("gamma")) as gamma:
        live_a_day(gamma, 1)
        with closing(gamma.writer()) as writer:  # behind what it knows of the other lane
            gamma.session().wait_for_own()
            writer.record("main", writer.take_lane("main"), Step(progress=Progress(9)))
    saved = studio.on_servers("gamma")
    lose_stream(studio, "other")
    with connected(studio.server.port) as broker:
        site = NatsSite(broker, studio.site_url)
        subject = site.names.lane_subject("other", "s")
        StreamLog(broker, site.names.lane("other")).append(subject, b"x", 0, "somebody-1/1")
    refused = studio.cluster("beta", "restore")
    assert refused.exit_code == 2
    said = " ".join(refused.stderr.split())
    assert f"{site.names.lane('other')}: it was deleted and made anew, or url" in said
    assert "than before, and holds 1 message" in said
    assert f"{site.names.lane('main')}: " in said
    assert "rest on others that are lost" in said
    assert "With --force, what is listed is lost" in said
    assert not (studio.state_folder("beta") / DATABASE).exists()
    forced = studio.cluster("gamma", "restore", "--force")
    assert forced.exit_code == 0, forced.output
    restored = studio.on_servers("delta")
    assert {name for name in saved if restored[name] != saved[name]} <= {
        "lanes",
        "deaths",
        "attempts",
    }


def test_restore_of_a_state_that_was_moved_is_refused(studio: MovingStudio) -> None:
    """The newest state is on a disk then."""
    studio.move("servers")
    studio.on_servers("beta")
    studio.move("disk")
    lose_stream(studio, "other")
    refused = studio.cluster("beta", "restore")
    assert refused.exit_code == 1
    assert "it was moved to the disk of host alpha" in " ".join(refused.stderr.split())


def test_killed_at_any_point_it_is_continued(studio: MovingStudio) -> None:
    """Wherever a move is killed, no half of a state is used, and the same command completes it."""
    before = studio.on_disk()
    whole = {"servers": False, "disk": False}
    point = 0
    while not all(whole.values()):
        point += 1
        for target in ("servers", "disk"):
            is_killed = killed_after(studio, target, point)
            whole[target] |= not is_killed
            if is_killed:
                assert_whole_or_refused(studio, before, target)
                studio.command("alpha", "move", target)
            after = studio.on_disk() if target == "disk" else studio.on_servers("beta")
            assert after == before, (target, point)
    assert point > 12
