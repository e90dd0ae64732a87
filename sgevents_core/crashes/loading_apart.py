"""Loading plugins in a separate process, for commands that only inspect them.

A plugin that ends that process, or does not return, is named and left out of the next try. What a
plugin prints never mixes with the output of a command.
"""

from __future__ import annotations

import ctypes
import os
import pickle
import select
import signal
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple, NoReturn, TypeVar, cast

from sgevents_core.crashes.evidence import (
    DeathEvidence,
    EvidenceKeeper,
    LoadingStep,
    blamed_step,
    read,
    step_left_open,
)
from sgevents_core.crashes.loading_deaths import known_in
from sgevents_core.crashes.loading_watch import PATIENCE, EndingWatch
from sgevents_core.crashes.out_of_memory import oom_kills
from sgevents_core.dispatch.printed_apart import PrintedApart
from sgevents_core.errors import LoadEndedError, LoadTimeoutError, SgEventsError
from sgevents_core.observe.redaction import Redactor
from sgevents_core.plugins.discovery import Discovery
from sgevents_core.plugins.load_watching import KnownBroken, PluginWatch
from sgevents_core.plugins.loading import Loaded, load
from sgevents_core.settings import Settings, format_duration

_T = TypeVar("_T")

_LENGTH: Final = 8
_EVERY: Final = 0.05
_LONGEST: Final = 300.0
"""Seconds allowed between steps of plugins; the site may be asked for its schema meanwhile."""
_DIES_WITH_PARENT: Final = 1
_FIX: Final = "Mend the plugin, or disable it: enabled = false."
_exit: Final = os._exit


def looked_at_apart(settings: Settings, look: Callable[[PluginWatch], _T]) -> _T:
    """Return the result of `look`, which loads plugins with the watch it is given.

    Args:
        settings: The configuration.
        look: Loads plugins, and returns plain values: text, numbers, and this package's own types.

    Raises:
        LoadEndedError: The plugins' process ended, and it is not known which plugin ended it.
        SgEventsError: `look` raised one; text and exit code are the same.
    """
    return _tried(settings, look)[0]


def loaded_after_trying(settings: Settings, discovery: Discovery) -> Loaded:
    """Load plugins in this process, without those that have just ended a separate one.

    Raises:
        LoadEndedError: The plugins' process ended, and it is not known which plugin ended it.
    """
    known = _tried(settings, lambda watch: load(settings, discovery, watch=watch).statuses)[1]
    return load(settings, discovery, watch=PluginWatch(known))


def _tried(
    settings: Settings, look: Callable[[PluginWatch], _T]
) -> tuple[_T, Mapping[str, KnownBroken]]:
    known = known_in(settings.state.path)
    with closing(PrintedApart(Redactor.of(settings))) as printed:
        while True:
            found = _Apart(settings, known, printed).found(look)
            if not isinstance(found, _Culprit):
                return found, known
            if found.plugin in known:
                raise LoadEndedError(how=found.known.reason)
            known[found.plugin] = found.known


class _Culprit(NamedTuple):
    """The plugin that ended the process, and how."""

    plugin: str
    known: KnownBroken


class _Answer(NamedTuple):
    """The result of `look`, as passed between processes.

    Args:
        value: The result.
        error: What was raised instead, for people; empty if nothing was raised.
        exit_code: The exit code of that error.
        learned: Secrets that were learned meanwhile.
    """

    value: Any = None
    error: str = ""
    exit_code: int = 1
    learned: Sequence[str] = ()


