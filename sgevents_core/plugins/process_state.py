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

from sgevents_core.observe.process_guard import is_lower
from sgevents_core.observe.thread_frames import collects_garbage

_TIMER_KINDS: Final = {
    "ITIMER_REAL": signal.ITIMER_REAL,
    "ITIMER_VIRTUAL": signal.ITIMER_VIRTUAL,
    "ITIMER_PROF": signal.ITIMER_PROF,
}
_SHORTEST_DELAY: Final = 0.001
_TIMER_TOLERANCE: Final = 2.0
"""Seconds by which a timer may differ from its expected value, as processor-time timers do."""
_STREAM_NAMES: Final = ("stdin", "stdout", "stderr", "__stdin__", "__stdout__", "__stderr__")
_LIMIT_NAMES: Final = ("NOFILE", "CPU", "AS", "DATA", "FSIZE", "STACK", "NPROC")
_SIGNAL_NUMBERS: Final = tuple(sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}))
_CRITICAL_MODULES: Final[tuple[str, ...]] = (
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
    """A snapshot of the process's state, taken before a plugin's code runs."""

    def __init__(self) -> None:
        self._signal_handlers = {number: signal.getsignal(number) for number in _SIGNAL_NUMBERS}
        self._timers = {name: signal.getitimer(kind) for name, kind in _TIMER_KINDS.items()}
        self._created_at = time.monotonic()
        self._blocked_signals = _blocked_signals()
        self._working_folder = _working_folder()
        self._umask = _current_umask()
        self._streams = {name: getattr(sys, name) for name in _STREAM_NAMES}
        self._limits = {name: _limit_of(name) for name in _LIMIT_NAMES}
        self._locale = locale.setlocale(locale.LC_ALL)
        self._socket_timeout = socket.getdefaulttimeout()
        self._recursion_limit = sys.getrecursionlimit()
        self._switch_interval = sys.getswitchinterval()
        self._collects_garbage = collects_garbage()
        self._error_filters = _error_filters()
        self._import_path = list(sys.path)
        self._import_finders = list(sys.meta_path)
        self._environment = dict(os.environ)
        self._modules = dict(sys.modules)
        self._critical_names: dict[str, dict[str, Any]] = {
            name: dict(vars(sys.modules[name])) for name in _CRITICAL_MODULES if name in sys.modules
        }
        self._critical_names["builtins"] = dict(vars(builtins))

    def restore(self) -> list[str]:
        """Restore everything changed since the snapshot; return the list of changes, for people."""
        return [
            *self._restore_signals(),
            *self._restore_places(),
            *self._restore_settings(),
            *self._restore_imports(),
        ]

    def _restore_signals(self) -> Iterator[str]:
        for signal_number, value_before in self._signal_handlers.items():
            if signal.getsignal(signal_number) is value_before or value_before is None:
                continue
            with suppress(OSError, ValueError):  # set by another thread or the system
                signal.signal(signal_number, value_before)
                yield f"the handler of {signal.Signals(signal_number).name}"
        for name, (remaining, interval) in self._timers.items():
            expected_delay = (
                max(remaining - (time.monotonic() - self._created_at), _SHORTEST_DELAY)
                if remaining
                else 0.0
            )
            if abs(signal.getitimer(_TIMER_KINDS[name])[0] - expected_delay) > _TIMER_TOLERANCE:
                signal.setitimer(_TIMER_KINDS[name], expected_delay, interval)
                yield f"a timer that sends a signal (signal.alarm or {name})"
        newly_blocked = _blocked_signals() - self._blocked_signals
        if newly_blocked:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, newly_blocked)
            yield f"blocked signals ({', '.join(sorted(entry.name for entry in newly_blocked))})"

    def _restore_places(self) -> Iterator[str]:
        if self._working_folder and _working_folder() != self._working_folder:
            with suppress(OSError):
                os.chdir(self._working_folder)
                yield "the working folder (os.chdir)"
        if _current_umask() != self._umask:
            os.umask(self._umask)
            yield "the umask (os.umask)"
        for name, stream in self._streams.items():
            if getattr(sys, name, None) is not stream:
                setattr(sys, name, stream)
                yield f"sys.{name}"
        if Counter(self._import_path) - Counter(sys.path):
            added_entries = [entry for entry in sys.path if entry not in self._import_path]
            sys.path[:] = [*added_entries, *self._import_path]
            yield "folders taken from sys.path"
        lost_finders = [finder for finder in self._import_finders if finder not in sys.meta_path]
        if lost_finders:
            other_finders = [
                finder for finder in sys.meta_path if finder not in self._import_finders
            ]
            sys.meta_path[:] = [*other_finders, *self._import_finders]
            yield "finders taken from sys.meta_path"
        missing_variables = {
            name: text for name, text in self._environment.items() if name not in os.environ
        }
        if missing_variables:
            os.environ.update(missing_variables)
            yield f"variables taken from os.environ ({_shortened_list(missing_variables)})"

    def _restore_settings(self) -> Iterator[str]:
        for name, value_before in self._limits.items():
            if is_lower(_limit_of(name)[0], value_before[0]):
                with suppress(OSError, ValueError):
                    resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), value_before)
                    yield f"the limit {name} (resource.setrlimit)"
        if locale.setlocale(locale.LC_ALL) != self._locale:
            with suppress(locale.Error):
                locale.setlocale(locale.LC_ALL, self._locale)
                yield "the locale (locale.setlocale)"
        if socket.getdefaulttimeout() != self._socket_timeout:
            socket.setdefaulttimeout(self._socket_timeout)
            yield "the default timeout of sockets (socket.setdefaulttimeout)"
        if sys.getrecursionlimit() < self._recursion_limit:
            sys.setrecursionlimit(self._recursion_limit)
            yield "a lower recursion limit (sys.setrecursionlimit)"
        if sys.getswitchinterval() != self._switch_interval:
            sys.setswitchinterval(self._switch_interval)
            yield "how threads take turns (sys.setswitchinterval)"
        if self._collects_garbage and not collects_garbage():
            gc.enable()
            yield "the garbage collection (gc.disable)"
        added_entries = [entry for entry in _error_filters() if entry not in self._error_filters]
        if added_entries:
            kept_filters = [entry for entry in warnings.filters if entry not in added_entries]
            warnings.filters[:] = kept_filters  # type: ignore[index]  # a list, whatever its stub says
            yield "warnings made errors (warnings.simplefilter)"

    def _restore_imports(self) -> Iterator[str]:
        replaced_modules = _restore_names(sys.modules, self._modules)
        if replaced_modules:
            yield f"modules replaced in sys.modules ({_shortened_list(replaced_modules)})"
        for name, value_before in self._critical_names.items():
            module = self._modules.get(name)
            replaced_names = (
                _restore_names(vars(module), value_before) if isinstance(module, ModuleType) else {}
            )
            if replaced_names:
                yield f"names replaced in {name} ({_shortened_list(replaced_names)})"


