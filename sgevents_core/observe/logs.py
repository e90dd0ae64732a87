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
from sgevents_core.observe.current_call import current_call
from sgevents_core.observe.log_formats import (
    CLASSIC_LOGGER,
    PLUGIN_LOGGER,
    PLUGIN_LOGGERS,
    HumanFormatter,
    JsonFormatter,
)
from sgevents_core.observe.log_writers import FileSink, LogSink, LogWriter, StreamSink
from sgevents_core.observe.redaction import Redactor
from sgevents_core.observe.steady_logging import (
    ROOT_LOGGER,
    LoggingKeeper,
    SteadyLogger,
    clear_level_caches,
)
from sgevents_core.printable import counted, wants_colours
from sgevents_core.settings import LogSettings

MAX_FILE_BYTES: Final = 10_000_000
"""Size at which a log file is rotated."""
CLOSE_TIMEOUT: Final = 2.0
"""Seconds to wait at the end for a terminal or a disk that accepts nothing."""
_LIBRARY_LEVEL: Final = "WARNING"
"""The level for libraries, whose warnings alone matter; the daemon's loggers use their own."""

_ended_handlers: Final[list[logging.Handler]] = []
"""Handlers of closed logs: freeing one takes `logging`'s lock, which a plugin may hold."""


class LogOutlet(NamedTuple):
    """A destination of records, with their format.

    Args:
        sink: The destination.
        formatter: Makes the text, in the thread that logs.
        writer: Writes it, in a thread of its own.
    """

    sink: LogSink
    formatter: logging.Formatter
    writer: LogWriter


