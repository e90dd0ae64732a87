"""What is wrong with the values of a configuration, collected while they are read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from sgevents_core.errors import Problem
from sgevents_core.settings.locate import Locator, Where
from sgevents_core.settings.spelling import dotted


class InvalidValueError(Exception):
    """A value that cannot be used: what is wrong, and the fix. Becomes a `Diagnostic`."""

    def __init__(self, message: str, fix: str) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix


class Diagnostic(NamedTuple):
    """One thing to put right in a table: where in it, what is wrong, what helps."""

    where: Where
    message: str
    fix: str


class Diagnostics:
    """The problems and warnings found so far."""

    def __init__(self) -> None:
        self.problems: list[Diagnostic] = []
        self.warnings: list[Diagnostic] = []

    def problem(self, where: Where, message: str, fix: str) -> None:
        """Record that the value at `where` cannot be used."""
        self.problems.append(Diagnostic(where, message, fix))

    def warning(self, where: Where, message: str, fix: str) -> None:
        """Record that the value at `where` is allowed but probably a mistake."""
        self.warnings.append(Diagnostic(where, message, fix))

    def are_valid(self, *places: Where) -> bool:
        """Return whether there is no problem at any of `places`."""
        return not any(problem.where in places for problem in self.problems)


@dataclass(frozen=True, slots=True)
class Reading:
    """What reading one value needs to know besides the value."""

    where: Where
    folder: Path
    """Where relative paths start: the folder of the configuration file."""
    diagnostics: Diagnostics
    needs_texts: bool
    """Whether it is a problem if a text is not where a reference says."""

    def setting(self, value: str) -> str:
        """Return the line that gives the key this value, for the fix; in a list the value alone."""
        return setting(self.where, value)

    def problem(self, message: str, fix: str, *inside: str | int) -> None:
        """Record a problem with the value, or with what is `inside` it."""
        self.diagnostics.problem((*self.where, *inside), message, fix)

    def warning(self, message: str, fix: str, *inside: str | int) -> None:
        """Record that the value, or what is `inside` it, is probably a mistake."""
        self.diagnostics.warning((*self.where, *inside), message, fix)


def setting(where: Where, value: str) -> str:
    """Return the line that gives the last key of `where` this value; in a list the value alone."""
    return value if isinstance(where[-1], int) else f"{where[-1]} = {value}"


def located(
    diagnostics: Iterable[Diagnostic], file: Path, lines: Locator, table: Where = ()
) -> list[Problem]:
    """Return diagnostics with their lines in `file`, in the order of the lines.

    Args:
        diagnostics: What was found.
        file: The configuration file.
        lines: The lines of its keys.
        table: The table in it that was read.
    """
    problems = []
    for diagnostic in diagnostics:
        where = (*table, *diagnostic.where)
        line, key = lines.line(where), dotted(where)
        problems.append(Problem(file, line, key, diagnostic.message, diagnostic.fix))
    return sorted(problems, key=lambda problem: problem.line or 0)
