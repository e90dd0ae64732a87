"""Watch how code in this process uses signals and processes while the daemon runs.

Signals are blocked in all threads, and a new process would inherit that; so each new process is
started with the usual signal mask, and remembered, since it may send signals. A signal that a
plugin sends to this process is not sent at all.
"""

from __future__ import annotations

import _posixsubprocess
import _signal  # type: ignore[import-not-found]  # of Python itself; typeshed leaves it out
import _thread
import functools
import os
import signal
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from types import ModuleType
from typing import Any, Final

from sgevents_core.observe import signal_mask, signal_senders
from sgevents_core.observe.current_call import current_call

ReportIgnored = Callable[[str, str], None]
"""Reports an ignored signal: the function, and the plugin that called it, if known."""

_STOP_SIGNALS: Final = (signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)
_REFUSED_SIGNALS: Final = frozenset((*signal_mask.HANDLED_SIGNALS, *_STOP_SIGNALS))
_SHELL_NOT_STARTED: Final = 127 << 8
"""The wait status of a shell that did not start: exit code 127 in the high byte."""
_unblock_signals: Final = functools.partial(
    _signal.pthread_sigmask, signal.SIG_UNBLOCK, signal_mask.HANDLED_SIGNALS
)
_block_signals: Final = functools.partial(
    _signal.pthread_sigmask, signal.SIG_BLOCK, signal_mask.HANDLED_SIGNALS
)


@contextmanager
def watching_signals(
    drain_signals: Callable[[], None], report_ignored: ReportIgnored
) -> Iterator[None]:
    """Watch signals and processes while the block lasts.

    Args:
        drain_signals: Handles the signals pending for this thread before they are let through.
        report_ignored: Reports the signals that are ignored.
    """
    signal_watch = _SignalWatch(drain_signals, report_ignored)
    with ExitStack() as undo_stack:
        for owner_module, function_name, replacement in signal_watch.replacements():
            function = getattr(owner_module, function_name, None)
            if function is not None:  # not every Python has every function
                setattr(
                    owner_module,
                    function_name,
                    signal_watch.only_in_daemon(function, functools.partial(replacement, function)),
                )
                undo_stack.callback(setattr, owner_module, function_name, function)
        yield