class _Apart:
    """One process that loads plugins, and its result.

    Args:
        settings: The configuration.
        known: Plugin -> why it is left out.
        printed: Receives what is printed there.
    """

    def __init__(
        self, settings: Settings, known: Mapping[str, KnownBroken], printed: PrintedApart
    ) -> None:
        self._settings = settings
        self._known = known
        self._words = os.memfd_create("sgevents-last-words", os.MFD_CLOEXEC)
        self._printed = printed
        self._answer = b""
        self._step: tuple[int, float] = (-1, 0.0)

    def found(self, look: Callable[[PluginWatch], _T]) -> _T | _Culprit:
        """Return the result of `look` in that process, or the plugin that ended it."""
        reads, writes = os.pipe2(os.O_CLOEXEC)
        try:
            with warnings.catch_warnings():  # about other threads: ours hold no locks now
                warnings.simplefilter("ignore", DeprecationWarning)
                child = os.fork()
            if child == 0:
                self._be_child(writes, look)
            os.close(writes)
            status = self._wait(child, reads)
            text = self._said()
        finally:
            os.close(reads)
            os.close(self._words)
            self._printed.hear()
        answer = self._answered()
        if answer is None:
            return self._culprit(text, status)
        return cast("_T", _value_of(answer))

    def _answered(self) -> _Answer | None:
        """Return the child's answer, once its secrets are known; None if there is none."""
        if not self._is_whole():
            return None
        answer: _Answer = pickle.loads(self._answer[_LENGTH:])  # noqa: S301 - our own words
        for text in answer.learned:
            self._settings.learned_secrets.add_text(text)
        return answer

    def _wait(self, child: int, reads: int) -> int:
        """Wait for the answer or the end of the child; return its exit status."""
        try:
            while not self._is_whole():
                wanted = [reads, self._printed.fileno()]
                ready, _, _ = select.select(wanted, [], [], _EVERY)
                self._printed.hear()
                if reads in ready:
                    more = os.read(reads, 1 << 20)
                    self._answer += more
                    if not more:
                        break
                    continue
                ended, status = os.waitpid(child, os.WNOHANG)
                if ended:
                    child = 0
                    return status
                self._end_overdue(child)
        finally:
            if child:
                os.kill(child, signal.SIGKILL)
                status = os.waitpid(child, 0)[1]
        return status

    def _end_overdue(self, child: int) -> None:
        """End a child that failed to end itself in a step that takes too long."""
        size = os.fstat(self._words).st_size
        if size != self._step[0]:
            self._step = (size, time.monotonic())
            return
        step = step_left_open(self._said())
        patience = _LONGEST if step is None else self._limit(step.plugin) + PATIENCE
        if time.monotonic() - self._step[1] > patience:
            os.kill(child, signal.SIGKILL)

    def _said(self) -> str:
        """Return the child's last words so far."""
        return os.pread(self._words, os.fstat(self._words).st_size, 0).decode("utf-8", "replace")

    def _limit(self, plugin: str) -> float:
        return self._settings.plugins[plugin].load_timeout

    def _is_whole(self) -> bool:
        length = int.from_bytes(self._answer[:_LENGTH], "big")
        return len(self._answer) >= _LENGTH and len(self._answer) - _LENGTH >= length

    def _culprit(self, text: str, status: int) -> _Culprit:
        words = read(text, oom_kills())
        step = blamed_step(text, words)
        how = _how_of(status) if words is None else words.how
        if step is None:
            trace = "" if words is None or not words.traceback else f"\n{words.traceback}"
            raise LoadEndedError(how=f"{how}{trace}")
        return _Culprit(step.plugin, self._told(step, how, words))

    def _told(self, step: LoadingStep, how: str, words: DeathEvidence | None) -> KnownBroken:
        trace = words.traceback if words is not None else ""
        late = self._step[1] and time.monotonic() - self._step[1] > self._limit(step.plugin)
        if late or (words is not None and words.timed_out):
            within = format_duration(self._limit(step.plugin))
            error = LoadTimeoutError(doing=step.doing, within=within)
            return KnownBroken(error.reason.rstrip("."), error.fix, trace)
        return KnownBroken(f"it ends the process in this: {step.doing}; {how}", _FIX, trace)

    def _be_child(self, writes: int, look: Callable[[PluginWatch], object]) -> NoReturn:
        """Load, answer, and end the process whatever happens."""
        try:
            with suppress(Exception):
                ctypes.CDLL(None).prctl(_DIES_WITH_PARENT, signal.SIGKILL)
            with suppress(OSError):
                self._printed.take_over()
            listener = EvidenceKeeper(Path(os.devnull))
            listener.begin(os.fdopen(os.dup(self._words), "ab", buffering=0))
            answer = self._packed(lambda: look(EndingWatch(listener, self._known)))
            _write(writes, len(answer).to_bytes(_LENGTH, "big") + answer)
        finally:
            _exit(0)

    def _packed(self, look: Callable[[], object]) -> bytes:
        answer = _answer_of(look)._replace(learned=list(self._settings.learned_secrets))
        try:
            return pickle.dumps(answer)
        except Exception as error:  # an error type of a plugin's own
            return pickle.dumps(_Answer(error=f"{type(error).__name__}: {error}"))


def _answer_of(look: Callable[[], object]) -> _Answer:
    try:
        return _Answer(look())
    except SgEventsError as error:
        return _Answer(error=str(error), exit_code=error.exit_code)
    except BaseException as error:
        return _Answer(error=f"{type(error).__name__}: {error}")


def _value_of(answer: _Answer) -> Any:
    if not answer.error:
        return answer.value
    error = SgEventsError()
    error.args = (answer.error,)
    error.exit_code = answer.exit_code  # type: ignore[misc]  # this one is of a kind of its own
    raise error


def _how_of(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        return f"it was killed by {signal.Signals(-code).name}"
    return f"it ended with exit code {code}"


def _write(file: int, text: bytes) -> None:
    while text:
        text = text[os.write(file, text) :]
