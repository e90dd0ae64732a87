"""Protect the resources shared by all threads from being closed or replaced by plugins."""

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

from sgevents_core.observe.current_call import CurrentCall, current_call

logger = logging.getLogger("sgevents.daemon")

LONGEST_SWITCH_INTERVAL: Final = 0.05
"""Seconds for which one thread may keep all others from running."""
_DESCRIPTOR_FOLDER: Final = Path("/proc/self/fd")
_STANDARD_DESCRIPTORS: Final = (0, 1, 2)
"""If one of these is closed, the next file gets its number and receives the output."""
_LIMIT_NAMES: Final = {
    resource.RLIMIT_NOFILE: "open files",
    resource.RLIMIT_CPU: "processor time",
    resource.RLIMIT_AS: "memory",
    resource.RLIMIT_DATA: "data",
    resource.RLIMIT_FSIZE: "the size of files",
    resource.RLIMIT_STACK: "the stack",
    resource.RLIMIT_NPROC: "processes",
}
"""Process limits that, when lowered, would end or delay other plugins."""
_daemon_files: Final[dict[int, tuple[int, int]]] = {}
"""Descriptor -> the file that the daemon itself has opened there."""


def keep_open(*descriptors: int) -> None:
    """Keep plugins' calls from closing the files now open at these descriptors."""
    for descriptor in descriptors:
        open_file_identity = _file_identity(descriptor)
        if open_file_identity is not None:
            _daemon_files[descriptor] = open_file_identity


@contextmanager
def guarded_process(folder: Path) -> Iterator[None]:
    """Keep the files of a folder open, and threads running, while the block lasts.

    Args:
        folder: The state's folder.
    """
    process_guard = _ProcessGuard(folder)
    keep_open(*_open_descriptors())
    with ExitStack() as undo_stack:
        undo_stack.callback(_daemon_files.clear)
        for owner_module, function_name, replacement in process_guard.replacements():
            real_function = getattr(owner_module, function_name)
            setattr(owner_module, function_name, process_guard.in_calls(real_function, replacement))
            undo_stack.callback(setattr, owner_module, function_name, real_function)
        yield


