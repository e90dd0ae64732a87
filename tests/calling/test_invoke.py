"""Calling a callback: whatever it raises is returned, and described so that it can be kept."""

from __future__ import annotations

import sys
import threading
from queue import SimpleQueue
from typing import Any, NoReturn

import pytest

from sgevents_core.calling.describing import (
    INSPECT_TIMEOUT,
    MAX_ERROR_LINE,
    MAX_FRAMES,
    MAX_HANGING,
    MAX_TRACEBACK,
    SLOW_TYPE_TIMEOUT,
    describe_error,
    raised_error,
)
from sgevents_core.calling.outcome import ErrorFacts
from sgevents_core.observe.current_call import CurrentCall
from sgevents_core.observe.invoking import invoke
from sgevents_core.observe.redaction import Redactor

NO_SECRETS = Redactor()
CALL = CurrentCall("alpha", "alpha:run", 1)


def raised(error: BaseException) -> BaseException:
    """The error as a callback raises it."""

    def fails() -> NoReturn:
        raise error

    found = invoke(CALL, fails)
    assert found is error
    return found


@pytest.mark.parametrize(
    "error",
    [ValueError("no"), SystemExit(3), KeyboardInterrupt(), GeneratorExit(), BaseException()],
)
def test_whatever_is_raised_is_returned(error: BaseException) -> None:
    """Exits and interrupts of a plugin are its own affair."""
    raised(error)


def test_nothing_raised_is_none() -> None:
    """What the callback returns is no matter; its arguments come by position."""
    got = []
    assert invoke(CALL, lambda *args: got.append(args), 1, "two") is None
    assert got == [(1, "two")]


def test_line_and_traceback() -> None:
    """One line says type and message, the traceback begins in the plugin's own code."""
    line, text = describe_error(raised(ValueError("not  this\ntime")), NO_SECRETS)
    assert line == "ValueError: not this time"
    assert text.startswith("Traceback (most recent call last):\n")
    assert "in fails\n" in text
    assert "in invoke" not in text
    assert describe_error(raised(KeyboardInterrupt()), NO_SECRETS)[0] == "KeyboardInterrupt"


def test_endless_recursion() -> None:
    """The last frames are kept."""

    def deeper(n: int) -> int:
        return deeper(n + 1)

    error = invoke(CALL, deeper, 0)
    assert isinstance(error, RecursionError)
    line, text = describe_error(error, NO_SECRETS)
    assert line.startswith("RecursionError: maximum recursion depth exceeded")
    assert text.count("in deeper") <= MAX_FRAMES + 1
    assert len(text) <= MAX_TRACEBACK + 100


def test_huge_message_is_cut_in_the_middle() -> None:
    """Begin and end of a message of megabytes are kept, in line and traceback."""
    line, text = describe_error(raised(ValueError("begin " + "x " * 3_000_000 + "end")), NO_SECRETS)
    assert line.startswith("ValueError: begin x x")
    assert len(line) <= MAX_ERROR_LINE + 5
    assert "\n" not in line
    assert text.rstrip().endswith("x end")
    assert "characters left out" in text
    assert len(text) <= MAX_TRACEBACK + 100


class Unprintable(Exception):
    """An exception whose text cannot be had."""

    def __init__(self, instead: BaseException) -> None:
        super().__init__()
        self.instead = instead

    def __str__(self) -> str:
        raise self.instead

    __repr__ = __str__


@pytest.mark.parametrize("instead", [ValueError(), SystemExit(), RecursionError()])
def test_exception_that_cannot_be_printed(instead: BaseException) -> None:
    """Its type is told."""
    line, text = describe_error(raised(Unprintable(instead)), NO_SECRETS)
    assert line == "Unprintable: (it cannot be printed)"
    assert "Unprintable" in text


def test_exception_without_a_usable_traceback() -> None:
    """An exception that hides its traceback is described by its line."""

    class Hidden(Exception):
        @property
        def __traceback__(self) -> NoReturn:  # type: ignore[override]  # on purpose
            raise SystemExit

    assert describe_error(Hidden("x"), NO_SECRETS)[1].strip().endswith("Hidden: x")