class OutletHandler(logging.Handler):
    """A handler that adds to each record the call it comes from, and passes it to its outlets.

    Records are turned into text without a lock and in the thread that logs, since that calls code
    of plugins; only the log's own thread waits for a terminal or a disk.

    Args:
        common_outlets: Outlets of all records, except those of plugins that log only to a file of
            their own.
        plugin_outlets: Plugin -> the additional outlet of its records and of records about it.
        file_outlets: Those of `common_outlets` that records of plugins with an outlet of their own
            do not go to.
    """

    def __init__(
        self,
        common_outlets: Sequence[LogOutlet],
        plugin_outlets: dict[str, LogOutlet],
        file_outlets: Sequence[LogOutlet] = (),
    ) -> None:
        super().__init__()
        self._common_outlets = common_outlets
        self._plugin_outlets = plugin_outlets
        self._file_outlets = file_outlets
        self._without_files = [outlet for outlet in common_outlets if outlet not in file_outlets]
        self._plugin_names = sorted(plugin_outlets, key=len, reverse=True)

    def has_file_of(self, plugin_name: str) -> bool:
        """Return whether a plugin has a file of its own, or there are no files at all."""
        return plugin_name in self._plugin_outlets or not self._file_outlets

    def add_file_of(self, plugin_name: str, sink: FileSink) -> None:
        """Send a plugin's records to a file of its own from now on."""
        self._plugin_outlets[plugin_name] = self._file_outlets[0]._replace(sink=sink)
        self._plugin_names = sorted(self._plugin_outlets, key=len, reverse=True)

    def createLock(self) -> None:  # noqa: N802 - logging's name
        """Create no lock: none is needed, and a plugin's code must not run under one."""
        self.lock = None

    def handle(self, record: logging.LogRecord) -> bool:
        """Pass the record to its outlets."""
        self.emit(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        """Pass the record to its outlets."""
        plugin_name = self._add_origin(record)
        plugin_outlet = self._plugin_outlets.get(plugin_name)
        is_plugin_record = plugin_outlet is not None and record.name.startswith(PLUGIN_LOGGERS)
        texts_by_formatter: dict[int, str] = {}
        for outlet in (
            *(self._without_files if is_plugin_record else self._common_outlets),
            *([plugin_outlet] if plugin_outlet else []),
        ):
            formatter_id = id(outlet.formatter)
            if formatter_id not in texts_by_formatter:
                texts_by_formatter[formatter_id] = f"{outlet.formatter.format(record)}\n"
            outlet.writer.put(outlet.sink, texts_by_formatter[formatter_id])

    def close(self) -> None:
        """Stay open until `end`: plugins call `logging.shutdown` and the like."""

    def flush_within(self, seconds: float) -> bool:
        """Write the queued records; return False if that takes too long (seconds per outlet)."""
        flush_results = [
            file_writer.flush(seconds) for file_writer in reversed(self._writers())
        ]  # files first
        return all(flush_results)

    def end(self) -> None:
        """Write the queued records, and close all outlets; drop records not accepted in time."""
        closed_writers = {writer for writer in self._writers() if writer.close(CLOSE_TIMEOUT)}
        for outlet in (*self._common_outlets, *self._plugin_outlets.values()):
            if outlet.writer in closed_writers:
                outlet.sink.close()
        _ended_handlers.append(self)

    def _writers(self) -> list[LogWriter]:
        outlets = (*self._common_outlets, *self._plugin_outlets.values())
        return list(dict.fromkeys(outlet.writer for outlet in outlets))

    def _add_origin(self, record: logging.LogRecord) -> str:
        """Add action, plugin, callback and event to the record; return the plugin."""
        record_fields = vars(record)
        call = current_call()
        if call is not None and record_fields.setdefault("plugin", call.plugin) == call.plugin:
            record_fields.setdefault("callback", call.callback)
            if call.event_id is not None:
                record_fields.setdefault("event_id", call.event_id)
        plugin_name = str(record_fields.get("plugin") or self._plugin_of_logger(record.name))
        if plugin_name:
            record_fields["plugin"] = plugin_name
        record_fields.setdefault("action", "plugin.log" if plugin_name else "library.log")
        return plugin_name

    def _plugin_of_logger(self, logger_name: str) -> str:
        if not logger_name.startswith(PLUGIN_LOGGER):
            return ""
        plugin_name = logger_name.removeprefix(PLUGIN_LOGGER)
        return next(
            (plugin for plugin in self._plugin_names if f"{plugin_name}.".startswith(f"{plugin}.")),
            plugin_name,
        )


@contextmanager
def configured_log(
    settings: LogSettings,
    redactor: Redactor,
    *,
    plugin_names: Iterable[str] = (),
    log_every_call: bool = False,
) -> Iterator[None]:
    """Send log records to the outlets in the config while the block lasts.

    Args:
        settings: `[log]` of the config.
        redactor: Removes secrets.
        plugin_names: Names of the plugins that may run.
        log_every_call: Whether every call of a callback is logged, whatever the config says.

    Raises:
        LogFileError: A file cannot be written.
    """
    enabled_plugins = list(plugin_names)
    outlets = _outlets(settings, enabled_plugins, redactor)
    try:
        with logging_to(outlets, settings, enabled_plugins, log_every_call=log_every_call):
            yield
    finally:
        outlets.end()


@contextmanager
def logging_to(
    handler: logging.Handler,
    settings: LogSettings,
    plugin_names: Iterable[str],
    *,
    log_every_call: bool = False,
) -> Iterator[None]:
    """Pass all records that the config's levels let through to one handler while the block lasts.

    Args:
        handler: The handler.
        settings: `[log]` of the config.
        plugin_names: Names of the plugins that may run.
        log_every_call: Whether every call of a callback is logged, whatever the config says.
    """
    root_logger, daemon_logger = logging.getLogger(), logging.getLogger(ROOT_LOGGER)
    level_before = root_logger.level
    daemon_level = "DEBUG" if log_every_call else settings.level.upper()
    plugin_loggers = {
        logging.getLogger(f"{PLUGIN_LOGGER}{logger_name}"): settings.levels.get(logger_name)
        for logger_name in plugin_names
    }
    plugin_loggers[logging.getLogger(CLASSIC_LOGGER)] = None
    root_logger.addHandler(handler)
    root_logger.setLevel(_LIBRARY_LEVEL)
    daemon_logger.setLevel(daemon_level)
    for logger, plugin_level in plugin_loggers.items():
        logger.setLevel(plugin_level.upper() if plugin_level else daemon_level)
    logging.getLogger("shotgun_api3").addFilter(_above_debug)
    logging.captureWarnings(capture=True)
    try:
        with LoggingKeeper(
            handler, {root_logger: _LIBRARY_LEVEL, daemon_logger: daemon_level}
        ).kept_in_place():
            yield
    finally:
        logging.captureWarnings(capture=False)
        # Nothing here needs the lock of `logging`: a plugin may keep it for ever.
        for logger in (daemon_logger, *plugin_loggers):
            logger.level = logging.NOTSET
        root_logger.level = level_before
        if handler in root_logger.handlers:
            root_logger.handlers.remove(handler)
        clear_level_caches()


def flush_log(timeout: float = CLOSE_TIMEOUT) -> bool:
    """Write the queued records; return False if that takes longer than a number of seconds."""
    keeper = SteadyLogger.keeper
    if keeper is None or not isinstance(keeper.outlets, OutletHandler):
        return True
    return keeper.outlets.flush_within(timeout)


def open_plugin_log(settings: LogSettings, plugin_name: str) -> None:
    """Open the log file of a plugin that has come since the start, if each plugin has one.

    Raises:
        LogFileError: The file cannot be written.
    """
    keeper = SteadyLogger.keeper
    if keeper is None or not settings.per_plugin or settings.file is None:
        return
    if isinstance(keeper.outlets, OutletHandler) and not keeper.outlets.has_file_of(plugin_name):
        path = plugin_file_path(settings.file, plugin_name)
        keeper.outlets.add_file_of(plugin_name, _open_file(path, settings.keep))


def restore_logging(plugin_name: str = "") -> None:
    """Restore the log's configuration if a plugin has changed it, and report the plugin."""
    keeper = SteadyLogger.keeper
    if keeper is not None:
        keeper.restore_configuration(plugin_name)


def _outlets(settings: LogSettings, names: Sequence[str], redactor: Redactor) -> OutletHandler:
    terminal_sink = StreamSink(sys.stderr)
    terminal_formatter = _make_formatter(settings, redactor, is_terminal=sys.stderr.isatty())
    if settings.file is None:
        return OutletHandler(
            [
                LogOutlet(
                    terminal_sink,
                    terminal_formatter,
                    LogWriter("log", _dropped_record(terminal_formatter)),
                )
            ],
            {},
        )
    file_formatter = _make_formatter(settings, redactor, is_terminal=False)
    file_sinks: list[FileSink] = []
    with ExitStack() as opened_files:
        for path in _file_paths(settings.file, names if settings.per_plugin else ()):
            file_sinks.append(_open_file(path, settings.keep))
            opened_files.callback(file_sinks[-1].close)
        opened_files.pop_all()
    terminal_outlet = LogOutlet(
        terminal_sink, terminal_formatter, LogWriter("log", _dropped_record(terminal_formatter))
    )
    file_writer = LogWriter("log files", _dropped_record(file_formatter))
    file_writer.report_trouble = lambda message_text: terminal_outlet.writer.put(
        terminal_sink, message_text
    )
    file_log, *plugin_outlets = [
        LogOutlet(sink, file_formatter, file_writer) for sink in file_sinks
    ]
    return OutletHandler(
        [terminal_outlet, file_log],
        dict(zip(names, plugin_outlets, strict=False)),
        [file_log],
    )


def _file_paths(daemon_file: Path, plugin_names: Sequence[str]) -> list[Path]:
    return [
        daemon_file,
        *(plugin_file_path(daemon_file, plugin_name) for plugin_name in plugin_names),
    ]


def _dropped_record(formatter: logging.Formatter) -> Callable[[LogSink, int], str]:
    """Return the function that formats the record about dropped records."""

    def dropped_record_text(sink: LogSink, dropped_count: int) -> str:
        dropped_text = counted(dropped_count, "record is", "records are")
        message_text = f"{dropped_text} missing here: they came faster than they could be written"
        record = logging.LogRecord(
            "sgevents.daemon", logging.WARNING, "", 0, message_text, (), None
        )
        vars(record).update({"action": "log.dropped", "records": dropped_count})
        return f"{formatter.format(record)}\n"

    return dropped_record_text


def plugin_file_path(daemon_file: Path, plugin_name: str) -> Path:
    """Return a plugin's own log file: beside the daemon's, with the plugin's name in it."""
    return daemon_file.with_name(
        f"{daemon_file.stem}.{quote(plugin_name, safe=' ')}{daemon_file.suffix}"
    )


def _make_formatter(
    settings: LogSettings, redactor: Redactor, *, is_terminal: bool
) -> logging.Formatter:
    is_json = settings.format == "json" or (settings.format == "auto" and not is_terminal)
    return (
        JsonFormatter(redactor)
        if is_json
        else HumanFormatter(redactor, use_colour=is_terminal and wants_colours())
    )


def _open_file(path: Path, kept_files: int) -> FileSink:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return FileSink(path, kept_files, MAX_FILE_BYTES)
    except OSError as error:
        raise LogFileError(path=path, reason=error.strerror or str(error)) from None


def _above_debug(record: logging.LogRecord) -> bool:
    """Filter out DEBUG records of shotgun_api3: they hold whole requests, with the script's key."""
    return record.levelno > logging.DEBUG
