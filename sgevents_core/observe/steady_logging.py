"""Keep the daemon's log as it is configured, whatever plugins do to `logging`.

The loggers of the daemon, its client and plugins pass their records straight to the outlets: no
level, filter, handler or lock of other code is involved.
"""

from __future__ import annotations

import functools
import logging
import logging.config
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import ModuleType
from typing import Any, Final

from sgevents_core.observe.current_call import current_call
from sgevents_core.observe.invoking import running_plugins
from sgevents_core.observe.log_formats import PLUGIN_LOGGER, PLUGIN_LOGGERS

logger = logging.getLogger("sgevents.daemon")

ROOT_LOGGER: Final = "sgevents"
_CONFIGURING_FUNCTIONS: Final[tuple[tuple[ModuleType, str], ...]] = (
    (logging, "basicConfig"),
    (logging, "disable"),
    (logging, "shutdown"),
    (logging.config, "dictConfig"),
    (logging.config, "fileConfig"),
)
"""The functions that change logging for a whole program."""
_CLIENT_LOGGER: Final = "shotgun_api3"
"""The client's logger, which the daemon's own threads use too; DEBUG contains the script's key."""
_STEADY_PREFIXES: Final = (f"{ROOT_LOGGER}.", f"{_CLIENT_LOGGER}.", *PLUGIN_LOGGERS)
_OTHER_LOGGERS: Final = ("py.warnings", _CLIENT_LOGGER)
"""Other loggers whose records people should see."""


class SteadyLogger(logging.Logger):
    """A logger that depends only on its own level and the keeper's outlets."""

    keeper: LoggingKeeper | None = None

    def setLevel(self, configured_level: int | str) -> None:  # noqa: N802 - logging's name
        """Set the level; a plugin can set the level of its own loggers only."""
        keeper = self.keeper
        if keeper is None or keeper.allows_level_change(self):
            super().setLevel(configured_level)
        if keeper is not None:
            keeper.restore_configuration()

    def isEnabledFor(self, configured_level: int) -> bool:  # noqa: N802 - logging's name
        """Return whether its own level lets a record through; `logging.disable` is ignored."""
        try:  # cleared when levels change; read at every call
            return self._cache[configured_level]  # type: ignore[attr-defined,no-any-return]  # the base's
        except KeyError:
            is_enabled = configured_level >= self.getEffectiveLevel()
            vars(self)["_cache"][configured_level] = is_enabled
            return is_enabled

    def makeRecord(  # noqa: N802, PLR0917 - logging's own
        self,
        dotted_name: str,
        configured_level: int,
        fn: str,
        lno: int,
        msg: object,
        args: Any,
        exc_info: Any,
        func: str | None = None,
        extra: Mapping[str, object] | None = None,
        sinfo: str | None = None,
    ) -> logging.LogRecord:
        """Return a record of the standard class, even after a call of `setLogRecordFactory`."""
        record = logging.LogRecord(
            dotted_name, configured_level, fn, lno, msg, args, exc_info, func, sinfo
        )
        record_fields = vars(record)
        for key in extra or ():
            if key in record_fields or key in {"message", "asctime"}:
                raise KeyError(f"Attempt to overwrite {key!r} in LogRecord")
        record_fields.update(extra or {})
        return record

    def handle(self, record: logging.LogRecord) -> None:
        """Pass a record to the outlets, and a plugin's also to handlers of its own."""
        keeper = self.keeper
        if keeper is None:
            super().handle(record)
            return
        keeper.restore_configuration()
        if not self.name.startswith(PLUGIN_LOGGERS):
            if record.levelno > logging.DEBUG or not self.name.startswith(_CLIENT_LOGGER):
                keeper.outlets.handle(record)
            return
        filter_result: object = self.filter(record)  # may be another record since 3.12
        if filter_result:
            record = filter_result if isinstance(filter_result, logging.LogRecord) else record
            keeper.outlets.handle(record)
            self._handle_own(record)

    def _handle_own(self, record: logging.LogRecord) -> None:
        """Pass a record to the handlers that were added to a plugin's logger."""
        known_logger: logging.Logger | None = self
        while known_logger is not None and known_logger.name.startswith(PLUGIN_LOGGERS):
            for handler in known_logger.handlers:
                if record.levelno >= handler.level:
                    handler.handle(record)
            known_logger = known_logger.parent if known_logger.propagate else None


