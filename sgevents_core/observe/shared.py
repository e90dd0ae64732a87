"""Keeps what all threads of the process share from calls of plugins that would take it away."""

from __future__ import annotations

import functools
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from sgevents_core.observe.current import Current, current

logger = logging.getLogger("sgevents.daemon")

LONGEST_TURN: Final = 0.05
"""Seconds for which one thread may keep all others from running."""
_OPEN: Final = Path("/proc/self/fd")


@contextmanager
def kept_whole(folder: Path) -> Iterator[None]:
    """Keep the files of a folder open, and threads running, while the block lasts.

    Args:
        folder: The state's folder.
    """
    guard = _Guard(folder)
    with ExitStack() as undo:
        for module, name, stand_in in guard.stand_ins():
            real = getattr(module, name)
            setattr(module, name, guard.in_calls(real, stand_in))
            undo.callback(setattr, module, name, real)
        yield


class _Guard:
    """What stands in for functions while a plugin is called; each takes the real one first."""

    def __init__(self, folder: Path) -> None:
        self._home = os.getpid()
        self._folder = f"{folder.resolve()}{os.sep}"
        self._told: set[tuple[str, str]] = set()

    def stand_ins(self) -> list[tuple[ModuleType, str, Callable[..., Any]]]:
        """Return module, name of a function, and what stands in for it."""
        return [
            (os, "close", self._close),
            (os, "closerange", self._close_range),
            (sys, "setrecursionlimit", self._set_recursion_limit),
            (sys, "setswitchinterval", self._set_switch_interval),
        ]

    def in_calls(
        self, real: Callable[..., Any], stand_in: Callable[..., Any]
    ) -> Callable[..., Any]:
        """Return what calls the real function outside of calls, and in every other process."""

        @functools.wraps(real)
        def called(*args: Any, **kwargs: Any) -> Any:
            call = current()
            if call is None or os.getpid() != self._home:
                return real(*args, **kwargs)
            return stand_in(real, call, *args, **kwargs)

        return called

    def _close(self, real: Callable[..., Any], call: Current, fd: int) -> None:
        if self._is_ours(fd):
            self._tell("os.close", call, "a file of the daemon's stays open")
        else:
            real(fd)

    def _close_range(
        self, real: Callable[..., Any], call: Current, fd_low: int, fd_high: int, /
    ) -> None:
        for fd in sorted(int(entry.name) for entry in [*_OPEN.iterdir()]):
            if not fd_low <= fd < fd_high:
                continue
            if self._is_ours(fd):
                self._tell("os.closerange", call, "files of the daemon's stay open")
            else:
                with suppress(OSError):
                    real(fd, fd + 1)

    def _set_recursion_limit(self, real: Callable[..., Any], call: Current, limit: int, /) -> None:
        if limit < sys.getrecursionlimit():
            self._tell("sys.setrecursionlimit", call, "the limit is not lowered")
        else:
            real(limit)

    def _set_switch_interval(
        self, real: Callable[..., Any], call: Current, interval: float, /
    ) -> None:
        if interval > LONGEST_TURN:
            self._tell("sys.setswitchinterval", call, "the interval stays as it is")
        else:
            real(interval)

    def _is_ours(self, fd: int) -> bool:
        try:
            return str((_OPEN / str(fd)).readlink()).startswith(self._folder)
        except OSError:
            return False

    def _tell(self, function: str, call: Current, what: str) -> None:
        if (call.plugin, function) in self._told:
            return
        self._told.add((call.plugin, function))
        logger.warning(
            "Plugin %s has called %s: %s, since all plugins share the process",
            call.plugin,
            function,
            what,
            extra={"action": "plugin.not_heeded", "function": function},
        )
