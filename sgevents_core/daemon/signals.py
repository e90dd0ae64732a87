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
from sgevents_core.observe import signal_senders
from sgevents_core.observe.invoking import running_plugins
from sgevents_core.observe.logs import flush_log
from sgevents_core.observe.signal_mask import HANDLED_SIGNALS, hold_signals, release_signals
from sgevents_core.observe.signal_watch import watching_signals

logger = logging.getLogger("sgevents.daemon")

_UNUSED_SIGNALS: Final = (
    *(signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF),
    *(signal.SIGUSR1, signal.SIGUSR2, signal.SIGIO),
    *(getattr(signal, name) for name in ("SIGPWR", "SIGSTKFLT") if hasattr(signal, name)),
    *range(getattr(signal, "SIGRTMIN", 0), getattr(signal, "SIGRTMAX", -1) + 1),
)
"""Signals that end a process by default, and that are not needed to end this one."""
_CLOSE_TIMEOUT: Final = 1.0
# Calls by plugins are watched; these originals, taken before, are not.
_exit, _kill_thread, _set_mask = os._exit, signal.pthread_kill, signal.pthread_sigmask


class Signalled(Protocol):
    """Something that can stop and reload, also from a signal handler."""

    def stop(self) -> None:
        """Stop after the running callbacks."""

    def reload(self) -> None:
        """Try the new state, and restart with it if it loads."""


@contextmanager
def stopped_by_signals(daemon: Signalled) -> Iterator[SignalReceiver]:
    """Make Ctrl-C and SIGTERM stop the daemon in order, a second one end it, and SIGHUP reload it.

    A SIGHUP because the terminal is gone stops it, unless it should survive that (`nohup`). Before
    and afterwards, signals are held back.

    Raises:
        SignalInDoubt: It was stopped by a signal whose sender is unknown.
    """
    hold_signals()
    receiver = SignalReceiver(daemon)
    signal_handlers: dict[signal.Signals, Callable[[int, FrameType | None], None]] = {
        **dict.fromkeys(HANDLED_SIGNALS, receiver.receive_while_starting),
        **{
            unused_signal: _log_unused
            for unused_signal in _UNUSED_SIGNALS
            if signal.getsignal(unused_signal) == signal.SIG_DFL
        },
    }
    with ExitStack() as undo_stack:
        for signal_number, handler in signal_handlers.items():
            undo_stack.callback(signal.signal, signal_number, signal.signal(signal_number, handler))
        _restore_in_children(receiver, [*signal_handlers])
        undo_stack.enter_context(watching_signals(receiver.drain, log_ignored))
        undo_stack.callback(receiver.close)
        receiver.start()
        yield receiver
    if receiver.doubtful_signal:
        raise SignalInDoubt(signal=signal.Signals(receiver.doubtful_signal).name)


