"""The log: who gets which record, in which form, and what is never in it."""

from __future__ import annotations

import json
import logging
import os
import stat
import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from observed_calls import SeenCall

from sgevents_core.errors import LogFileError
from sgevents_core.observe import logs, timing
from sgevents_core.observe.current_call import CurrentCall, enter_call, leave_call
from sgevents_core.observe.observers import CallObservers
from sgevents_core.observe.redaction import Redactor
from sgevents_core.settings import LogSettings

daemon = logging.getLogger("sgevents.dispatch")


def plugin(name: str) -> logging.Logger:
    """The logger that a plugin has as `ctx.logger`."""
    return logging.getLogger(f"sgevents.plugin.{name}")


class Log:
    """A configured log whose stderr and files can be read."""

    def __init__(self, stack: ExitStack, capsys: pytest.CaptureFixture[str]) -> None:
        self._stack = stack
        self._capsys = capsys

    def configure(self, *plugins: str, verbose: bool = False, **table: Any) -> None:
        """Let the log be as `[log]` says."""
        configured = logs.configured_log(
            LogSettings(**table),
            Redactor(["very-demo-key"]),
            plugin_names=plugins,
            log_every_call=verbose,
        )
        self._stack.enter_context(configured)

    def flush(self) -> None:
        """Wait until all that was logged by now is written."""
        assert logs.flush_log(20)

    def stderr(self) -> str:
        """What was written to stderr since the last look."""
        self.flush()
        return self._capsys.readouterr().err

    def records(self) -> list[dict[str, Any]]:
        """The JSON records written to stderr since the last look."""
        return [json.loads(line) for line in self.stderr().splitlines()]


@pytest.fixture
def log(capsys: pytest.CaptureFixture[str]) -> Iterator[Log]:
    """The log, not configured yet; as it was before, afterwards."""
    with ExitStack() as stack:
        yield Log(stack, capsys)


def test_record_for_people(log: Log) -> None:
    """Time, level and sentence; a plugin's name before its own words, a traceback below."""
    log.configure("notify", format="human")
    daemon.info("Plugin %s has caught up", "notify", extra={"action": "plugin.rejoined"})
    plugin("notify").warning("the chat is %s", "down")
    daemon.error("It failed", extra={"traceback": "Traceback: no\n"})
    first, second, third, fourth = log.stderr().splitlines()
    assert first[4] == first[7] == "-"
    assert first[19:] == " info     Plugin notify has caught up"
    assert second[19:] == " warning  [notify] the chat is down"
    assert third[19:] == " error    It failed"
    assert fourth == "    Traceback: no"


def test_record_as_json(log: Log) -> None:
    """One object a line, with the record's own fields, action and plugin."""
    log.configure("notify", format="json")
    daemon.warning("It failed", extra={"action": "callback.held", "plugin": "x", "event_id": 7})
    plugin("notify").info("said")
    failed, info_record = log.records()
    assert failed.pop("time").endswith("+00:00")
    assert failed == {
        "level": "warning", "logger": "sgevents.dispatch", "message": "It failed",
        "action": "callback.held", "plugin": "x", "event_id": 7,
    }  # fmt: skip
    assert (info_record["plugin"], info_record["action"]) == ("notify", "plugin.log")


def test_auto_is_json_where_there_is_no_terminal(log: Log) -> None:
    """Collectors of logs get what they can read without being asked for."""
    log.configure()
    daemon.info("Stopped")
    assert log.records()[0]["message"] == "Stopped"


def test_what_is_logged_during_a_call_says_which(log: Log) -> None:
    """Plugin, callback and event are in records of the plugin, and of libraries it uses."""
    log.configure("notify", format="json")
    enter_call(CurrentCall("notify", "notify:on_new", 7))
    try:
        plugin("notify").info("said")
        logging.getLogger("studio.chat").warning("slow")
        daemon.info("of another", extra={"plugin": "other", "action": "x"})
    finally:
        leave_call()
    plugin("notify").info("later")
    call_record, slow, other, later = log.records()
    for record in (call_record, slow):
        assert (record["plugin"], record["callback"], record["event_id"]) == (
            "notify", "notify:on_new", 7
        )  # fmt: skip
    assert slow["logger"] == "studio.chat"
    assert (other["plugin"], "event_id" in other) == ("other", False)
    assert (later["plugin"], "event_id" in later) == ("notify", False)


def test_libraries_tell_of_what_people_should_know(log: Log) -> None:
    """Warnings of other loggers and of Python itself are in the log, their chatter is not."""
    log.configure(format="json", level="debug")
    logging.getLogger("studio.chat").info("chatter")
    logging.getLogger("studio.chat").error("down")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old", stacklevel=1)
    down, old = log.records()
    assert (down["message"], down["action"]) == ("down", "library.log")
    assert "UserWarning: old" in old["message"]


