"""Where the daemon's log goes: to stderr, to a file, and to one more for each plugin."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote

from sgevents_core.errors import LogFileError
from sgevents_core.observe.current import current
from sgevents_core.observe.formats import PLUGIN_LOGGER, HumanFormatter, JsonFormatter
from sgevents_core.observe.redaction import Redactor
from sgevents_core.observe.steady import ROOT, Keeper, SteadyLogger, forget_levels
from sgevents_core.observe.writers import FileSink, Sink, StreamSink, Writer
from sgevents_core.printable import counted, wants_colours
from sgevents_core.settings import LogSettings

MOST_BYTES: Final = 10_000_000
"""Size at which a log file is rotated."""
ENDS_WITHIN: Final = 2.0
"""Seconds to wait at the end for a terminal or a disk that accepts nothing."""
_LIBRARIES: Final = "WARNING"
"""The level for libraries, of which only warnings matter; ours log what is configured."""

_ended: Final[list[logging.Handler]] = []
"""Handlers of closed logs: `logging` takes its lock to forget one, and a plugin may hold it."""


class Outlet(NamedTuple):
    """A place to which records go, in one form.

    Args:
        sink: The place.
        formatter: Makes the text, in the thread that logs.
        writer: Writes it, in a thread of its own.
    """

    sink: Sink
    formatter: logging.Formatter
    writer: Writer


class Outlets(logging.Handler):
    """A handler that adds to each record the call it comes from, and passes it to its outlets.

    Records are turned into text without a lock and in the thread that logs, since that calls code
    of plugins; only the log's own thread waits for a terminal or a disk.

    Args:
        common: Outlets of all records, except those of plugins that log only to a file of their
            own.
        own: Plugin -> the additional outlet of its records and of records about it.
        files: Those of `common` that records of plugins with an outlet of their own do not go to.
    """

    def __init__(
        self,
        common: Sequence[Outlet],
        own: dict[str, Outlet],
        files: Sequence[Outlet] = (),
    ) -> None:
        super().__init__()
        self._common = common
        self._own = own
        self._without = [outlet for outlet in common if outlet not in files]
        self._names = sorted(own, key=len, reverse=True)

    def createLock(self) -> None:  # noqa: N802 - logging's name
        """Create no lock: none is needed, and a plugin's code must not run under one."""
        self.lock = None

    def handle(self, record: logging.LogRecord) -> bool:
        """Pass the record to its outlets."""
        self.emit(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        """Pass the record to its outlets."""
        plugin = self._place(record)
        own = self._own.get(plugin)
        words = own is not None and record.name.startswith(PLUGIN_LOGGER)
        texts: dict[int, str] = {}
        for outlet in (*(self._without if words else self._common), *([own] if own else [])):
            form = id(outlet.formatter)
            if form not in texts:
                texts[form] = f"{outlet.formatter.format(record)}\n"
            outlet.writer.put(outlet.sink, texts[form])

    def close(self) -> None:
        """Stay open until `end`: `logging.shutdown` and its kind are called by plugins."""

    def flush_within(self, seconds: float) -> bool:
        """Write what is queued; return False if that takes too long (seconds per outlet)."""
        written = [writer.flush(seconds) for writer in reversed(self._writers())]  # files first
        return all(written)

    def end(self) -> None:
        """Write what is queued, and close all outlets; drop what is not accepted in time."""
        ended = {writer for writer in self._writers() if writer.close(ENDS_WITHIN)}
        for outlet in (*self._common, *self._own.values()):
            if outlet.writer in ended:
                outlet.sink.close()
        _ended.append(self)

    def _writers(self) -> list[Writer]:
        outlets = (*self._common, *self._own.values())
        return list(dict.fromkeys(outlet.writer for outlet in outlets))

    def _place(self, record: logging.LogRecord) -> str:
        """Add action, plugin, callback and event to the record; return the plugin."""
        fields = vars(record)
        call = current()
        if call is not None and fields.setdefault("plugin", call.plugin) == call.plugin:
            fields.setdefault("callback", call.callback)
            if call.event_id is not None:
                fields.setdefault("event_id", call.event_id)
        plugin = str(fields.get("plugin") or self._speaker(record.name))
        if plugin:
            fields["plugin"] = plugin
        fields.setdefault("action", "plugin.log" if plugin else "library.log")
        return plugin

    def _speaker(self, logger: str) -> str:
        if not logger.startswith(PLUGIN_LOGGER):
            return ""
        name = logger.removeprefix(PLUGIN_LOGGER)
        return next((own for own in self._names if f"{name}.".startswith(f"{own}.")), name)


@contextmanager
def configured(
    settings: LogSettings,
    redact: Redactor,
    *,
    plugins: Iterable[str] = (),
    verbose: bool = False,
) -> Iterator[None]:
    """Send what is logged where the config says, while the block lasts.

    Args:
        settings: `[log]` of the config.
        redact: Removes what must not be in any log.
        plugins: Names of the plugins that may run.
        verbose: Whether every call of a callback is logged, whatever the config says.

    Raises:
        LogFileError: A file cannot be written.
    """
    names = list(plugins)
    outlets = _outlets(settings, names, redact)
    root, ours = logging.getLogger(), logging.getLogger(ROOT)
    before = root.level
    level = "DEBUG" if verbose else settings.level.upper()
    own = {logging.getLogger(f"{PLUGIN_LOGGER}{name}"): settings.levels.get(name) for name in names}
    root.addHandler(outlets)
    root.setLevel(_LIBRARIES)
    ours.setLevel(level)
    for logger, wanted in own.items():
        logger.setLevel(wanted.upper() if wanted else level)
    logging.getLogger("shotgun_api3").addFilter(_above_debug)
    logging.captureWarnings(capture=True)
    try:
        with Keeper(outlets, {root: _LIBRARIES, ours: level}).keeping():
            yield
    finally:
        logging.captureWarnings(capture=False)
        # Nothing here needs the lock of `logging`: a plugin may keep it for ever.
        for logger in (ours, *own):
            logger.level = logging.NOTSET
        root.level = before
        if outlets in root.handlers:
            root.handlers.remove(outlets)
        forget_levels()
        outlets.end()


def flush(within: float = ENDS_WITHIN) -> bool:
    """Write what is queued; return False if that takes longer than a number of seconds."""
    keeper = SteadyLogger.keeper
    if keeper is None or not isinstance(keeper.outlets, Outlets):
        return True
    return keeper.outlets.flush_within(within)


def look(plugin: str = "") -> None:
    """Restore what a plugin has changed in the log's configuration, and report the plugin."""
    keeper = SteadyLogger.keeper
    if keeper is not None:
        keeper.look(plugin)


def _outlets(settings: LogSettings, plugins: Sequence[str], redact: Redactor) -> Outlets:
    terminal = StreamSink(sys.stderr)
    form = _formatter(settings, redact, terminal=sys.stderr.isatty())
    if settings.file is None:
        return Outlets([Outlet(terminal, form, Writer("log", _dropped(form)))], {})
    other = _formatter(settings, redact, terminal=False)
    files: list[FileSink] = []
    with ExitStack() as opened:
        for path in _paths(settings.file, plugins if settings.per_plugin else ()):
            files.append(_file(path, settings.keep))
            opened.callback(files[-1].close)
        opened.pop_all()
    stream = Outlet(terminal, form, Writer("log", _dropped(form)))
    writer = Writer("log files", _dropped(other))
    writer.complain = lambda text: stream.writer.put(terminal, text)
    file, *own = [Outlet(sink, other, writer) for sink in files]
    return Outlets([stream, file], dict(zip(plugins, own, strict=False)), [file])


def _paths(file: Path, plugins: Sequence[str]) -> list[Path]:
    return [file, *(path_of(file, plugin) for plugin in plugins)]


def _dropped(formatter: logging.Formatter) -> Callable[[Sink, int], str]:
    """Return what makes the record which says that records were dropped."""

    def says(sink: Sink, number: int) -> str:
        records = counted(number, "record is", "records are")
        text = f"{records} missing here: they came faster than they could be written"
        record = logging.LogRecord("sgevents.daemon", logging.WARNING, "", 0, text, (), None)
        vars(record).update({"action": "log.dropped", "records": number})
        return f"{formatter.format(record)}\n"

    return says


def path_of(file: Path, plugin: str) -> Path:
    """Return a plugin's own log file: beside the daemon's, with the plugin's name in it."""
    return file.with_name(f"{file.stem}.{quote(plugin, safe=' ')}{file.suffix}")


def _formatter(settings: LogSettings, redact: Redactor, *, terminal: bool) -> logging.Formatter:
    as_json = settings.format == "json" or (settings.format == "auto" and not terminal)
    return (
        JsonFormatter(redact)
        if as_json
        else HumanFormatter(redact, colour=terminal and wants_colours())
    )


def _file(path: Path, keep: int) -> FileSink:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return FileSink(path, keep, MOST_BYTES)
    except OSError as error:
        raise LogFileError(path=path, reason=error.strerror or str(error)) from None


def _above_debug(record: logging.LogRecord) -> bool:
    """Filter out what shotgun_api3 logs at DEBUG: whole requests, and so the script's key."""
    return record.levelno > logging.DEBUG
