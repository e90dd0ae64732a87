"""The state that all plugins of a process share, restored if one changes it while it is loaded.

Signal handlers, timers, the working folder, standard streams and the like belong to the daemon: a
plugin that changes them changes them for all. Additions to the process (a folder on `sys.path`, a
variable, a module, a hook for uncaught errors) are left as they are.
"""

from __future__ import annotations

import builtins
import gc
import locale
import os
import resource
import signal
import socket
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterator, MutableMapping
from contextlib import suppress
from types import ModuleType
from typing import Any, Final

from sgevents_core.observe.shared import is_lower

_TIMERS: Final = {
    "ITIMER_REAL": signal.ITIMER_REAL,
    "ITIMER_VIRTUAL": signal.ITIMER_VIRTUAL,
    "ITIMER_PROF": signal.ITIMER_PROF,
}
_SOON: Final = 0.001
_ABOUT: Final = 2.0
"""Seconds by which a timer may differ from its expected value, as processor-time timers do."""
_STREAMS: Final = ("stdin", "stdout", "stderr", "__stdin__", "__stdout__", "__stderr__")
_LIMITS: Final = ("NOFILE", "CPU", "AS", "DATA", "FSIZE", "STACK", "NPROC")
_SIGNALS: Final = tuple(sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}))
_CRITICAL: Final[tuple[str, ...]] = (
    "threading",
    "_thread",
    "time",
    "queue",
    "select",
    "signal",
    "os",
    "sqlite3",
)
"""Modules in which the daemon looks up names while it works."""