def test_levels(log: Log) -> None:
    """`level` is for all, `levels` for single plugins, also where a name begins with another's."""
    levels = {"loud": "debug", "quiet": "error"}
    log.configure("loud", "quiet", "quiet.other", format="json", level="warning", levels=levels)
    for name in ("loud", "quiet", "quiet.other"):
        for level in ("debug", "info", "warning", "error"):
            getattr(plugin(name), level)(f"{name} {level}")
    daemon.info("no")
    daemon.warning("yes")
    assert [record["message"] for record in log.records()] == [
        "loud debug", "loud info", "loud warning", "loud error", "quiet error",
        "quiet.other warning", "quiet.other error", "yes",
    ]  # fmt: skip


def end_a_call() -> None:
    """Let a call return, as the lane reports it to its observers."""
    for ends in CallObservers(timing.timing_log()).ended:
        ends(SeenCall(), 0.0, 0.25, None)


def test_calls_are_told_when_asked_for(log: Log) -> None:
    """With -v, or level debug, each call is told with its duration and delay."""
    log.configure(format="json", verbose=True)
    end_a_call()
    (record,) = log.records()
    assert (record["action"], record["event_id"]) == ("callback.returned", 7)
    assert record["duration_ms"] == 250


def test_calls_are_not_told_otherwise(log: Log) -> None:
    """At info, a call that returned is no news."""
    log.configure(format="json")
    end_a_call()
    assert log.records() == []


def test_file_gets_it_as_well(log: Log, tmp_path: Path) -> None:
    """`file` is beside stderr, in a folder that is made."""
    file = tmp_path / "logs" / "sgevents.log"
    log.configure("notify", file=file, format="human")
    daemon.info("Stopped")
    plugin("notify").info("said")
    log.flush()
    for log_text in (file.read_text(), log.stderr()):
        assert [line[29:] for line in log_text.splitlines()] == ["Stopped", "[notify] said"]


def test_plugins_have_files_of_their_own(log: Log, tmp_path: Path) -> None:
    """A plugin's file has its words and what is said of it; the daemon's has all but its words."""
    file = tmp_path / "sgevents.log"
    names = ("notify", "notify.more", "odd/name")
    log.configure(*names, file=file, per_plugin=True, format="human")
    daemon.info("Stopped")
    daemon.error("It failed", extra={"plugin": "notify", "action": "callback.dead_lettered"})
    plugin("notify").info("said")
    plugin("notify").getChild("part").info("in part")
    plugin("notify.more").info("more")
    plugin("odd/name").info("odd")
    plugin("unknown").info("who")
    log.flush()
    files = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert {name: [line[29:] for line in text.splitlines()] for name, text in files.items()} == {
        "sgevents.log": ["Stopped", "It failed", "[unknown] who"],
        "sgevents.notify.log": ["It failed", "[notify] said", "[notify.part] in part"],
        "sgevents.notify.more.log": ["[notify.more] more"],
        "sgevents.odd%2Fname.log": ["[odd/name] odd"],
    }
    assert len(log.stderr().splitlines()) == 7


@pytest.mark.parametrize(("keep", "files"), [(0, 1), (1, 2), (3, 4)])
def test_files_are_rotated(
    log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep: int, files: int
) -> None:
    """A file does not grow beyond its size; `keep` old ones stay, of a plugin's too."""
    monkeypatch.setattr(logs, "MAX_FILE_BYTES", 2000)
    log.configure("notify", file=tmp_path / "sgevents.log", per_plugin=True, keep=keep)
    for number in range(100):
        daemon.info("record %d", number)
        plugin("notify").info("said %d", number)
    log.flush()
    file_names = sorted(path.name for path in tmp_path.iterdir())
    assert len(file_names) == 2 * files
    assert all(path.stat().st_size <= 2000 for path in tmp_path.iterdir())
    assert "record 99" in (tmp_path / "sgevents.log").read_text()


@pytest.mark.parametrize("per_plugin", [False, True])
def test_file_that_cannot_be_written_is_a_clear_error(
    log: Log, tmp_path: Path, per_plugin: bool
) -> None:
    """The error names the file, the reason and the fix, before anything runs."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "sgevents.notify.log").mkdir()
    file = tmp_path / ("sgevents.log" if per_plugin else "folder")
    with pytest.raises(LogFileError) as refused:
        log.configure("notify", file=file, per_plugin=per_plugin)
    assert "Is a directory" in str(refused.value)
    assert str(tmp_path) in str(refused.value)
    assert refused.value.exit_code == 2


def test_secrets_are_in_no_log(log: Log, tmp_path: Path) -> None:
    """Not in a message, its arguments, fields, tracebacks or a plugin's own file."""
    file = tmp_path / "sgevents.log"
    log.configure("notify", file=file, per_plugin=True)
    key = "very-demo-key"
    daemon.info("with %s", key, extra={"detail": {"deep": [key]}, "text": key, "b": key.encode()})
    try:
        int(key)
    except ValueError:
        plugin("notify").exception("failed with %r", [key])
    everything = log.stderr() + "".join(path.read_text() for path in tmp_path.iterdir())
    assert "***" in everything
    assert key not in everything


