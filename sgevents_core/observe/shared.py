"""Protecting what all threads of the process share from being closed or replaced by plugins."""

from __future__ import annotations

import errno
import functools
import logging
import os
import resource
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
_STANDARD: Final = (0, 1, 2)
"""Closing one of these would give its number to the next file, which would be printed into."""
_LIMITS: Final = {
    resource.RLIMIT_NOFILE: "open files",
    resource.RLIMIT_CPU: "processor time",
    resource.RLIMIT_AS: "memory",
    resource.RLIMIT_DATA: "data",
    resource.RLIMIT_FSIZE: "the size of files",
    resource.RLIMIT_STACK: "the stack",
    resource.RLIMIT_NPROC: "processes",
}
"""Limits of the process that would end or delay its other plugins."""
_ours: Final[dict[int, tuple[int, int]]] = {}
"""Descriptor -> the file that the daemon itself has opened there."""


def keep_open(*descriptors: int) -> None:
    """Do not let calls of plugins close what is open there now."""
    for descriptor in descriptors:
        is_now = _identity(descriptor)
        if is_now is not None:
            _ours[descriptor] = is_now


@contextmanager
def kept_whole(folder: Path) -> Iterator[None]:
    """Keep the files of a folder open, and threads running, while the block lasts.

    Args:
        folder: The state's folder.
    """
    guard = _Guard(folder)
    keep_open(*_descriptors())
    with ExitStack() as undo:
        undo.callback(_ours.clear)
        for module, name, stand_in in guard.stand_ins():
            real = getattr(module, name)
            setattr(module, name, guard.in_calls(real, stand_in))
            undo.callback(setattr, module, name, real)
        yield


class _Guard:
    """The replacements of functions during calls of plugins; each takes the real one first."""

    def __init__(self, folder: Path) -> None:
        self._home = os.getpid()
        self._folder = f"{folder.resolve()}{os.sep}"
        self._told: set[tuple[str, str]] = set()

    def stand_ins(self) -> list[tuple[ModuleType, str, Callable[..., Any]]]:
        """Return module, name of a function, and its replacement."""
        return [
            (os, "close", self._close),
            (os, "closerange", self._close_range),
            (os, "dup2", self._dup2),
            (os, "execv", self._execute),
            (os, "execve", self._execute),
            (resource, "setrlimit", self._set_limit),
            (resource, "prlimit", self._set_limit_of),
            (sys, "setrecursionlimit", self._set_recursion_limit),
            (sys, "setswitchinterval", self._set_switch_interval),
        ]

    def in_calls(
        self, real: Callable[..., Any], stand_in: Callable[..., Any]
    ) -> Callable[..., Any]:
        """Return a wrapper that calls the real function outside of calls and in other processes."""

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
        for fd in _descriptors():
            if not fd_low <= fd < fd_high:
                continue
            if self._is_ours(fd):
                self._tell("os.closerange", call, "files of the daemon's stay open")
            else:
                with suppress(OSError):
                    real(fd, fd + 1)

    def _dup2(
        self, real: Callable[..., Any], call: Current, fd: int, fd2: int, inheritable: bool = True
    ) -> int:
        """Refuse to replace one of the daemon's files; output may be redirected."""
        if fd2 in _STANDARD or fd == fd2 or not self._is_ours(fd2):
            return int(real(fd, fd2, inheritable))
        self._tell("os.dup2", call, "a file of the daemon's stays open")
        raise OSError(errno.EBUSY, "The daemon needs this descriptor")

    def _execute(self, real: Callable[..., Any], call: Current, *args: Any) -> None:
        """Refuse to replace the process: nobody would notice that the daemon is gone."""
        self._tell("os.execv", call, "the daemon goes on")
        raise PermissionError(
            errno.EPERM, "It would end the daemon; subprocess.run() starts a program beside it"
        )

    def _set_limit(
        self, real: Callable[..., Any], call: Current, which: int, limits: Any, /
    ) -> None:
        self._set_limit_of(lambda _, *args: real(*args), call, 0, which, limits)

    def _set_limit_of(
        self, real: Callable[..., Any], call: Current, pid: int, which: int, limits: Any = None, /
    ) -> Any:
        before = resource.getrlimit(which)
        is_own = pid in (0, self._home) and which in _LIMITS and limits is not None
        if is_own and is_lower(next(iter(limits)), before[0]):
            what = f"the limit of {_LIMITS[which]} is not lowered"
            self._tell("resource.setrlimit", call, what)
            return before
        return real(pid, which) if limits is None else real(pid, which, limits)

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
        if fd in _STANDARD or (fd in _ours and _ours[fd] == _identity(fd)):
            return True
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


def is_lower(now: int, before: int) -> bool:
    """Return whether a limit of the process is lower than another."""
    if now == resource.RLIM_INFINITY:
        return False
    return before == resource.RLIM_INFINITY or now < before


def _descriptors() -> list[int]:
    return sorted(int(entry.name) for entry in [*_OPEN.iterdir()])


def _identity(fd: int) -> tuple[int, int] | None:
    """Return what distinguishes an open file from others, None if nothing is open."""
    try:
        found = os.fstat(fd)
    except (OSError, TypeError, ValueError, OverflowError):
        return None
    return found.st_dev, found.st_ino