class _SignalWatch:
    """The replacements of functions; each takes the real function first."""

    def __init__(self, drain_signals: Callable[[], None], report_ignored: ReportIgnored) -> None:
        self._daemon_pid = os.getpid()
        self._drain_signals = drain_signals
        self._report_ignored = report_ignored

    def replacements(self) -> list[tuple[ModuleType, str, Callable[..., Any]]]:
        """Return module, name of a function, and its replacement."""
        return [
            (os, "kill", self._kill_process),
            (os, "killpg", self._kill_group),
            (signal, "raise_signal", self._raise_signal),
            (signal, "pthread_kill", self._kill_thread),
            (signal, "pthread_sigmask", self._set_mask),
            (_thread, "interrupt_main", self._interrupt_main),
            (_posixsubprocess, "fork_exec", self._start_process),
            (subprocess, "_fork_exec", self._start_process),
            (os, "posix_spawn", self._spawn_process),
            (os, "posix_spawnp", self._spawn_process),
            (os, "fork", self._fork_process),
            (os, "system", self._run_shell),
        ]

    def only_in_daemon(
        self, real_function: Callable[..., Any], replacement: Callable[..., Any]
    ) -> Callable[..., Any]:
        """Return a wrapper that calls the real function in every other process."""

        @functools.wraps(real_function)
        def call_in_daemon(*args: Any, **kwargs: Any) -> Any:
            chosen_function = replacement if os.getpid() == self._daemon_pid else real_function
            return chosen_function(*args, **kwargs)

        return call_in_daemon

    def _kill_process(self, function: Callable[..., Any], pid: int, signal_number: int) -> None:
        process_group = os.getpgrp()
        if pid == self._daemon_pid and signal_number in _REFUSED_SIGNALS:
            self._refuse("os.kill", signal_number)
        elif pid in (0, -1, -process_group):
            self._send_to_group(
                functools.partial(function, pid, signal_number), "os.kill", signal_number
            )
        else:
            function(pid, signal_number)

    def _kill_group(
        self, real_function: Callable[..., Any], process_group: int, signal_number: int
    ) -> None:
        send_signal = functools.partial(real_function, process_group, signal_number)
        if process_group in (0, os.getpgrp()):
            self._send_to_group(send_signal, "os.killpg", signal_number)
        else:
            send_signal()

    def _send_to_group(
        self, send_signal: Callable[[], None], function_name: str, signal_number: int
    ) -> None:
        """Send a signal to the process group for its other members; ignore it in this process."""
        if signal_number in _STOP_SIGNALS:
            self._refuse(function_name, signal_number)
            return
        if signal_number in signal_mask.HANDLED_SIGNALS:
            signal_senders.note_sending_plugin(_current_plugin())
        send_signal()

    def _raise_signal(self, real_function: Callable[..., Any], signal_number: int) -> None:
        if signal_number in _REFUSED_SIGNALS:
            self._refuse("signal.raise_signal", signal_number)
        else:
            real_function(signal_number)

    def _kill_thread(
        self, real_function: Callable[..., Any], thread_id: int, signal_number: int
    ) -> None:
        if signal_number in _REFUSED_SIGNALS:
            self._refuse("signal.pthread_kill", signal_number)
        else:
            real_function(thread_id, signal_number)

    def _set_mask(
        self, real_function: Callable[..., Any], mask_operation: int, signals: Iterable[int], /
    ) -> set[signal.Signals]:
        """Set which signals are blocked, except those blocked in all threads.

        `multiprocessing` does so.
        """
        mask_signals = set(signals)
        if mask_operation == signal.SIG_UNBLOCK:
            mask_signals -= {*signal_mask.HANDLED_SIGNALS}
        elif mask_operation == signal.SIG_SETMASK:
            mask_signals |= {*signal_mask.HANDLED_SIGNALS}
        mask_before: set[signal.Signals] = real_function(mask_operation, mask_signals)
        return mask_before

    def _interrupt_main(
        self, real_function: Callable[..., Any], signal_number: int = signal.SIGINT
    ) -> None:
        self._refuse("_thread.interrupt_main", signal_number)

    def _refuse(self, function_name: str, signal_number: int) -> None:
        self._report_ignored(
            f"{function_name}({signal.Signals(signal_number).name})", _current_plugin()
        )

    def _start_process(self, real_function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        start = functools.partial(real_function, *args, **kwargs)
        self._drain_signals()
        try:  # no other thread may run in between
            _, pid, _ = map(functools.partial.__call__, (_unblock_signals, start, _block_signals))
        finally:
            signal_mask.hold_signals()
        signal_senders.remember_process(pid)
        return pid

    def _spawn_process(self, real_function: Callable[..., int], *args: Any, **kwargs: Any) -> int:
        pid = real_function(*args, **{"setsigmask": (), **kwargs})
        signal_senders.remember_process(pid)
        return pid

    def _fork_process(self, real_function: Callable[[], int]) -> int:
        pid = real_function()
        if pid:
            signal_senders.remember_process(pid)
        return pid

    def _run_shell(self, real_function: Callable[..., Any], command: Any) -> int:
        """Do the work of `os.system`, letting signals through only while the process starts."""
        try:
            exit_code = subprocess.run(command, shell=True, check=False, close_fds=False).returncode  # noqa: S602 - the caller asked for it
        except OSError:
            return _SHELL_NOT_STARTED
        # A wait status: the exit code in the high byte, or the signal in the low one.
        return exit_code << 8 if exit_code >= 0 else -exit_code


def _current_plugin() -> str:
    plugin_call = current_call()
    return "" if plugin_call is None else plugin_call.plugin