def test_secrets_are_removed_everywhere() -> None:
    """Also from causes, from reprs, and where a cut would leave half of one."""
    key = 'demo-key\'s "own" key'
    redact = Redactor([key, "other-demo-key"])
    error = ValueError("x" * (MAX_ERROR_LINE // 2 - 20) + key + "other-demo-key" * 500)
    error.__cause__ = raised(KeyError(key))
    line, text = describe_error(raised(error), redact)
    for told in (line, text):
        assert "demo" not in told
        assert "own" not in told
        assert "***" in told


def test_lone_surrogates_can_be_kept() -> None:
    """What no database and no file takes is replaced."""
    for told in describe_error(raised(ValueError("half \ud800 of one")), NO_SECRETS):
        assert "half ? of one" in told
        told.encode()


def test_chain_of_many_causes_is_cut() -> None:
    """A hundred errors, each the cause of the next, make no megabytes."""
    error: BaseException | None = None
    for number in range(100):
        following = ValueError(f"number {number} " + "y" * 1000)
        following.__cause__ = error
        error = following
    assert error is not None
    line, text = describe_error(error, NO_SECRETS)
    assert line.startswith("ValueError: number 99")
    assert len(text) <= MAX_TRACEBACK + 100
    assert sys.getrecursionlimit() > 100


class Slow(Exception):
    """An exception whose text is not had before the test is over."""

    def __init__(self, gate: threading.Event) -> None:
        super().__init__()
        self.gate = gate

    def __str__(self) -> str:
        self.gate.wait(60)
        return "late"


def test_exception_that_takes_for_ever_to_be_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is waited for a moment, its kind hardly at all from then on; type and place are told."""
    patience: list[float] = []
    real = SimpleQueue.get
    gate = threading.Event()

    class Noting(SimpleQueue[Any]):
        def get(self, block: bool = True, timeout: float | None = None) -> Any:
            patience.append(timeout or 0.0)
            return real(self, block, 0.05)

    monkeypatch.setattr("sgevents_core.calling.describing.SimpleQueue", Noting)
    try:
        told = [describe_error(raised(Slow(gate)), NO_SECRETS) for _ in range(30)]
    finally:
        gate.set()
    assert {line for line, _ in told} == {"Slow: (it could not be printed within 1 s)"}
    assert all("in fails\n" in text for _, text in told)
    assert patience == [INSPECT_TIMEOUT] + [SLOW_TYPE_TIMEOUT] * (MAX_HANGING - 1)


def test_exception_that_lies_about_its_class() -> None:
    """Neither its class nor its name are asked of it."""

    class Meta(type):
        @property
        def __name__(cls) -> NoReturn:  # type: ignore[override]  # on purpose
            raise SystemExit

    class Liar(Exception, metaclass=Meta):
        @property  # type: ignore[misc]  # on purpose
        def __class__(self) -> NoReturn:  # type: ignore[override]  # on purpose
            raise SystemExit

    assert "Liar" in describe_error(raised(Liar("x")), NO_SECRETS)[0]
    assert raised_error(Liar("x"), NO_SECRETS).facts == ErrorFacts()


def test_error_whose_judgement_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """It counts as a bug, which is what it is."""
    monkeypatch.setattr("sgevents_core.calling.describing.INSPECT_TIMEOUT", 0.01)
    gate = threading.Event()

    class Hangs(Exception):
        @property
        def errcode(self) -> int:
            gate.wait(60)
            return 503

    try:
        assert raised_error(Hangs(), NO_SECRETS).facts == ErrorFacts()
    finally:
        gate.set()


def test_text_of_a_hundred_megabytes() -> None:
    """It is cut before it is searched, and its ends are kept."""
    line, text = describe_error(raised(ValueError("begin" + "x" * 100_000_000 + "end")), NO_SECRETS)
    assert line.startswith("ValueError: beginx")
    assert text.rstrip().endswith("xend")
    assert len(text) <= MAX_TRACEBACK + 100