def change_warnings(changes: list[str]) -> list[str]:
    """Return warnings, for people, about changes by a plugin that were restored."""
    return [
        f"it changes what all plugins share: {change}; this was undone, so the plugin "
        "does not have it either"
        for change in changes
    ]


def _restore_names(namespace: MutableMapping[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    """Restore the names missing from or replaced in `namespace`; return those names."""
    missing = object()
    changed_names = {
        key: old for key, old in before.items() if namespace.get(key, missing) is not old
    }
    namespace.update(changed_names)
    return changed_names


def _shortened_list(namespace: dict[str, Any]) -> str:
    sorted_names = sorted(namespace)
    more_text = f" and {len(sorted_names) - 5} more" if len(sorted_names) > 5 else ""
    return ", ".join(sorted_names[:5]) + more_text


def _blocked_signals() -> set[signal.Signals]:
    blocked_signals = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    return {entry for entry in blocked_signals if isinstance(entry, signal.Signals)}


def _working_folder() -> str:
    try:
        return os.getcwd()  # noqa: PTH109 - a text is compared
    except OSError:  # it no longer exists
        return ""


def _current_umask() -> int:
    """Return the umask; it can only be read by setting it."""
    current_umask = os.umask(0o077)
    os.umask(current_umask)
    return current_umask


def _limit_of(name: str) -> tuple[int, int]:
    return resource.getrlimit(getattr(resource, f"RLIMIT_{name}"))


def _error_filters() -> list[Any]:
    return [entry for entry in warnings.filters if entry[0] == "error"]
