"""The types of what plugin authors import, as mypy sees them, strict, from another package."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent, indent

import pytest
from mypy import api
from typed_samples import ACCEPTED, GIVEN, IMPORTS, REFUSED, TYPES


class Checked:
    """One run of mypy over all samples, each in a function of its own.

    Args:
        folder: Where the module is written to.
    """

    def __init__(self, folder: Path) -> None:
        self._lines: list[str] = IMPORTS.splitlines()
        self._places: dict[str, tuple[int, int]] = {}
        for name, text in self._samples():
            self._add(name, text)
        file = folder / "samples.py"
        file.write_text("\n".join(self._lines) + "\n")
        options = ["--strict", "--python-version=3.11", "--config-file=", "--no-error-summary"]
        told, broken, _ = api.run([*options, f"--cache-dir={folder / 'cache'}", str(file)])
        assert not broken
        self._told = [
            (int(found[1]), found[2])
            for line in told.splitlines()
            if (found := re.match(r".*samples\.py:(\d+): (.*)", line))
        ]

    def of(self, name: str) -> list[str]:
        """What mypy says about a sample."""
        first, last = self._places[name]
        return [words for line, words in self._told if first <= line <= last]

    @staticmethod
    def _samples() -> list[tuple[str, str]]:
        typed = {text: f"assert_type({text}, {kind})" for text, kind in TYPES.items()}
        refused = {name: text for name, (text, _) in REFUSED.items()}
        return [*typed.items(), *ACCEPTED.items(), *refused.items()]

    def _add(self, name: str, text: str) -> None:
        first = len(self._lines) + 1
        self._lines.append(f"def sample_{first}({GIVEN}) -> None:")
        self._lines += indent(dedent(text).strip(), "    ").splitlines()
        self._places[name] = (first, len(self._lines))


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> Checked:
    """All samples, checked once."""
    return Checked(tmp_path_factory.mktemp("types"))


@pytest.mark.parametrize("expression", TYPES)
def test_what_authors_are_given_has_a_type(checked: Checked, expression: str) -> None:
    """An editor knows what it is; `Any` only where the site or the plugin decides."""
    assert checked.of(expression) == []


@pytest.mark.parametrize("sample", ACCEPTED)
def test_right_uses_are_accepted(checked: Checked, sample: str) -> None:
    """Strict mypy has nothing to say about what the documentation lets authors write."""
    assert checked.of(sample) == []


@pytest.mark.parametrize("sample", REFUSED)
def test_wrong_uses_are_errors(checked: Checked, sample: str) -> None:
    """A mistake is seen where it is typed, before anything runs."""
    (told,) = [words for words in checked.of(sample) if words.startswith("error: ")]
    assert told.endswith(f"  [{REFUSED[sample][1]}]")
