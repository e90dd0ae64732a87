"""Keeping the daemon's log as it is configured, whatever plugins do to `logging`.

The loggers of the daemon, its client and plugins pass their records straight to the outlets: no
level, filter, handler or lock of anybody else is involved.
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

from sgevents_core.observe.calling import who_runs
from sgevents_core.observe.current import current
from sgevents_core.observe.formats import PLUGIN_LOGGER

logger = logging.getLogger("sgevents.daemon")

ROOT: Final = "sgevents"
_CONFIGURING: Final[tuple[tuple[ModuleType, str], ...]] = (
    (logging, "basicConfig"),
    (logging, "disable"),
    (logging, "shutdown"),
    (logging.config, "dictConfig"),
    (logging.config, "fileConfig"),
)
"""The functions that change logging for a whole program."""
_CLIENT: Final = "shotgun_api3"
"""The client's logger, which the daemon's own threads use too; DEBUG contains the script's key."""
_STEADY: Final = (f"{ROOT}.", f"{_CLIENT}.")
_OTHERS: Final = ("py.warnings", _CLIENT)
"""Other loggers whose records people should see."""


class SteadyLogger(logging.Logger):
    """A logger that depends only on its own level and the keeper's outlets."""

    keeper: Keeper | None = None

    def setLevel(self, level: int | str) -> None:  # noqa: N802 - logging's name
        """Set the level; a plugin can set that of its own loggers only."""
        keeper = self.keeper
        if keeper is None or keeper.lets_set(self):
            super().setLevel(level)
        if keeper is not None:
            keeper.look()

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - logging's name
        """Return whether its own level lets a record through; `logging.disable` is ignored."""
        try:  # cleared when levels change; read at every call
            return self._cache[level]  # type: ignore[attr-defined,no-any-return]  # the base's
        except KeyError:
            enabled = level >= self.getEffectiveLevel()
            vars(self)["_cache"][level] = enabled
            return enabled

    def makeRecord(  # noqa: N802, PLR0917 - logging's own
        self,
        name: str,
        level: int,
        fn: str,
        lno: int,
        msg: object,
        args: Any,
        exc_info: Any,
        func: str | None = None,
        extra: Mapping[str, object] | None = None,
        sinfo: str | None = None,
    ) -> logging.LogRecord:
        """Return a record of the standard kind, whatever `setLogRecordFactory` was given."""
        record = logging.LogRecord(name, level, fn, lno, msg, args, exc_info, func, sinfo)
        fields = vars(record)
        for key in extra or ():
            if key in fields or key in {"message", "asctime"}:
                raise KeyError(f"Attempt to overwrite {key!r} in LogRecord")
        fields.update(extra or {})
        return record

    def handle(self, record: logging.LogRecord) -> None:
        """Pass a record to the outlets, and a plugin's also to handlers of its own."""
        keeper = self.keeper
        if keeper is None:
            super().handle(record)
            return
        keeper.look()
        if not self.name.startswith(PLUGIN_LOGGER):
            if record.levelno > logging.DEBUG or not self.name.startswith(_CLIENT):
                keeper.outlets.handle(record)
            return
        taken: object = self.filter(record)  # since Python 3.12 it may be another record
        if taken:
            record = taken if isinstance(taken, logging.LogRecord) else record
            keeper.outlets.handle(record)
            self._handle_own(record)

    def _handle_own(self, record: logging.LogRecord) -> None:
        """Pass a record to the handlers that were added to a plugin's logger."""
        one: logging.Logger | None = self
        while one is not None and one.name.startswith(PLUGIN_LOGGER):
            for handler in one.handlers:
                if record.levelno >= handler.level:
                    handler.handle(record)
            one = one.parent if one.propagate else None


