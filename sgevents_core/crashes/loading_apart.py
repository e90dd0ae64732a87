"""Loading plugins in a separate process, for commands that only inspect them.

A plugin that ends that process, or does not return, is named and left out of the next try. What a
plugin prints never mixes with the output of a command.
"""

from __future__ import annotations

import ctypes
import os
import pickle
import signal
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple, NoReturn, TypeVar, cast

from sgevents_core.crashes.evidence import (
    DeathEvidence,
    EvidenceRecorder,
    LoadingStep,
    find_blamed_step,
    find_open_step,
    parse_evidence,
)
from sgevents_core.crashes.loading_deaths import read_known_broken
from sgevents_core.crashes.loading_watch import RETURN_TIMEOUT, TimeoutWatch
from sgevents_core.crashes.out_of_memory import count_oom_kills
from sgevents_core.dispatch.printed_apart import TrialOutput
from sgevents_core.errors import LoadEndedError, LoadTimeoutError, SgEventsError
from sgevents_core.observe.redaction import Redactor
from sgevents_core.plugins.discovery import Discovery
from sgevents_core.plugins.load_watching import KnownBroken, PluginWatch
from sgevents_core.plugins.loading import Loaded, load
from sgevents_core.readiness import wait_until_readable
from sgevents_core.settings import Settings, format_duration

_T = TypeVar("_T")

_LENGTH_BYTES: Final = 8
_POLL_INTERVAL: Final = 0.05
_LONGEST_PAUSE: Final = 300.0
"""Seconds allowed between steps of plugins; the site may be asked for its schema meanwhile."""
_SET_DEATH_SIGNAL: Final = 1
_FIX_ADVICE: Final = "Fix the plugin, or disable it: enabled = false."
_exit_process: Final = os._exit


def inspect_apart(settings: Settings, inspect: Callable[[PluginWatch], _T]) -> _T:
    """Return the result of `inspect`, which loads plugins with the watch it is given.

    Args:
        settings: The configuration.
        inspect: Loads plugins, and returns plain values: text, numbers, and this package's own
            types.

    Raises:
        LoadEndedError: The plugins' process ended, and it is not known which plugin ended it.
        SgEventsError: `inspect` raised one; text and exit code are the same.
    """
    return _run_trials(settings, inspect)[0]


def load_after_trial(settings: Settings, discovery: Discovery) -> Loaded:
    """Load plugins in this process, without those that have just ended a separate one.

    Raises:
        LoadEndedError: The plugins' process ended, and it is not known which plugin ended it.
    """
    known_broken = _run_trials(
        settings, lambda watch: load(settings, discovery, watch=watch).statuses
    )[1]
    return load(settings, discovery, watch=PluginWatch(known_broken))


def _run_trials(
    settings: Settings, inspect: Callable[[PluginWatch], _T]
) -> tuple[_T, Mapping[str, KnownBroken]]:
    known_broken = read_known_broken(settings.state.path)
    with closing(TrialOutput(Redactor.of(settings))) as printed:
        while True:
            trial_result = _TrialProcess(settings, known_broken, printed).run_trial(inspect)
            if not isinstance(trial_result, _EndingPlugin):
                return trial_result, known_broken
            if trial_result.plugin_name in known_broken:
                raise LoadEndedError(how=trial_result.known_broken.reason)
            known_broken[trial_result.plugin_name] = trial_result.known_broken


class _EndingPlugin(NamedTuple):
    """The plugin that ended the process, and how."""

    plugin_name: str
    known_broken: KnownBroken


class _TrialAnswer(NamedTuple):
    """The result of `inspect`, as passed between processes.

    Args:
        result_value: The result.
        error_text: The error raised instead, for people; empty if there was none.
        exit_code: The exit code of that error.
        learned_secrets: Secrets that were learned meanwhile.
    """

    result_value: Any = None
    error_text: str = ""
    exit_code: int = 1
    learned_secrets: Sequence[str] = ()


