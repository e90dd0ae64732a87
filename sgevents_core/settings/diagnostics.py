"""Problems with the values of a configuration, collected while they are read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from sgevents_core.errors import Problem
from sgevents_core.settings.key_lines import KeyLocator, KeyPath
from sgevents_core.settings.spelling import dotted_key


class InvalidValueError(Exception):
    """A value that cannot be used: what is wrong, and the fix. Becomes a `Diagnostic`."""

    def __init__(self, message: str, fix: str) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix


class Diagnostic(NamedTuple):
    """One problem in a table: where it is, what is wrong, how to fix it."""

    key_path: KeyPath
    message: str
    fix: str


class Diagnostics:
    """The problems and warnings found so far."""

    def __init__(self) -> None:
        self.problems: list[Diagnostic] = []
        self.warnings: list[Diagnostic] = []

    def add_problem(self, key_path: KeyPath, message: str, fix: str) -> None:
        """Record that the value at `key_path` cannot be used."""
        self.problems.append(Diagnostic(key_path, message, fix))

    def add_warning(self, key_path: KeyPath, message: str, fix: str) -> None:
        """Record that the value at `key_path` is allowed but probably a mistake."""
        self.warnings.append(Diagnostic(key_path, message, fix))

    def are_valid(self, *key_paths: KeyPath) -> bool:
        """Return whether there is no problem at any of `key_paths`."""
        return not any(known_problem.key_path in key_paths for known_problem in self.problems)


@dataclass(frozen=True, slots=True)
class ReadingContext:
    """The context needed to read a value: its key, its base folder and the problems so far."""

    key_path: KeyPath
    base_folder: Path
    """Where relative paths start: the folder of the configuration file."""
    diagnostics: Diagnostics
    references_required: bool
    """Whether a reference to a missing value is a problem."""

    def assignment(self, value: str) -> str:
        """Return the line that gives the key this value, for the fix; in a list the value alone."""
        return assignment(self.key_path, value)

    def add_problem(self, message: str, fix: str, *inner_path: str | int) -> None:
        """Record a problem with the value, or with the part of it at `inner_path`."""
        self.diagnostics.add_problem((*self.key_path, *inner_path), message, fix)

    def add_warning(self, message: str, fix: str, *inner_path: str | int) -> None:
        """Record that the value, or the part of it at `inner_path`, is probably a mistake."""
        self.diagnostics.add_warning((*self.key_path, *inner_path), message, fix)


def assignment(key_path: KeyPath, value: str) -> str:
    """Return the line that gives the last key this value; in a list the value alone."""
    return value if isinstance(key_path[-1], int) else f"{key_path[-1]} = {value}"


def locate_problems(
    diagnostics: Iterable[Diagnostic],
    config_path: Path,
    key_locator: KeyLocator,
    table_path: KeyPath = (),
) -> list[Problem]:
    """Return diagnostics with their lines in `config_path`, in the order of the lines.

    Args:
        diagnostics: The problems found.
        config_path: The configuration file.
        key_locator: The lines of its keys.
        table_path: The table in it that was read.
    """
    problems = []
    for diagnostic in diagnostics:
        key_path = (*table_path, *diagnostic.key_path)
        line, key = key_locator.line_of(key_path), dotted_key(key_path)
        problems.append(Problem(config_path, line, key, diagnostic.message, diagnostic.fix))
    return sorted(problems, key=lambda problem: problem.line or 0)
