"""The log goes on, whatever plugins do to it, and whoever reads it or not."""

from __future__ import annotations

import io
import json
import logging
import logging.config
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from waiting import PATIENCE, wait_until

from sgevents_core.observe import log_writers, logs
from sgevents_core.observe.current_call import CurrentCall, enter_call, leave_call
from sgevents_core.observe.redaction import Redactor
from sgevents_core.settings import LogSettings

daemon = logging.getLogger("sgevents.dispatch")
notify = logging.getLogger("sgevents.plugin.notify")
root = logging.getLogger()
CALL = CurrentCall("notify", "notify:on_new", 7)


class Place:
    """A log in a file, and on a pipe in the place of a terminal."""

    def __init__(self, folder: Path, configured: ExitStack) -> None:
        self.file = folder / "sgevents.log"
        self._configured = configured
        reads, writes = os.pipe()
        self.terminal = os.fdopen(reads, "rb", buffering=0)
        self.stderr = os.fdopen(writes, "w", encoding="utf-8")

    def configure(self, **table: Any) -> None:
        """Let it begin."""
        settings = LogSettings(file=self.file, format="json", **table)
        before, sys.stderr = sys.stderr, self.stderr
        self._configured.enter_context(
            logs.configured_log(settings, Redactor(), plugin_names=["notify"])
        )
        sys.stderr = before

    def end(self) -> None:
        """Let it end."""
        self._configured.close()

    def records(self) -> list[dict[str, Any]]:
        """Return the records in the file."""
        logs.flush_log(20)
        return [json.loads(line) for line in self.file.read_text().splitlines()]

    def messages(self) -> list[str]:
        """Return the messages in the file."""
        return [record["message"] for record in self.records()]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A log that is not configured yet."""
    with ExitStack() as configured:
        place = Place(tmp_path, configured)
        yield place
        place.terminal.close()  # a writer that waits for it ends
    place.stderr.close()


class Says:
    """Runs something to be printed."""

    def __init__(self, act: Callable[[], object]) -> None:
        self._act = act

    def __str__(self) -> str:
        return f"said {self._act()}"


def fails() -> None:
    """Raise."""
    raise ValueError("no")


def test_argument_that_takes_for_ever_to_be_printed(place: Place) -> None:
    """It holds up its own thread; everybody else logs, and the log can end."""
    place.configure()
    gate, begun = threading.Event(), threading.Event()

    def waits() -> bool:
        begun.set()
        return gate.wait(PATIENCE)

    slow = Says(waits)
    thread = threading.Thread(target=notify.info, args=("slow %s", slow))
    thread.start()
    try:
        assert begun.wait(PATIENCE)
        notify.info("other")
        daemon.info("daemon")
        root.warning("library")
        assert place.messages() == ["other", "daemon", "library"]
    finally:
        gate.set()
        thread.join()
    assert place.messages()[3].startswith("slow said ")


@pytest.mark.parametrize(
    ("act", "expected_action"),
    [
        (fails, "odd %s (its arguments do not fit"),
        (lambda: notify.info("inner"), "odd said None"),
        (lambda: logging.getLogger("sgevents.new").info("inner"), "odd said None"),
        (root.handlers.clear, "odd said None"),
    ],
)
def test_argument_that_does_something_when_printed(
    place: Place, act: Callable[[], object], expected_action: str
) -> None:
    """Raising, logging, or taking the log away: its record is there."""
    place.configure()
    notify.info("odd %s", Says(act))
    daemon.info("next")
    assert any(message.startswith(expected_action) for message in place.messages())
    assert "next" in place.messages()


def has_lines(file: Path, number: int) -> bool:
    """Whether so many lines were written."""
    return file.read_bytes().count(b"\n") >= number


def test_terminal_that_nobody_reads(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for it; the file has all, and the terminal says how much is missing."""
    monkeypatch.setattr(log_writers, "MAX_QUEUED", 100)
    place.configure()
    most = 3000
    for number in range(most):
        daemon.info("record %d", number)
        if number % 50 == 0:
            wait_until(partial(has_lines, place.file, number + 1))
    wait_until(partial(has_lines, place.file, most))
    read: list[bytes] = []

    def drain() -> None:
        while chunk := place.terminal.read(65536):
            read.append(chunk)

    reader = threading.Thread(target=drain)
    reader.start()
    assert logs.flush_log(20)
    daemon.info("more")
    place.end()
    place.stderr.close()
    reader.join(PATIENCE)
    terminal_records = [json.loads(line) for line in b"".join(read).splitlines()]
    missing = [
        record["records"] for record in terminal_records if record["action"] == "log.dropped"
    ]
    records = [record for record in terminal_records if record["message"].startswith("record ")]
    assert missing
    assert sum(missing) + len(records) == most
    assert "missing here: they came faster" in str(terminal_records)