def test_shotgun_api3_tells_no_requests(log: Log) -> None:
    """What the client logs at DEBUG holds the script's key: no level lets it through."""
    log.configure(format="json", level="debug")
    client = logging.getLogger("shotgun_api3")
    before = client.level
    client.setLevel(logging.DEBUG)
    try:
        client.debug("Request body is very-demo-key")
        client.warning("told")
    finally:
        client.setLevel(before)
    assert [record["message"] for record in log.records()] == ["told"]


@pytest.mark.parametrize("form", ["json", "human"])
def test_odd_records_are_written_all_the_same(log: Log, form: str) -> None:
    """Wrong arguments, things that cannot be printed, huge numbers: the line is there."""

    class Odd:
        def __repr__(self) -> str:
            raise ValueError

    log.configure("notify", format=form)
    outlets = next(
        handler
        for handler in logging.getLogger().handlers
        if isinstance(handler, logs.OutletHandler)
    )
    for message, args in (("wrong %d", ("text",)), ("odd %s", (Odd(),)), ("half \ud800", ())):
        record = plugin("notify").makeRecord("x", logging.INFO, "f", 1, message, args, None)
        record.thing, record.number = Odd(), 10**5000
        outlets.handle(record)
    plugin("notify").info("two\nlines")
    stderr_text = log.stderr()
    for expected_text in ("wrong %d", "odd %s", "half ?", "lines"):
        assert expected_text in stderr_text
    assert "Traceback" not in stderr_text
    if form == "json":
        assert len([json.loads(line) for line in stderr_text.splitlines()]) == 4


def test_log_that_cannot_be_written_says_so_once(log: Log, tmp_path: Path) -> None:
    """A full disk costs records, not a traceback for each, and no callback."""
    log.configure(file=Path("/dev/full"), format="human")
    for number in range(10):
        daemon.info("record %d", number)
    stderr_text = log.stderr()
    complaint = (
        "sgevents: a log cannot be written: [Errno 28] No space left on device: '/dev/full'."
    )
    assert stderr_text.count(complaint) == 1
    assert "until then its records are lost, and everything else continues" in stderr_text
    assert stderr_text.count("record ") == 10


def test_everything_is_as_before_afterwards(capsys: pytest.CaptureFixture[str]) -> None:
    """Handlers and levels are those from before the block."""
    root = logging.getLogger()
    before = (list(root.handlers), root.level)
    with logs.configured_log(LogSettings(level="debug"), Redactor(), plugin_names=["notify"]):
        assert plugin("notify").level == logging.DEBUG
    assert (list(root.handlers), root.level) == before
    assert plugin("notify").level == logging.NOTSET
    assert capsys.readouterr().err == ""


HOSTILE = "pale\n2026-01-31 12:00:00 error    forged\r\x1b[2Jgone\x9b31m \u202eexe.nomed\u2028\x00"


def test_no_text_forges_a_record_or_reaches_the_terminal(log: Log) -> None:
    """Characters that control a terminal are shown, and continuation lines are indented."""
    log.configure("notify", format="human")
    plugin("notify").warning("%s", HOSTILE)
    plugin("notify").warning("<0>critical\n<0>for journald too")
    first, forged, fourth, fifth = log.stderr().splitlines()
    assert first.endswith("[notify] pale")
    escaped_text = (
        r"    2026-01-31 12:00:00 error    forged\r\x1b[2Jgone\x9b31m \u202eexe.nomed\u2028\x00"
    )
    assert forged == escaped_text
    assert fourth.endswith("[notify] <0>critical")
    assert fifth == "    <0>for journald too"


def test_traceback_cannot_forge_a_record(log: Log) -> None:
    """Every line of a traceback is indented, the message of the error included."""
    log.configure("notify", format="human")
    plugin("notify").error("failed", exc_info=ValueError(HOSTILE))
    first, *others = log.stderr().splitlines()
    assert first.endswith("failed")
    assert all(line.startswith("    ") for line in others)
    assert "\x1b" not in "".join(others)


def test_json_keeps_values_in_one_plain_line(log: Log) -> None:
    """A value comes back as it was, and no byte of it can control what shows the log."""
    log.configure("notify", format="json")
    plugin("notify").warning("%s", HOSTILE, extra={"shot": HOSTILE, "odd": "\U000e0041"})
    line = log.stderr()
    assert line.rstrip("\n").isprintable()
    record = json.loads(line)
    assert record["message"] == record["shot"] == HOSTILE
    assert record["odd"] == "\U000e0041"


def test_log_files_are_not_for_everybody(log: Log, tmp_path: Path) -> None:
    """Whatever mask the process was started with."""
    before = os.umask(0o000)
    try:
        log.configure("notify", file=tmp_path / "sgevents.log", per_plugin=True)
        plugin("notify").info("said")
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"sgevents.log": 0o640, "sgevents.notify.log": 0o640}
