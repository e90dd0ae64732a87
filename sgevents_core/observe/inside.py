"""Watching what code in this process does with signals and processes while the daemon runs.

Signals are blocked in all threads, and a new process would inherit that; so it is started with the
usual signal mask, and remembered, since it may send signals. A signal that a plugin sends to this
process is not sent at all.
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

from sgevents_core.observe import mask, senders
from sgevents_core.observe.current import current

Tell = Callable[[str, str], None]
"""Reports an ignored signal: the function, and the plugin whose call it is, if known."""

_STOPPING: Final = (signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)
_REFUSED: Final = frozenset((*mask.HEEDED, *_STOPPING))
_FAILED: Final = 127 << 8
"""The wait status of a shell that did not start: exit code 127 in the high byte."""
_release: Final = functools.partial(_signal.pthread_sigmask, signal.SIG_UNBLOCK, mask.HEEDED)
_hold: Final = functools.partial(_signal.pthread_sigmask, signal.SIG_BLOCK, mask.HEEDED)


@contextmanager
def watching_signals(drain: Callable[[], None], tell: Tell) -> Iterator[None]:
    """Watch signals and processes while the block lasts.

    Args:
        drain: Handles the signals pending for this thread before they are let through.
        tell: Reports what is ignored.
    """
    watch = _Watch(drain, tell)
    with ExitStack() as undo:
        for module, name, stand_in in watch.stand_ins():
            real = getattr(module, name, None)
            if real is not None:  # not every Python has every function
                setattr(module, name, watch.at_home(real, functools.partial(stand_in, real)))
                undo.callback(setattr, module, name, real)
        yield


class _Watch:
    """The replacements of functions; each takes the real one first."""

    def __init__(self, drain: Callable[[], None], tell: Tell) -> None:
        self._home = os.getpid()
        self._drain = drain
        self._tell = tell

    def stand_ins(self) -> list[tuple[ModuleType, str, Callable[..., Any]]]:
        """Return module, name of a function, and its replacement."""
        return [
            (os, "kill", self._kill),
            (os, "killpg", self._kill_group),
            (signal, "raise_signal", self._raise),
            (signal, "pthread_kill", self._kill_thread),
            (signal, "pthread_sigmask", self._set_mask),
            (_thread, "interrupt_main", self._interrupt_main),
            (_posixsubprocess, "fork_exec", self._start),
            (subprocess, "_fork_exec", self._start),
            (os, "posix_spawn", self._spawn),
            (os, "posix_spawnp", self._spawn),
            (os, "fork", self._fork),
            (os, "system", self._system),
        ]

    def at_home(self, real: Callable[..., Any], stand_in: Callable[..., Any]) -> Callable[..., Any]:
        """Return a wrapper that calls the real function in every other process."""

        @functools.wraps(real)
        def called(*args: Any, **kwargs: Any) -> Any:
            function = stand_in if os.getpid() == self._home else real
            return function(*args, **kwargs)

        return called

    def _kill(self, real: Callable[..., Any], pid: int, number: int) -> None:
        group = os.getpgrp()
        if pid == self._home and number in _REFUSED:
            self._refuse("os.kill", number)
        elif pid in (0, -1, -group):
            self._send_to_group(functools.partial(real, pid, number), "os.kill", number)
        else:
            real(pid, number)

    def _kill_group(self, real: Callable[..., Any], group: int, number: int) -> None:
        send = functools.partial(real, group, number)
        if group in (0, os.getpgrp()):
            self._send_to_group(send, "os.killpg", number)
        else:
            send()

    def _send_to_group(self, send: Callable[[], None], function: str, number: int) -> None:
        """Send a signal to the process group: it is meant for children, and ignored here."""
        if number in _STOPPING:
            self._refuse(function, number)
            return
        if number in mask.HEEDED:
            senders.sends(_plugin())
        send()

    def _raise(self, real: Callable[..., Any], number: int) -> None:
        if number in _REFUSED:
            self._refuse("signal.raise_signal", number)
        else:
            real(number)

    def _kill_thread(self, real: Callable[..., Any], thread: int, number: int) -> None:
        if number in _REFUSED:
            self._refuse("signal.pthread_kill", number)
        else:
            real(thread, number)

    def _set_mask(
        self, real: Callable[..., Any], how: int, signals: Iterable[int], /
    ) -> set[signal.Signals]:
        """Set which signals are blocked, except those blocked in all threads.

        `multiprocessing` does so.
        """
        held = set(signals)
        if how == signal.SIG_UNBLOCK:
            held -= {*mask.HEEDED}
        elif how == signal.SIG_SETMASK:
            held |= {*mask.HEEDED}
        before: set[signal.Signals] = real(how, held)
        return before

    def _interrupt_main(self, real: Callable[..., Any], number: int = signal.SIGINT) -> None:
        self._refuse("_thread.interrupt_main", number)

    def _refuse(self, function: str, number: int) -> None:
        self._tell(f"{function}({signal.Signals(number).name})", _plugin())

    def _start(self, real: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        begin = functools.partial(real, *args, **kwargs)
        self._drain()
        try:  # no other thread may run in between
            _, pid, _ = map(functools.partial.__call__, (_release, begin, _hold))
        finally:
            mask.hold_signals()
        senders.started(pid)
        return pid

    def _spawn(self, real: Callable[..., int], *args: Any, **kwargs: Any) -> int:
        pid = real(*args, **{"setsigmask": (), **kwargs})
        senders.started(pid)
        return pid

    def _fork(self, real: Callable[[], int]) -> int:
        pid = real()
        if pid:
            senders.started(pid)
        return pid

    def _system(self, real: Callable[..., Any], command: Any) -> int:
        """Do what `os.system` does, with signals let through only while the process starts."""
        try:
            code = subprocess.run(command, shell=True, check=False, close_fds=False).returncode  # noqa: S602 - the caller asked for it
        except OSError:
            return _FAILED
        # A wait status: the exit code in the high byte, or the signal in the low one.
        return code << 8 if code >= 0 else -code


def _plugin() -> str:
    call = current()
    return "" if call is None else call.plugin