class ProcessState:
    """The process as it is now; made before a plugin's code runs."""

    def __init__(self) -> None:
        self._handlers = {number: signal.getsignal(number) for number in _SIGNALS}
        self._timers = {name: signal.getitimer(which) for name, which in _TIMERS.items()}
        self._made = time.monotonic()
        self._blocked = _blocked()
        self._folder = _folder()
        self._umask = _umask()
        self._streams = {name: getattr(sys, name) for name in _STREAMS}
        self._limits = {name: _limit(name) for name in _LIMITS}
        self._locale = locale.setlocale(locale.LC_ALL)
        self._socket_timeout = socket.getdefaulttimeout()
        self._recursion = sys.getrecursionlimit()
        self._switching = sys.getswitchinterval()
        self._collects = gc.isenabled()
        self._errors = _error_filters()
        self._path = list(sys.path)
        self._finders = list(sys.meta_path)
        self._variables = dict(os.environ)
        self._modules = dict(sys.modules)
        self._names: dict[str, dict[str, Any]] = {
            name: dict(vars(sys.modules[name])) for name in _CRITICAL if name in sys.modules
        }
        self._names["builtins"] = dict(vars(builtins))

    def put_back(self) -> list[str]:
        """Restore what was changed since; return what that was, for people."""
        return [*self._signals(), *self._places(), *self._settings(), *self._imports()]

    def _signals(self) -> Iterator[str]:
        for number, before in self._handlers.items():
            if signal.getsignal(number) is before or before is None:
                continue
            with suppress(OSError, ValueError):  # set by another thread or the system
                signal.signal(number, before)
                yield f"the handler of {signal.Signals(number).name}"
        for name, (left, interval) in self._timers.items():
            due = max(left - (time.monotonic() - self._made), _SOON) if left else 0.0
            if abs(signal.getitimer(_TIMERS[name])[0] - due) > _ABOUT:
                signal.setitimer(_TIMERS[name], due, interval)
                yield f"a timer that sends a signal (signal.alarm or {name})"
        newly = _blocked() - self._blocked
        if newly:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, newly)
            yield f"blocked signals ({', '.join(sorted(one.name for one in newly))})"

    def _places(self) -> Iterator[str]:
        if self._folder and _folder() != self._folder:
            with suppress(OSError):
                os.chdir(self._folder)
                yield "the working folder (os.chdir)"
        if _umask() != self._umask:
            os.umask(self._umask)
            yield "the umask (os.umask)"
        for name, stream in self._streams.items():
            if getattr(sys, name, None) is not stream:
                setattr(sys, name, stream)
                yield f"sys.{name}"
        if Counter(self._path) - Counter(sys.path):
            added = [entry for entry in sys.path if entry not in self._path]
            sys.path[:] = [*added, *self._path]
            yield "folders taken from sys.path"
        lost = [finder for finder in self._finders if finder not in sys.meta_path]
        if lost:
            others = [finder for finder in sys.meta_path if finder not in self._finders]
            sys.meta_path[:] = [*others, *self._finders]
            yield "finders taken from sys.meta_path"
        gone = {name: text for name, text in self._variables.items() if name not in os.environ}
        if gone:
            os.environ.update(gone)
            yield f"variables taken from os.environ ({_some(gone)})"

    def _settings(self) -> Iterator[str]:
        for name, before in self._limits.items():
            if is_lower(_limit(name)[0], before[0]):
                with suppress(OSError, ValueError):
                    resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), before)
                    yield f"the limit {name} (resource.setrlimit)"
        if locale.setlocale(locale.LC_ALL) != self._locale:
            with suppress(locale.Error):
                locale.setlocale(locale.LC_ALL, self._locale)
                yield "the locale (locale.setlocale)"
        if socket.getdefaulttimeout() != self._socket_timeout:
            socket.setdefaulttimeout(self._socket_timeout)
            yield "the default timeout of sockets (socket.setdefaulttimeout)"
        if sys.getrecursionlimit() < self._recursion:
            sys.setrecursionlimit(self._recursion)
            yield "a lower recursion limit (sys.setrecursionlimit)"
        if sys.getswitchinterval() != self._switching:
            sys.setswitchinterval(self._switching)
            yield "how threads take turns (sys.setswitchinterval)"
        if self._collects and not gc.isenabled():
            gc.enable()
            yield "the garbage collection (gc.disable)"
        added = [one for one in _error_filters() if one not in self._errors]
        if added:
            kept = [one for one in warnings.filters if one not in added]
            warnings.filters[:] = kept  # type: ignore[index]  # a list, whatever its stub says
            yield "warnings made errors (warnings.simplefilter)"

    def _imports(self) -> Iterator[str]:
        clobbered = _restored(sys.modules, self._modules)
        if clobbered:
            yield f"modules replaced in sys.modules ({_some(clobbered)})"
        for name, before in self._names.items():
            module = self._modules.get(name)
            replaced = _restored(vars(module), before) if isinstance(module, ModuleType) else {}
            if replaced:
                yield f"names replaced in {name} ({_some(replaced)})"


def told(changes: list[str]) -> list[str]:
    """Return warnings about what a plugin changed and was restored, for people."""
    return [
        f"it changes what all plugins share: {change}; put back, so it does not have that either"
        for change in changes
    ]


def _restored(names: MutableMapping[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    """Restore what is missing from `names` or was replaced; return what that was."""
    lost = object()
    changed = {key: old for key, old in before.items() if names.get(key, lost) is not old}
    names.update(changed)
    return changed


def _some(names: dict[str, Any]) -> str:
    listed = sorted(names)
    more = f" and {len(listed) - 5} more" if len(listed) > 5 else ""
    return ", ".join(listed[:5]) + more


def _blocked() -> set[signal.Signals]:
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    return {one for one in blocked if isinstance(one, signal.Signals)}


def _folder() -> str:
    try:
        return os.getcwd()  # noqa: PTH109 - a text is compared
    except OSError:  # it no longer exists
        return ""


def _umask() -> int:
    """Return the umask; it can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _limit(name: str) -> tuple[int, int]:
    return resource.getrlimit(getattr(resource, f"RLIMIT_{name}"))


def _error_filters() -> list[Any]:
    return [one for one in warnings.filters if one[0] == "error"]
