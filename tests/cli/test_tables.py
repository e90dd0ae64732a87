"""Tables and long lines on screens of any width."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.table import Table
from rich.text import Text

from sgevents_core.cli.tables import print_table, wrapped

ERROR = "OSError: there is no disk, and nobody who could put one in"
ROWS = [("4711", "studio-fox", "2026-01-31 12:00", ERROR), ("9", "a", "2026-01-31 12:01", "short")]


def table(rows: Sequence[tuple[str, ...]] = ROWS) -> Table:
    """A table with columns of names and one of sentences."""
    made = Table(box=None, pad_edge=False)
    made.add_column("#", no_wrap=True, justify="right")
    made.add_column("plugin", no_wrap=True)
    made.add_column("when", no_wrap=True)
    made.add_column("error")
    for row in rows:
        made.add_row(*map(Text, row))
    return made


def shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int | None
) -> list[str]:
    """The lines printed for a screen of a width; None for no screen."""
    if width is None:
        monkeypatch.delenv("COLUMNS", raising=False)
    else:
        monkeypatch.setenv("COLUMNS", str(width))
    print_table(table())
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("width", [None, 120])
def test_what_fits_is_on_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int | None
) -> None:
    """A wide screen is used; a pipe has a line for each row, to be searched."""
    assert shown(capsys, monkeypatch, width) == [
        "   #  plugin      when              error",
        f"4711  studio-fox  2026-01-31 12:00  {ERROR}",
        "   9  a           2026-01-31 12:01  short",
    ]


def test_sentences_are_broken_beside_the_other_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While enough room is left for them."""
    assert shown(capsys, monkeypatch, 80) == [
        "   #  plugin      when              error",
        "4711  studio-fox  2026-01-31 12:00  OSError: there is no disk, and nobody who",
        "                                    could put one in",
        "   9  a           2026-01-31 12:01  short",
    ]


def test_sentences_go_below_their_row(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the room beside it would be too narrow."""
    assert shown(capsys, monkeypatch, 50) == [
        "   #  plugin      when",
        "4711  studio-fox  2026-01-31 12:00",
        "    OSError: there is no disk, and nobody who",
        "    could put one in",
        "   9  a           2026-01-31 12:01",
        "    short",
    ]


def test_very_narrow_screen_gets_records(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Titles before values, and a blank line between two rows."""
    assert shown(capsys, monkeypatch, 30)[:7] == [
        "#       4711",
        "plugin  studio-fox",
        "when    2026-01-31 12:00",
        "error   OSError: there is no",
        "        disk, and nobody who",
        "        could put one in",
        "",
    ]


def plugins_shown(capsys: pytest.CaptureFixture[str], names: Sequence[str]) -> list[str]:
    """The lines of a table without sentences, on the screen that COLUMNS says."""
    made = Table(box=None, pad_edge=False)
    for title in ("plugin", "lane", "state", "behind", "dead letters"):
        made.add_column(title, no_wrap=True)
    for name in names:
        made.add_row(*map(Text, (name, "default", "active", "4000 events, 27 min", "1")))
    print_table(made)
    return capsys.readouterr().out.splitlines()


def test_one_long_name_does_not_make_records_of_all_rows(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It reaches into the next columns, whose cells begin in the line below."""
    monkeypatch.setenv("COLUMNS", "80")
    assert plugins_shown(capsys, ["bad", "very-long-plugin-name-of-a-studio"]) == [
        "plugin                        lane     state   behind               dead letters",
        "bad                           default  active  4000 events, 27 min  1",
        "very-long-plugin-name-of-a-studio",
        "                              default  active  4000 events, 27 min  1",
    ]


def test_name_longer_than_the_screen_makes_records(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is cut off: it can be copied."""
    monkeypatch.setenv("COLUMNS", "80")
    assert plugins_shown(capsys, ["n" * 90])[:2] == ["plugin", " " * 14 + "n" * 90]


WORD = st.text("abcxyz-", min_size=1, max_size=8)


@given(
    st.lists(st.tuples(WORD, WORD, WORD, st.lists(WORD, max_size=12).map(" ".join)), max_size=4),
    st.integers(1, 120),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_word_is_broken_and_none_is_lost(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    rows: list[tuple[str, ...]],
    width: int,
) -> None:
    """Whatever is shown on whatever screen; no line is longer than it has to be."""
    monkeypatch.setenv("COLUMNS", str(width))
    print_table(table(rows))
    printed = capsys.readouterr().out
    printed_words = printed.split()
    for row in rows:
        for word in " ".join(row).split():
            assert word in printed_words
    longest = max((len(line) for line in printed.splitlines()), default=0)
    assert longest <= max(width, 8 + len("plugin  "))


def test_long_line_is_broken_for_a_screen_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the lines after the first indented; in a pipe it stays one."""
    monkeypatch.setenv("COLUMNS", "30")
    assert wrapped(ERROR) == (
        "OSError: there is no disk, and\n    nobody who could put one\n    in"
    )
    monkeypatch.delenv("COLUMNS")
    assert wrapped(ERROR) == ERROR
