"""Tables on a screen that is too narrow for them."""

from __future__ import annotations

import pytest
from rich.table import Table
from rich.text import Text

from sgevents_core.cli.tables import print_table

ERROR = "OSError: there is no disk, and nobody who could put one in"


@pytest.fixture
def table() -> Table:
    """A table with a column of names and one of words."""
    made = Table(box=None, pad_edge=False)
    made.add_column("plugin", no_wrap=True)
    made.add_column("when", no_wrap=True)
    made.add_column("error")
    made.add_row(
        Text("studio-fox"),
        Text("2026-01-31 12:00"),
        Text(ERROR),
    )
    return made


def lines(capsys: pytest.CaptureFixture[str]) -> list[list[str]]:
    """What was printed, a list of words for each line."""
    return [line.split() for line in capsys.readouterr().out.splitlines()]


def test_no_word_is_broken(
    table: Table, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names stay whole, and texts are broken between words, however narrow it is."""
    monkeypatch.setenv("COLUMNS", "10")
    print_table(table)
    shown = lines(capsys)
    assert shown[1][:4] == ["studio-fox", "2026-01-31", "12:00", "OSError:"]
    words = [word for line in shown[1:] for word in line]
    assert words[3:] == ERROR.split()
    assert len(shown) == 3


def test_what_fits_is_on_one_line(
    table: Table, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A screen that is wide enough is used."""
    monkeypatch.setenv("COLUMNS", "100")
    print_table(table)
    assert len(lines(capsys)) == 2
