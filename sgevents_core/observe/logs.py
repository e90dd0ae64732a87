"""Where the daemon's log goes: to stderr, to a file, to one more for each plugin."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Final
from urllib.parse import quote

from sgevents_core.errors import LogFileError
from sgevents_core.observe.current import current
from sgevents_core.observe.formats import PLUGIN_LOGGER, HumanFormatter, JsonFormatter
from sgevents_core.observe.redaction import Redactor
from sgevents_core.settings import LogSettings

ROOT: Final = "sgevents"
MOST_BYTES: Final = 10_000_000
"""Size at which a log file is rotated."""
COMPLAIN_EVERY: Final = 60.0
"""Seconds between two complaints that the log itself cannot be written."""


class Outlets(logging.Handler):
    """Says of each record which call it comes from, and sends it where it belongs.

    Args:
        common: Where all records go that are not only a plugin's own words in a file of its own.
        own: Plugin -> where its own words, and what is said of it, go as well.
        files: Those of `common` that plugins with an outlet of their own do not fill.
    """

    def __init__(
        self,
        common: Sequence[logging.Handler],
        own: dict[str, logging.Handler],
        files: Sequence[logging.Handler] = (),
    ) -> None:
        super().__init__()
        self._common = common
        self._own = own
        self._without = [handler for handler in common if handler not in files]
        self._names = sorted(own, key=len, reverse=True)

    def emit(self, record: logging.LogRecord) -> None:
        """Hand the record to its outlets."""
        plugin = self._place(record)
        own = self._own.get(plugin)
        words = own is not None and record.name.startswith(PLUGIN_LOGGER)
        for handler in self._without if words else self._common:
            handler.handle(record)
        if own is not None:
            own.handle(record)

    def close(self) -> None:
        """Close all outlets."""
        for handler in (*self._common, *self._own.values()):
            handler.close()
        super().close()

    def _place(self, record: logging.LogRecord) -> str:
        """Give the record its action, plugin, callback and event; return the plugin."""
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
        redact: Takes out what must not be in any log.
        plugins: Names of the plugins that may run.
        verbose: Whether every call of a callback is told, whatever the config says.

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
    root.setLevel("WARNING")  # of libraries, what people should know of; of ours, what they ask for
    ours.setLevel(level)
    for logger, wanted in own.items():
        logger.setLevel(wanted.upper() if wanted else level)
    logging.getLogger("shotgun_api3").addFilter(_above_debug)
    logging.captureWarnings(capture=True)
    try:
        yield
    finally:
        logging.captureWarnings(capture=False)
        for logger in (ours, *own):
            logger.setLevel(logging.NOTSET)
        root.setLevel(before)
        root.removeHandler(outlets)
        outlets.close()


def _outlets(settings: LogSettings, plugins: Sequence[str], redact: Redactor) -> Outlets:
    stream = _Stream(sys.stderr)
    stream.setFormatter(_formatter(settings, redact, terminal=sys.stderr.isatty()))
    if settings.file is None:
        return Outlets([stream], {})
    formatter = _formatter(settings, redact, terminal=False)
    own: dict[str, logging.Handler] = {}
    with ExitStack() as opened:
        file = _file(settings.file, settings.keep, formatter)
        opened.callback(file.close)
        for plugin in plugins if settings.per_plugin else ():
            own[plugin] = _file(path_of(settings.file, plugin), settings.keep, formatter)
            opened.callback(own[plugin].close)
        opened.pop_all()
    return Outlets([stream, file], own, [file])


def path_of(file: Path, plugin: str) -> Path:
    """Return a plugin's own log file: beside the daemon's, with the plugin's name in it."""
    return file.with_name(f"{file.stem}.{quote(plugin, safe=' ')}{file.suffix}")


def _formatter(settings: LogSettings, redact: Redactor, *, terminal: bool) -> logging.Formatter:
    as_json = settings.format == "json" or (settings.format == "auto" and not terminal)
    return JsonFormatter(redact) if as_json else HumanFormatter(redact, colour=terminal)


def _file(path: Path, keep: int, formatter: logging.Formatter) -> logging.Handler:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = _File(path, keep)
    except OSError as error:
        raise LogFileError(path=path, reason=error.strerror or str(error)) from None
    handler.setFormatter(formatter)
    return handler


class _Complaining(logging.Handler):
    """Says now and then that records cannot be written, instead of a traceback for each."""

    _complained = float("-inf")

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        error, now = sys.exc_info()[1], time.monotonic()
        if now - self._complained > COMPLAIN_EVERY:
            self._complained = now
            with suppress(Exception):  # there may be no stderr either
                sys.stderr.write(f"sgevents: a log cannot be written: {error}\n")

    def close(self) -> None:
        with suppress(OSError):  # what could not be written was complained of
            super().close()


class _Stream(_Complaining, logging.StreamHandler):  # type: ignore[type-arg]  # a class in 3.10 has no []
    pass


class _File(_Complaining, RotatingFileHandler):
    def __init__(self, path: Path, keep: int) -> None:
        super().__init__(
            path, maxBytes=MOST_BYTES, backupCount=keep, encoding="utf-8", errors="backslashreplace"
        )

    def doRollover(self) -> None:  # noqa: N802 - logging's name
        if not self.backupCount and self.stream:  # else the one file would grow for ever
            self.stream.truncate(0)
        super().doRollover()


def _above_debug(record: logging.LogRecord) -> bool:
    """Keep out what shotgun_api3 tells at DEBUG: whole requests, and so the script's key."""
    return record.levelno > logging.DEBUG