class LoggingKeeper:
    """The keeper of the log's configuration, which restores changes and reports the plugin.

    Args:
        outlets: The handler that all records go to.
        levels: Logger -> its level; the root's too.
    """

    def __init__(self, outlets: logging.Handler, levels: Mapping[logging.Logger, str]) -> None:
        self.outlets = outlets
        self._root_logger = logging.getLogger()
        self._levels = {
            known_logger: logging.getLevelName(level) for known_logger, level in levels.items()
        }
        self._other_loggers = [logging.getLogger(dotted_name) for dotted_name in _OTHER_LOGGERS]
        self._reported_plugins: set[str] = set()
        self._original_classes: dict[logging.Logger, type[logging.Logger]] = {}
        self._lock = threading.RLock()
        self._restoring = threading.local()

    def allows_level_change(self, logger: logging.Logger) -> bool:
        """Return whether the running call may set a logger's level, and report it if not."""
        running_call = current_call()
        own_prefix = f"{PLUGIN_LOGGER}{running_call.plugin}." if running_call is not None else ""
        dotted_name = f"{logger.name}."
        if (
            logger in self._levels
            or not dotted_name.startswith(f"{ROOT_LOGGER}.")
            or dotted_name.startswith(own_prefix)
        ):
            return True  # a level in `_levels` is restored anyway
        self._report_changes(["its loggers were changed"], "")
        return False

    def restore_configuration(self, responsible_plugin: str = "") -> None:
        """Restore changed settings, and report the change once for each plugin.

        Args:
            responsible_plugin: The plugin that did it; by default, that of the running call.
        """
        if self._is_unchanged() or getattr(self._restoring, "now", False):
            return
        self._restoring.now = True  # reporting it arrives here as well
        try:
            change_texts = self._restore_changes()
            if change_texts:
                self._report_changes(change_texts, responsible_plugin)
        finally:
            self._restoring.now = False

    @contextmanager
    def kept_in_place(self) -> Iterator[None]:
        """Keep the log's configuration while the block lasts."""
        SteadyLogger.keeper = self
        with ExitStack() as undo_stack:
            undo_stack.callback(self._release_loggers)
            self._take_over_loggers()
            for owner_module, function_name in _CONFIGURING_FUNCTIONS:
                real_function = getattr(owner_module, function_name)
                setattr(owner_module, function_name, self._restored_afterwards(real_function))
                undo_stack.callback(setattr, owner_module, function_name, real_function)
            yield

    def _restored_afterwards(self, real_function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(real_function)
        def call_watched(*args: Any, **kwargs: Any) -> Any:
            try:
                return real_function(*args, **kwargs)
            finally:
                self.restore_configuration()

        return call_watched

    def _is_unchanged(self) -> bool:
        root_logger = self._root_logger
        return (
            self.outlets in root_logger.handlers
            and not root_logger.manager.disable
            and not any(known_logger.disabled for known_logger in self._other_loggers)
            and not any(
                known_logger.disabled or known_logger.level != configured_level
                for known_logger, configured_level in self._levels.items()
            )
        )

    def _restore_changes(self) -> list[str]:
        change_texts = []
        if self.outlets not in self._root_logger.handlers:
            self._root_logger.handlers.insert(0, self.outlets)
            change_texts.append("its handlers were removed")
        if self._root_logger.manager.disable:
            self._root_logger.manager.disable = 0
            change_texts.append("it was disabled")
        wrong_levels = [
            (known_logger, configured_level)
            for known_logger, configured_level in self._levels.items()
            if known_logger.level != configured_level
        ]
        for known_logger, configured_level in wrong_levels:
            known_logger.level = configured_level
        disabled_loggers = [
            known_logger
            for known_logger in (*self._levels, *self._other_loggers)
            if known_logger.disabled
        ]
        for known_logger in disabled_loggers:
            known_logger.disabled = False
        if wrong_levels or disabled_loggers:
            change_texts.append("its loggers were changed")
        self._take_over_loggers()
        return change_texts

    def _take_over_loggers(self) -> None:
        """Make the loggers of the daemon and of plugins steady, including new ones.

        Do not wait for `logging`'s lock: a plugin that configures logging may hold it.
        """
        for known_logger in _loggers():
            if not isinstance(known_logger, SteadyLogger) and f"{known_logger.name}.".startswith(
                _STEADY_PREFIXES
            ):
                self._original_classes[known_logger] = type(known_logger)
                known_logger.__class__ = SteadyLogger
            vars(known_logger)["_cache"].clear()

    def _release_loggers(self) -> None:
        SteadyLogger.keeper = None
        for known_logger, logger_class in self._original_classes.items():
            known_logger.__class__ = logger_class
        clear_level_caches()

    def _report_changes(self, change_texts: list[str], responsible_plugin: str) -> None:
        call = current_call()
        plugin_name = responsible_plugin or (call.plugin if call is not None else running_plugins())
        with self._lock:
            if plugin_name in self._reported_plugins:
                return
            self._reported_plugins.add(plugin_name)
        logger.warning(
            "%s has configured logging for the whole process (%s); the daemon's log continues as "
            "[log] says. What a plugin has to say belongs into ctx.logger",
            f"Plugin {plugin_name}" if plugin_name else "A plugin",
            ", ".join(change_texts),
            extra={"action": "log.put_back", "plugin": plugin_name},
        )


def clear_level_caches() -> None:
    """Make all loggers recompute which levels they let through."""
    for known_logger in _loggers():
        vars(known_logger)["_cache"].clear()


def _loggers() -> list[logging.Logger]:
    root_logger = logging.getLogger()
    loggers = [*root_logger.manager.loggerDict.values()]
    return [
        root_logger,
        *(known_logger for known_logger in loggers if isinstance(known_logger, logging.Logger)),
    ]
