"""What signals of a person or the system mean to the daemon: stop in order, or reload.

They are blocked in all threads, and taken from the system by a thread of their own, which hears of
each who sent it. One that comes from a plugin, or from a process that a plugin has started, is no
person's: it is told of and changes nothing.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import Final, Protocol

from sgevents_core.errors import SignalInDoubt
from sgevents_core.observe import senders
from sgevents_core.observe.calling import who_runs
from sgevents_core.observe.inside import watching_signals
from sgevents_core.observe.logs import flush
from sgevents_core.observe.mask import HEEDED, hold_signals, release_signals

logger = logging.getLogger("sgevents.daemon")

_SPARE: Final = (
    *(signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF),
    *(signal.SIGUSR1, signal.SIGUSR2, signal.SIGIO),
    *(getattr(signal, name) for name in ("SIGPWR", "SIGSTKFLT") if hasattr(signal, name)),
    *range(getattr(signal, "SIGRTMIN", 0), getattr(signal, "SIGRTMAX", -1) + 1),
)
"""Signals that end a process by default, and that nobody needs to end this one."""
_CLOSES_WITHIN: Final = 1.0
# What plugins call is watched, so these are taken before: they speak of nobody.
_exit, _kill_thread, _set_mask = os._exit, signal.pthread_kill, signal.pthread_sigmask


class Signalled(Protocol):
    """What can be told to stop and to reload, also from a signal handler."""

    def stop(self) -> None:
        """Stop after the callbacks in hand."""

    def reload(self) -> None:
        """Try the new state, and start with it if it loads."""


@contextmanager
def stopped_by_signals(daemon: Signalled) -> Iterator[Ears]:
    """Let Ctrl-C and SIGTERM stop the daemon in order, a second one end it, SIGHUP reload it.

    A SIGHUP that says that the terminal is gone stops it, unless it is to survive that (`nohup`).
    Signals are held before and afterwards.

    Raises:
        SignalInDoubt: It was stopped by a signal of which nobody can say who sent it.
    """
    hold_signals()
    ears = Ears(daemon)
    handlers: dict[signal.Signals, Callable[[int, FrameType | None], None]] = {
        **dict.fromkeys(HEEDED, ears.hear_anybody),
        **{n: _tell_spare for n in _SPARE if signal.getsignal(n) == signal.SIG_DFL},
    }
    with ExitStack() as undo:
        for number, handler in handlers.items():
            undo.callback(signal.signal, number, signal.signal(number, handler))
        _as_usual_in_children(ears, [*handlers])
        undo.enter_context(watching_signals(ears.drain, tell_ignored))
        undo.callback(ears.close)
        ears.start()
        yield ears
    if ears.doubt:
        raise SignalInDoubt(signal=signal.Signals(ears.doubt).name)


class Ears:
    """Takes signals from the system in a thread, and does what they mean.

    `doubt` is the signal that has stopped the daemon though nobody knows who sent it, 0 for none.
    """

    def __init__(self, daemon: Signalled) -> None:
        self.is_open = True
        self.doubt = 0
        self._daemon = daemon
        self._stopped: set[int] = set()
        self._had_terminal = _has_terminal()
        self._survives = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        self._thread = threading.Thread(target=self._run, name="signals", daemon=True)

    def start(self) -> None:
        """Begin to hear."""
        self._thread.start()

    def close(self) -> None:
        """End the thread; what has come by now is heard."""
        self.is_open = False
        if self._thread.ident is not None:
            _kill_thread(self._thread.ident, signal.SIGHUP)
        self._thread.join(_CLOSES_WITHIN)
        self.drain()

    def drain(self) -> None:
        """Hear what waits, for this thread alone also."""
        while (one := signal.sigtimedwait(HEEDED, 0)) is not None:
            self._hear(one)

    def hear_anybody(self, number: int, frame: FrameType | None) -> None:
        """Heed a signal that came in the moment in which a process was started: in doubt, stop."""
        if number != signal.SIGHUP and not self._stopped:
            self.doubt = number
        self._hear_person(number)

    def _run(self) -> None:
        while True:
            one = signal.sigwaitinfo(HEEDED)
            if not self.is_open and one.si_pid == os.getpid():
                return
            self._hear(one)

    def _hear(self, one: signal.struct_siginfo) -> None:
        name, own = signal.Signals(one.si_signo).name, one.si_pid == os.getpid()
        reloads = one.si_signo == signal.SIGHUP and not self._hung_up()
        if own:
            tell_ignored(name, senders.sent())
        elif senders.is_inside(one.si_pid) and not reloads:  # it may call `sgevents reload`
            tell_ignored(name)
        else:
            self.doubt = 0
            self._hear_person(one.si_signo)

    def _hear_person(self, number: int) -> None:
        if number == signal.SIGHUP:
            if not self._hung_up():
                self._daemon.reload()
            elif not self._survives:
                self._daemon.stop()
            return
        if number in self._stopped:
            _end_at_once(number)
        self._stopped.add(number)
        self._daemon.stop()

    def _hung_up(self) -> bool:
        return self._had_terminal and not _has_terminal()


def tell_ignored(what: str, plugin: str = "") -> None:
    """Tell that a signal from inside was not heeded.

    Args:
        what: The signal, or the function that sends it.
        plugin: Who sent it; whoever runs, where that is not known.
    """
    who = plugin or who_runs()
    logger.warning(
        "%s came from inside the daemon, from %s, and is not heeded: people and the system stop "
        "it. To limit a callback's time, give it a timeout",
        what,
        _whom(plugin),
        extra={"action": "signal.ignored", "signal": what, "plugin": who},
    )


def _whom(plugin: str) -> str:
    if plugin:
        return f"plugin {plugin}"
    running = who_runs()
    if running:
        return f"plugin {running} or what it has started"
    return "a thread or a process that a plugin has left behind"


def _tell_spare(number: int, frame: FrameType | None) -> None:
    known = number in [one.value for one in signal.Signals]
    tell_ignored(signal.Signals(number).name if known else f"signal {number}")


def _as_usual_in_children(ears: Ears, numbers: list[signal.Signals]) -> None:
    """Let signals do in processes that plugins fork what they do anywhere."""
    home = os.getpid()

    def usual() -> None:
        if ears.is_open and os.getppid() == home:
            for number in numbers:
                signal.signal(number, signal.SIG_DFL)
            release_signals()

    os.register_at_fork(after_in_child=usual)


def _end_at_once(number: int) -> None:
    """End the process by a signal, in whatever thread; Python's way is for the main one only."""
    flush(_CLOSES_WITHIN)
    if os.getpid() != 1:  # to the first process of a container, a signal by default does nothing
        system = ctypes.CDLL(None).signal
        system.argtypes = (ctypes.c_int, ctypes.c_void_p)
        system.restype = ctypes.c_void_p
        system(number, None)
        _set_mask(signal.SIG_UNBLOCK, [number])
        _kill_thread(threading.get_ident(), number)
    _exit(128 + number)


def _has_terminal() -> bool:
    """Whether there is a terminal that can hang up."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True