class SignalReceiver:
    """The thread that receives signals from the system and acts on them.

    `doubtful_signal` is the signal of unknown sender that stopped the daemon; 0 if there was none.
    """

    def __init__(self, daemon: Signalled) -> None:
        self.is_open = True
        self.doubtful_signal = 0
        self._daemon = daemon
        self._received_stops: set[int] = set()
        self._had_terminal = _has_terminal()
        self._ignores_hangup = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        self._receiver_thread = threading.Thread(
            target=self._receive_signals, name="signals", daemon=True
        )

    def start(self) -> None:
        """Start receiving."""
        self._receiver_thread.start()

    def close(self) -> None:
        """End the thread, after handling the signals received so far."""
        self.is_open = False
        if self._receiver_thread.ident is not None:
            _kill_thread(self._receiver_thread.ident, signal.SIGHUP)
        self._receiver_thread.join(_CLOSE_TIMEOUT)
        self.drain()

    def drain(self) -> None:
        """Handle pending signals, including those for this thread only."""
        while (signal_info := signal.sigtimedwait(HANDLED_SIGNALS, 0)) is not None:
            self._handle_signal(signal_info)

    def receive_while_starting(self, signal_number: int, frame: FrameType | None) -> None:
        """Handle a signal that arrived while a process was being started: if in doubt, stop."""
        if signal_number != signal.SIGHUP and not self._received_stops:
            self.doubtful_signal = signal_number
        self._handle_outside_signal(signal_number)

    def _receive_signals(self) -> None:
        while True:
            signal_info = signal.sigwaitinfo(HANDLED_SIGNALS)
            if not self.is_open and signal_info.si_pid == os.getpid():
                return
            self._handle_signal(signal_info)

    def _handle_signal(self, signal_info: signal.struct_siginfo) -> None:
        name, is_own_signal = (
            signal.Signals(signal_info.si_signo).name,
            signal_info.si_pid == os.getpid(),
        )
        is_reload = signal_info.si_signo == signal.SIGHUP and not self._terminal_is_gone()
        if is_own_signal:
            log_ignored(name, signal_senders.take_sending_plugin())
        elif (
            signal_senders.is_own_process(signal_info.si_pid) and not is_reload
        ):  # a plugin may call `sgevents reload`
            log_ignored(name)
        else:
            self.doubtful_signal = 0
            self._handle_outside_signal(signal_info.si_signo)

    def _handle_outside_signal(self, signal_number: int) -> None:
        if signal_number == signal.SIGHUP:
            if not self._terminal_is_gone():
                self._daemon.reload()
            elif not self._ignores_hangup:
                self._daemon.stop()
            return
        if signal_number in self._received_stops:
            _end_at_once(signal_number)
        self._received_stops.add(signal_number)
        self._daemon.stop()

    def _terminal_is_gone(self) -> bool:
        return self._had_terminal and not _has_terminal()


def log_ignored(signal_name: str, plugin: str = "") -> None:
    """Log that a signal from inside was ignored.

    Args:
        signal_name: The signal, or the function that sends it.
        plugin: The plugin that sent it; if that is not known, the one that is running.
    """
    responsible_plugin = plugin or running_plugins()
    logger.warning(
        "%s came from inside the daemon, from %s, and was ignored: only people and the system stop "
        "the daemon. To limit a callback's time, give it a timeout",
        signal_name,
        _sender_text(plugin),
        extra={"action": "signal.ignored", "signal": signal_name, "plugin": responsible_plugin},
    )


def _sender_text(plugin: str) -> str:
    if plugin:
        return f"plugin {plugin}"
    running_plugin_names = running_plugins()
    if running_plugin_names:
        return f"plugin {running_plugin_names} or what it has started"
    return "a thread or a process that a plugin has left behind"


def _log_unused(signal_number: int, frame: FrameType | None) -> None:
    is_known_signal = signal_number in [signal_info.value for signal_info in signal.Signals]
    log_ignored(
        signal.Signals(signal_number).name if is_known_signal else f"signal {signal_number}"
    )


def _restore_in_children(receiver: SignalReceiver, signal_numbers: list[signal.Signals]) -> None:
    """Give signals their usual effect in processes that plugins fork."""
    daemon_pid = os.getpid()

    def restore_defaults() -> None:
        if receiver.is_open and os.getppid() == daemon_pid:
            for signal_number in signal_numbers:
                signal.signal(signal_number, signal.SIG_DFL)
            release_signals()

    os.register_at_fork(after_in_child=restore_defaults)


def _end_at_once(signal_number: int) -> None:
    """End the process by a signal, from any thread; Python's own way needs the main one."""
    flush_log(_CLOSE_TIMEOUT)
    if os.getpid() != 1:  # a container's first process ignores signals by default
        c_signal = ctypes.CDLL(None).signal
        c_signal.argtypes = (ctypes.c_int, ctypes.c_void_p)
        c_signal.restype = ctypes.c_void_p
        c_signal(signal_number, None)
        _set_mask(signal.SIG_UNBLOCK, [signal_number])
        _kill_thread(threading.get_ident(), signal_number)
    _exit(128 + signal_number)


def _has_terminal() -> bool:
    """Return whether there is a terminal that can hang up."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True