class _TrialProcess:
    """One process that loads plugins, and its result.

    Args:
        settings: The configuration.
        known_broken: Plugin -> why it is left out.
        printed: Receives the output printed there.
    """

    def __init__(
        self, settings: Settings, known_broken: Mapping[str, KnownBroken], printed: TrialOutput
    ) -> None:
        self._settings = settings
        self._known_broken = known_broken
        self._evidence_file = os.memfd_create("sgevents-last-words", os.MFD_CLOEXEC)
        self._printed = printed
        self._answer_bytes = b""
        self._last_step: tuple[int, float] = (-1, 0.0)

    def run_trial(self, inspect: Callable[[PluginWatch], _T]) -> _T | _EndingPlugin:
        """Return the result of `inspect` in that process, or the plugin that ended it."""
        read_end, write_end = os.pipe2(os.O_CLOEXEC)
        try:
            with warnings.catch_warnings():  # about other threads: ours hold no locks now
                warnings.simplefilter("ignore", DeprecationWarning)
                child_pid = os.fork()
            if child_pid == 0:
                self._run_child(write_end, inspect)
            os.close(write_end)
            exit_status = self._wait_for_child(child_pid, read_end)
            evidence_text = self._read_evidence()
        finally:
            os.close(read_end)
            os.close(self._evidence_file)
            self._printed.read_printed()
        trial_answer = self._read_answer()
        if trial_answer is None:
            return self._find_ending_plugin(evidence_text, exit_status)
        return cast("_T", _unpack_answer(trial_answer))

    def _read_answer(self) -> _TrialAnswer | None:
        """Return the child's answer, once its secrets are known; None if there is none."""
        if not self._is_answer_complete():
            return None
        trial_answer: _TrialAnswer = pickle.loads(self._answer_bytes[_LENGTH_BYTES:])  # noqa: S301 - our own words
        for learned_secret in trial_answer.learned_secrets:
            self._settings.learned_secrets.add_text(learned_secret)
        return trial_answer

    def _wait_for_child(self, child_pid: int, read_end: int) -> int:
        """Wait for the answer or the end of the child; return its exit status."""
        try:
            while not self._is_answer_complete():
                watched_ends = [read_end, self._printed.fileno()]
                ready_ends = wait_until_readable(watched_ends, _POLL_INTERVAL)
                self._printed.read_printed()
                if read_end in ready_ends:
                    received_bytes = os.read(read_end, 1 << 20)
                    self._answer_bytes += received_bytes
                    if not received_bytes:
                        break
                    continue
                ended_pid, exit_status = os.waitpid(child_pid, os.WNOHANG)
                if ended_pid:
                    child_pid = 0
                    self._read_last_bytes(read_end)
                    return exit_status
                self._kill_overdue_child(child_pid)
        finally:
            if child_pid:
                os.kill(child_pid, signal.SIGKILL)
                exit_status = os.waitpid(child_pid, 0)[1]
        return exit_status

    def _read_last_bytes(self, read_end: int) -> None:
        """Read what a child that has ended wrote after the last look."""
        while wait_until_readable([read_end], 0.0):
            received_bytes = os.read(read_end, 1 << 20)
            if not received_bytes:
                return
            self._answer_bytes += received_bytes

    def _kill_overdue_child(self, child_pid: int) -> None:
        """End a child that failed to end itself in a step that takes too long."""
        evidence_size = os.fstat(self._evidence_file).st_size
        if evidence_size != self._last_step[0]:
            self._last_step = (evidence_size, time.monotonic())
            return
        step = find_open_step(self._read_evidence())
        step_timeout = (
            _LONGEST_PAUSE
            if step is None
            else self._load_timeout(step.plugin_name) + RETURN_TIMEOUT
        )
        if time.monotonic() - self._last_step[1] > step_timeout:
            os.kill(child_pid, signal.SIGKILL)

    def _read_evidence(self) -> str:
        """Return the evidence that the child has left so far."""
        return os.pread(self._evidence_file, os.fstat(self._evidence_file).st_size, 0).decode(
            "utf-8", "replace"
        )

    def _load_timeout(self, plugin_name: str) -> float:
        return self._settings.plugins[plugin_name].load_timeout

    def _is_answer_complete(self) -> bool:
        answer_length = int.from_bytes(self._answer_bytes[:_LENGTH_BYTES], "big")
        return (
            len(self._answer_bytes) >= _LENGTH_BYTES
            and len(self._answer_bytes) - _LENGTH_BYTES >= answer_length
        )

    def _find_ending_plugin(self, evidence_text: str, exit_status: int) -> _EndingPlugin:
        evidence = parse_evidence(evidence_text, count_oom_kills())
        step = find_blamed_step(evidence_text, evidence)
        cause_text = _describe_status(exit_status) if evidence is None else evidence.cause_text
        if step is None:
            traceback_text = (
                ""
                if evidence is None or not evidence.traceback_text
                else f"\n{evidence.traceback_text}"
            )
            raise LoadEndedError(how=f"{cause_text}{traceback_text}")
        return _EndingPlugin(step.plugin_name, self._describe_culprit(step, cause_text, evidence))

    def _describe_culprit(
        self, step: LoadingStep, cause_text: str, evidence: DeathEvidence | None
    ) -> KnownBroken:
        traceback_text = evidence.traceback_text if evidence is not None else ""
        is_overdue = self._last_step[1] and time.monotonic() - self._last_step[
            1
        ] > self._load_timeout(step.plugin_name)
        if is_overdue or (evidence is not None and evidence.timed_out):
            time_limit = format_duration(self._load_timeout(step.plugin_name))
            timeout_error = LoadTimeoutError(doing=step.activity, within=time_limit)
            return KnownBroken(timeout_error.reason.rstrip("."), timeout_error.fix, traceback_text)
        return KnownBroken(
            f"it ends the process in this step: {step.activity}; {cause_text}",
            _FIX_ADVICE,
            traceback_text,
        )

    def _run_child(self, write_end: int, inspect: Callable[[PluginWatch], object]) -> NoReturn:
        """Load, answer, and end the process whatever happens."""
        try:
            with suppress(Exception):
                ctypes.CDLL(None).prctl(_SET_DEATH_SIGNAL, signal.SIGKILL)
            with suppress(OSError):
                self._printed.redirect_streams()
            recorder = EvidenceRecorder(Path(os.devnull))
            recorder.start_recording(os.fdopen(os.dup(self._evidence_file), "ab", buffering=0))
            packed_answer = self._pack_answer(
                lambda: inspect(TimeoutWatch(recorder, self._known_broken))
            )
            _write_all(write_end, len(packed_answer).to_bytes(_LENGTH_BYTES, "big") + packed_answer)
        finally:
            _exit_process(0)

    def _pack_answer(self, inspect: Callable[[], object]) -> bytes:
        trial_answer = _make_answer(inspect)._replace(
            learned_secrets=list(self._settings.learned_secrets)
        )
        try:
            return pickle.dumps(trial_answer)
        except Exception as error:  # an error type of a plugin's own
            return pickle.dumps(_TrialAnswer(error_text=f"{type(error).__name__}: {error}"))


def _make_answer(inspect: Callable[[], object]) -> _TrialAnswer:
    try:
        return _TrialAnswer(inspect())
    except SgEventsError as error:
        return _TrialAnswer(error_text=str(error), exit_code=error.exit_code)
    except BaseException as error:
        return _TrialAnswer(error_text=f"{type(error).__name__}: {error}")


def _unpack_answer(trial_answer: _TrialAnswer) -> Any:
    if not trial_answer.error_text:
        return trial_answer.result_value
    error = SgEventsError()
    error.args = (trial_answer.error_text,)
    error.exit_code = trial_answer.exit_code  # type: ignore[misc]  # an instance of its own kind
    raise error


def _describe_status(exit_status: int) -> str:
    exit_code = os.waitstatus_to_exitcode(exit_status)
    if exit_code < 0:
        return f"it was killed by {signal.Signals(-exit_code).name}"
    return f"it ended with exit code {exit_code}"


def _write_all(file_descriptor: int, unwritten_bytes: bytes) -> None:
    while unwritten_bytes:
        unwritten_bytes = unwritten_bytes[os.write(file_descriptor, unwritten_bytes) :]