class Keeper:
    """The keeper of the log's configuration, which restores changes and reports the plugin.

    Args:
        outlets: The handler that all records go to.
        levels: Logger -> its level; the root's too.
    """

    def __init__(self, outlets: logging.Handler, levels: Mapping[logging.Logger, str]) -> None:
        self.outlets = outlets
        self._root = logging.getLogger()
        self._levels = {one: logging.getLevelName(level) for one, level in levels.items()}
        self._others = [logging.getLogger(name) for name in _OTHERS]
        self._told: set[str] = set()
        self._were: dict[logging.Logger, type[logging.Logger]] = {}
        self._lock = threading.RLock()
        self._quiet = threading.local()

    def lets_set(self, logger: logging.Logger) -> bool:
        """Return whether the running call may set a logger's level, and report it if not."""
        call = current()
        own = f"{PLUGIN_LOGGER}{call.plugin}." if call is not None else ""
        name = f"{logger.name}."
        if logger in self._levels or not name.startswith(f"{ROOT}.") or name.startswith(own):
            return True  # a level in `_levels` is restored anyway
        self._tell(["its loggers were changed"], "")
        return False

    def look(self, plugin: str = "") -> None:
        """Restore what was changed, and report it once for each plugin.

        Args:
            plugin: The plugin that did it; by default, that of the running call.
        """
        if self._is_right() or getattr(self._quiet, "now", False):
            return
        self._quiet.now = True  # reporting it arrives here as well
        try:
            changed = self._put_back()
            if changed:
                self._tell(changed, plugin)
        finally:
            self._quiet.now = False

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """Keep the log's configuration while the block lasts."""
        SteadyLogger.keeper = self
        with ExitStack() as undo:
            undo.callback(self._let_go)
            self._take_over()
            for module, name in _CONFIGURING:
                real = getattr(module, name)
                setattr(module, name, self._watched(real))
                undo.callback(setattr, module, name, real)
            yield

    def _watched(self, real: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(real)
        def called(*args: Any, **kwargs: Any) -> Any:
            try:
                return real(*args, **kwargs)
            finally:
                self.look()

        return called

    def _is_right(self) -> bool:
        root = self._root
        return (
            self.outlets in root.handlers
            and not root.manager.disable
            and not any(one.disabled for one in self._others)
            and not any(one.disabled or one.level != level for one, level in self._levels.items())
        )

    def _put_back(self) -> list[str]:
        changed = []
        if self.outlets not in self._root.handlers:
            self._root.handlers.insert(0, self.outlets)
            changed.append("its handlers were removed")
        if self._root.manager.disable:
            self._root.manager.disable = 0
            changed.append("it was disabled")
        wrong = [(one, level) for one, level in self._levels.items() if one.level != level]
        for one, level in wrong:
            one.level = level
        silent = [one for one in (*self._levels, *self._others) if one.disabled]
        for one in silent:
            one.disabled = False
        if wrong or silent:
            changed.append("its loggers were changed")
        self._take_over()
        return changed

    def _take_over(self) -> None:
        """Make loggers of the daemon and of plugins steady, including those created since.

        Nothing here waits for `logging`'s lock: a plugin that configures logging may hold it.
        """
        for one in _loggers():
            if not isinstance(one, SteadyLogger) and f"{one.name}.".startswith(_STEADY):
                self._were[one] = type(one)
                one.__class__ = SteadyLogger
            vars(one)["_cache"].clear()

    def _let_go(self) -> None:
        SteadyLogger.keeper = None
        for one, kind in self._were.items():
            one.__class__ = kind
        forget_levels()

    def _tell(self, changed: list[str], plugin: str) -> None:
        call = current()
        who = plugin or (call.plugin if call is not None else who_runs())
        with self._lock:
            if who in self._told:
                return
            self._told.add(who)
        logger.warning(
            "%s has configured logging for the whole process (%s); the daemon's log continues as "
            "[log] says. What a plugin has to say belongs into ctx.logger",
            f"Plugin {who}" if who else "A plugin",
            ", ".join(changed),
            extra={"action": "log.put_back", "plugin": who},
        )


def forget_levels() -> None:
    """Make all loggers recompute which levels they let through."""
    for one in _loggers():
        vars(one)["_cache"].clear()


def _loggers() -> list[logging.Logger]:
    root = logging.getLogger()
    known = [*root.manager.loggerDict.values()]
    return [root, *(one for one in known if isinstance(one, logging.Logger))]
