"""The daemon's response to signals from a person or the system: stop in order, or reload.

Signals are blocked in all threads and received by a separate thread, which learns the sender of
each. One sent by a plugin, or by a process that a plugin started, is not from a person: it is
logged and otherwise ignored.
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
from sgevents_core.observe.calling import running_plugins
from sgevents_core.observe.inside import watching_signals
from sgevents_core.observe.logs import flush_log
from sgevents_core.observe.mask import HANDLED_SIGNALS, hold_signals, release_signals

logger = logging.getLogger("sgevents.daemon")

_SPARE: Final = (
    *(signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF),
    *(signal.SIGUSR1, signal.SIGUSR2, signal.SIGIO),
    *(getattr(signal, name) for name in ("SIGPWR", "SIGSTKFLT") if hasattr(signal, name)),
    *range(getattr(signal, "SIGRTMIN", 0), getattr(signal, "SIGRTMAX", -1) + 1),
)
"""Signals that end a process by default, and that are not needed to end this one."""
_CLOSES_WITHIN: Final = 1.0
# Calls by plugins are watched; these originals, taken before, are not.
_exit, _kill_thread, _set_mask = os._exit, signal.pthread_kill, signal.pthread_sigmask


class Signalled(Protocol):
    """Something that can stop and reload, also from a signal handler."""

    def stop(self) -> None:
        """Stop after the running callbacks."""

    def reload(self) -> None:
        """Try the new state, and restart with it if it loads."""


@contextmanager
def stopped_by_signals(daemon: Signalled) -> Iterator[Ears]:
    """Make Ctrl-C and SIGTERM stop the daemon in order, a second one end it, and SIGHUP reload it.

    A SIGHUP because the terminal is gone stops it, unless it should survive that (`nohup`). Before
    and afterwards, signals are held back.

    Raises:
        SignalInDoubt: It was stopped by a signal whose sender is unknown.
    """
    hold_signals()
    ears = Ears(daemon)
    handlers: dict[signal.Signals, Callable[[int, FrameType | None], None]] = {
        **dict.fromkeys(HANDLED_SIGNALS, ears.hear_anybody),
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
    """The thread that receives signals from the system and acts on them.

    `doubt` is the signal of unknown sender that stopped the daemon; 0 if there was none.
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
        """Start receiving."""
        self._thread.start()

    def close(self) -> None:
        """End the thread, after handling the signals received so far."""
        self.is_open = False
        if self._thread.ident is not None:
            _kill_thread(self._thread.ident, signal.SIGHUP)
        self._thread.join(_CLOSES_WITHIN)
        self.drain()

    def drain(self) -> None:
        """Handle pending signals, including those for this thread only."""
        while (one := signal.sigtimedwait(HANDLED_SIGNALS, 0)) is not None:
            self._hear(one)

    def hear_anybody(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal that arrived while a process was being started: if in doubt, stop."""
        if number != signal.SIGHUP and not self._stopped:
            self.doubt = number
        self._hear_person(number)

    def _run(self) -> None:
        while True:
            one = signal.sigwaitinfo(HANDLED_SIGNALS)
            if not self.is_open and one.si_pid == os.getpid():
                return
            self._hear(one)

    def _hear(self, one: signal.struct_siginfo) -> None:
        name, own = signal.Signals(one.si_signo).name, one.si_pid == os.getpid()
        reloads = one.si_signo == signal.SIGHUP and not self._hung_up()
        if own:
            tell_ignored(name, senders.take_sending_plugin())
        elif (
            senders.is_own_process(one.si_pid) and not reloads
        ):  # a plugin may call `sgevents reload`
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
    """Log that a signal from inside was ignored.

    Args:
        what: The signal, or the function that sends it.
        plugin: The plugin that sent it; if that is not known, the one that is running.
    """
    who = plugin or running_plugins()
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
    running = running_plugins()
    if running:
        return f"plugin {running} or what it has started"
    return "a thread or a process that a plugin has left behind"


def _tell_spare(number: int, frame: FrameType | None) -> None:
    known = number in [one.value for one in signal.Signals]
    tell_ignored(signal.Signals(number).name if known else f"signal {number}")


def _as_usual_in_children(ears: Ears, numbers: list[signal.Signals]) -> None:
    """Give signals their usual effect in processes that plugins fork."""
    home = os.getpid()

    def usual() -> None:
        if ears.is_open and os.getppid() == home:
            for number in numbers:
                signal.signal(number, signal.SIG_DFL)
            release_signals()

    os.register_at_fork(after_in_child=usual)


def _end_at_once(number: int) -> None:
    """End the process by a signal, from any thread; Python's own way needs the main one."""
    flush_log(_CLOSES_WITHIN)
    if os.getpid() != 1:  # a container's first process ignores signals by default
        system = ctypes.CDLL(None).signal
        system.argtypes = (ctypes.c_int, ctypes.c_void_p)
        system.restype = ctypes.c_void_p
        system(number, None)
        _set_mask(signal.SIG_UNBLOCK, [number])
        _kill_thread(threading.get_ident(), number)
    _exit(128 + number)


def _has_terminal() -> bool:
    """Return whether there is a terminal that can hang up."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True