class _ProcessGuard:
    """The replacements of functions during calls of plugins; each takes the real function first."""

    def __init__(self, folder: Path) -> None:
        self._daemon_pid = os.getpid()
        self._state_prefix = f"{folder.resolve()}{os.sep}"
        self._reported: set[tuple[str, str]] = set()

    def replacements(self) -> list[tuple[ModuleType, str, Callable[..., Any]]]:
        """Return module, name of a function, and its replacement."""
        return [
            (os, "close", self._close_descriptor),
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
        self, real_function: Callable[..., Any], replacement: Callable[..., Any]
    ) -> Callable[..., Any]:
        """Return a wrapper that calls the real function outside of calls and in other processes."""

        @functools.wraps(real_function)
        def call_guarded(*args: Any, **kwargs: Any) -> Any:
            call = current_call()
            if call is None or os.getpid() != self._daemon_pid:
                return real_function(*args, **kwargs)
            return replacement(real_function, call, *args, **kwargs)

        return call_guarded

    def _close_descriptor(
        self, real_function: Callable[..., Any], call: CurrentCall, descriptor: int
    ) -> None:
        if self._is_daemon_file(descriptor):
            self._report_refusal("os.close", call, "a file of the daemon's stays open")
        else:
            real_function(descriptor)

    def _close_range(
        self, real_function: Callable[..., Any], call: CurrentCall, fd_low: int, fd_high: int, /
    ) -> None:
        for descriptor in _open_descriptors():
            if not fd_low <= descriptor < fd_high:
                continue
            if self._is_daemon_file(descriptor):
                self._report_refusal("os.closerange", call, "files of the daemon's stay open")
            else:
                with suppress(OSError):
                    real_function(descriptor, descriptor + 1)

    def _dup2(
        self,
        real_function: Callable[..., Any],
        call: CurrentCall,
        descriptor: int,
        fd2: int,
        inheritable: bool = True,
    ) -> int:
        """Refuse to replace one of the daemon's files; output may be redirected."""
        if fd2 in _STANDARD_DESCRIPTORS or descriptor == fd2 or not self._is_daemon_file(fd2):
            return int(real_function(descriptor, fd2, inheritable))
        self._report_refusal("os.dup2", call, "a file of the daemon's stays open")
        raise OSError(errno.EBUSY, "The daemon needs this descriptor")

    def _execute(self, real_function: Callable[..., Any], call: CurrentCall, *args: Any) -> None:
        """Refuse to replace the process: nobody would notice that the daemon is gone."""
        self._report_refusal("os.execv", call, "the daemon continues")
        raise PermissionError(
            errno.EPERM, "It would end the daemon; subprocess.run() starts a program beside it"
        )

    def _set_limit(
        self, real_function: Callable[..., Any], call: CurrentCall, limit_kind: int, limits: Any, /
    ) -> None:
        self._set_limit_of(lambda _, *args: real_function(*args), call, 0, limit_kind, limits)

    def _set_limit_of(
        self,
        real_function: Callable[..., Any],
        call: CurrentCall,
        pid: int,
        kind: int,
        limits: Any = None,
        /,
    ) -> Any:
        limit_before = resource.getrlimit(kind)
        lowers_limit = pid in (0, self._daemon_pid) and kind in _LIMIT_NAMES and limits is not None
        if lowers_limit and is_lower(next(iter(limits)), limit_before[0]):
            consequence = f"the limit of {_LIMIT_NAMES[kind]} is not lowered"
            self._report_refusal("resource.setrlimit", call, consequence)
            return limit_before
        return real_function(pid, kind) if limits is None else real_function(pid, kind, limits)

    def _set_recursion_limit(
        self, real_function: Callable[..., Any], call: CurrentCall, limit: int, /
    ) -> None:
        if limit < sys.getrecursionlimit():
            self._report_refusal("sys.setrecursionlimit", call, "the limit is not lowered")
        else:
            real_function(limit)

    def _set_switch_interval(
        self, real_function: Callable[..., Any], call: CurrentCall, switch_interval: float, /
    ) -> None:
        if switch_interval > LONGEST_SWITCH_INTERVAL:
            self._report_refusal("sys.setswitchinterval", call, "the interval stays as it is")
        else:
            real_function(switch_interval)

    def _is_daemon_file(self, descriptor: int) -> bool:
        if descriptor in _STANDARD_DESCRIPTORS or (
            descriptor in _daemon_files and _daemon_files[descriptor] == _file_identity(descriptor)
        ):
            return True
        try:
            return str((_DESCRIPTOR_FOLDER / str(descriptor)).readlink()).startswith(
                self._state_prefix
            )
        except OSError:
            return False

    def _report_refusal(self, function_name: str, call: CurrentCall, consequence: str) -> None:
        if (call.plugin, function_name) in self._reported:
            return
        self._reported.add((call.plugin, function_name))
        logger.warning(
            "Plugin %s has called %s: %s, since all plugins share the process",
            call.plugin,
            function_name,
            consequence,
            extra={"action": "plugin.not_heeded", "function": function_name},
        )


def is_lower(new_limit: int, old_limit: int) -> bool:
    """Return whether a limit of the process is lower than another."""
    if new_limit == resource.RLIM_INFINITY:
        return False
    return old_limit == resource.RLIM_INFINITY or new_limit < old_limit


def _open_descriptors() -> list[int]:
    return sorted(int(entry.name) for entry in [*_DESCRIPTOR_FOLDER.iterdir()])


def _file_identity(descriptor: int) -> tuple[int, int] | None:
    """Return the identity of an open file, None if nothing is open."""
    try:
        file_status = os.fstat(descriptor)
    except (OSError, TypeError, ValueError, OverflowError):
        return None
    return file_status.st_dev, file_status.st_ino