def test_end_with_a_terminal_that_nobody_reads(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is waited for as long as is said, and no longer."""
    monkeypatch.setattr(logs, "CLOSE_TIMEOUT", 0.05)
    place.configure()
    for number in range(3000):
        daemon.info("record %d", number)
    place.end()
    assert len(place.file.read_text().splitlines()) == 3000


def test_long_record_is_cut_in_the_middle(place: Place) -> None:
    """Begin and end of a message of megabytes are kept, as JSON that can be read."""
    place.configure()
    reader = threading.Thread(target=place.terminal.readall)
    reader.start()
    notify.info("begin %s end", "x" * 10_000_000, extra={"data": "y" * 10_000_000})
    (record,) = place.records()
    place.end()
    place.stderr.close()
    reader.join(PATIENCE)
    assert record["message"].startswith("begin x")
    assert record["message"].endswith("x end")
    assert len(str(record)) < 200_000


INI = """
[loggers]
keys=root
[handlers]
keys=
[formatters]
keys=
[logger_root]
handlers=
level=CRITICAL
"""


class Refusing(logging.Filter):
    """Lets nothing through."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Refuse it."""
        return False


class Raising(logging.Handler):
    """Raises, where a handler should not."""

    def handle(self, record: logging.LogRecord) -> bool:
        """Raise."""
        raise SystemExit


class Odd(logging.Logger):
    """A logger that says nothing."""

    def handle(self, record: logging.LogRecord) -> None:
        """Raise."""
        raise SystemExit


def raising_factory(*args: Any, **kwargs: Any) -> logging.LogRecord:
    """Raise, where a factory should make a record."""
    raise SystemExit


def everything_off() -> None:
    """Silence all loggers that there are."""
    for name in [*root.manager.loggerDict]:
        logging.getLogger(name).disabled = True


def outlets() -> list[logs.OutletHandler]:
    """Return the handlers of ours."""
    return [handler for handler in root.handlers if isinstance(handler, logs.OutletHandler)]


TOLD: list[Callable[[], object]] = [
    lambda: logging.config.dictConfig({"version": 1}),
    lambda: logging.config.dictConfig({"version": 1, "root": {"level": "CRITICAL"}}),
    lambda: logging.config.dictConfig(
        {"version": 1, "loggers": {"sgevents": {"level": "CRITICAL", "propagate": False}}}
    ),
    lambda: logging.config.fileConfig(io.StringIO(INI)),
    lambda: logging.basicConfig(force=True, stream=io.StringIO(), level="DEBUG"),
    lambda: logging.disable(logging.CRITICAL),
    lambda: setattr(root.manager, "disable", 50),
    root.handlers.clear,
    lambda: [*map(root.removeHandler, [*root.handlers])],
    lambda: root.setLevel(logging.CRITICAL),
    lambda: logging.getLogger("sgevents").setLevel(logging.CRITICAL),
    lambda: daemon.setLevel(logging.CRITICAL + 50),
    everything_off,
]
UNFELT: list[Callable[[], object]] = [
    logging.shutdown,
    lambda: [*map(logs.OutletHandler.close, outlets())],
    lambda: setattr(logging.getLogger("sgevents"), "propagate", False),
    lambda: logging.getLogger("sgevents").addFilter(Refusing()),
    lambda: daemon.addFilter(Refusing()),
    lambda: root.addHandler(Raising()),
    lambda: logging.getLogger("sgevents").addHandler(Raising()),
    lambda: logging.setLoggerClass(Odd),
    lambda: logging.setLogRecordFactory(raising_factory),
]


@pytest.fixture
def as_before() -> Iterator[None]:
    """Put back what of logging the daemon does not."""
    own_loggers = [logging.getLogger("sgevents"), daemon, notify]
    logger_states = {
        state_logger: (state_logger.filters[:], state_logger.handlers[:], state_logger.propagate)
        for state_logger in [root, *own_loggers]
    }
    factory, kind = logging.getLogRecordFactory(), logging.getLoggerClass()
    yield
    for state_logger, (filters, handlers, propagate) in logger_states.items():
        state_logger.filters[:], state_logger.handlers[:], state_logger.propagate = (
            filters,
            handlers,
            propagate,
        )
    for logger in root.manager.loggerDict.values():
        if isinstance(logger, logging.Logger):
            logger.disabled = False
    logging.setLogRecordFactory(factory)
    logging.setLoggerClass(kind)


@pytest.mark.usefixtures("as_before")
@pytest.mark.parametrize("act", [*TOLD, *UNFELT])
def test_plugin_that_configures_logging(place: Place, act: Callable[[], object]) -> None:
    """Daemon, plugins and libraries are in terminal and file as before; who did it is named."""
    place.configure()
    enter_call(CALL)
    try:
        act()
        daemon.error("during")
    finally:
        leave_call()
    daemon.info("daemon")
    notify.info("plugin")
    logging.getLogger("shotgun_api3").warning("client")
    logging.getLogger("shotgun_api3").debug("with the key")
    late = logging.getLogger("sgevents.late")
    logs.restore_logging()
    late.info("late")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        if act not in UNFELT[-4:]:  # libraries go through what plugins have put there
            warnings.warn("library", stacklevel=1)
    records = place.records()
    put_back_records = [record for record in records if record["action"] == "log.put_back"]
    assert [record["plugin"] for record in put_back_records] == (["notify"] if act in TOLD else [])
    other_messages = [record["message"] for record in records if record not in put_back_records]
    assert other_messages[:5] == ["during", "daemon", "plugin", "client", "late"]
    assert "with the key" not in other_messages
    assert "UserWarning: library" in str(other_messages) or act in UNFELT[-4:]
    place.end()
    assert place.terminal.read(65536).count(b"\n") == len(records)


def test_plugin_sets_the_level_of_its_own_loggers_alone(place: Place) -> None:
    """What others say is not its business, and it is named."""
    other, child_logger = logging.getLogger(f"{notify.name}-too"), notify.getChild("part")
    place.configure()
    enter_call(CALL)
    for logger in (notify, child_logger, other):
        logger.setLevel(logging.CRITICAL)
    leave_call()
    assert [plugin_logger.level for plugin_logger in (notify, child_logger, other)] == [
        50,
        50,
        logging.NOTSET,
    ]
    assert [r["plugin"] for r in place.records() if r["action"] == "log.put_back"] == ["notify"]
    child_logger.setLevel(logging.NOTSET)


@pytest.mark.usefixtures("as_before")
def test_plugin_that_configures_logging_again_and_again(place: Place) -> None:
    """It is named once; another one is named too."""
    place.configure()
    for plugin in ("one", "one", "two", "one"):
        enter_call(CurrentCall(plugin, "x", 1))
        logging.basicConfig(force=True)
        leave_call()
    reported_plugins = [r["plugin"] for r in place.records() if r["action"] == "log.put_back"]
    assert reported_plugins == ["one", "two"]


@pytest.mark.usefixtures("as_before")
def test_plugin_that_hangs_while_it_configures_logging(place: Place) -> None:
    """It holds the lock of `logging`; the daemon logs, also at levels that it never used."""
    place.configure()
    gate, begun = threading.Event(), threading.Event()

    def handler() -> logging.Handler:
        begun.set()
        gate.wait(PATIENCE)
        return logging.NullHandler()

    config = {"version": 1, "handlers": {"x": {"()": handler}}}
    thread = threading.Thread(target=logging.config.dictConfig, args=(config,))
    thread.start()
    try:
        assert begun.wait(PATIENCE)
        for level in range(31, 40):
            daemon.log(level, "level %d", level)
        logs.restore_logging()
        level_messages = [message for message in place.messages() if message.startswith("level")]
        assert level_messages == [f"level {level}" for level in range(31, 40)]
    finally:
        gate.set()
        thread.join()


def test_handlers_of_a_plugins_own_logger_are_asked(place: Place) -> None:
    """A plugin may send its own words elsewhere too."""
    place.configure()
    own_messages: list[str] = []

    class Own(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            own_messages.append(record.getMessage())

    own_handler = Own(logging.WARNING)
    notify.addHandler(own_handler)
    try:
        notify.info("no")
        notify.warning("yes")
    finally:
        notify.removeHandler(own_handler)
    assert own_messages == ["yes"]
    assert place.messages() == ["no", "yes"]


def test_streams_and_files_that_are_closed_or_moved(place: Place, tmp_path: Path) -> None:
    """Closing stderr or the log's descriptors, moving or removing the file costs nothing."""
    place.configure()
    daemon.info("one")
    assert logs.flush_log(20)
    place.stderr.close()
    place.file.rename(tmp_path / "moved")
    daemon.info("two")
    assert place.messages() == ["two"]
    place.file.unlink()
    daemon.info("three")
    assert place.messages() == ["three"]
    for entry in [*Path("/proc/self/fd").iterdir()]:
        if entry.exists() and entry.resolve() == place.file:
            os.close(int(entry.name))
    daemon.info("four")
    assert place.messages() == ["three", "four"]
    place.end()
    terminal_text = place.terminal.read(65536).decode()
    assert [json.loads(line)["message"] for line in terminal_text.splitlines()] == [
        "one", "two", "three", "four"
    ]  # fmt: skip


def test_child_of_a_plugin_logs_as_well(place: Place) -> None:
    """In a process that was forked, where the log's threads are not."""
    place.configure()
    child = os.fork()
    if not child:
        notify.info("child")
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    notify.info("parent")
    assert place.messages() == ["child", "parent"]
