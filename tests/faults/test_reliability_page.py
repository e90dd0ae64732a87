"""The table of faults: it is what the tests measured, and says how to be written anew."""

from __future__ import annotations

from pathlib import Path

import pytest
from reliability import COMMAND, GROUPS, PAGE, Reliability, Row, rows_of, written

TESTS = [file.read_text("utf-8") for file in sorted(Path(__file__).parent.glob("test_*.py"))]
ROW = ("The site", "A fault", "what was done", 3, 0, 0)


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """A page with an introduction and one row."""
    made = tmp_path / "page.md"
    made.write_text(written("# Title\n\nWords.\n", [Row(*ROW[:5], "0")]), "utf-8")
    return made


def test_every_row_of_the_page_has_a_test() -> None:
    """A fault that no test tries any more leaves the page."""
    rows = rows_of(PAGE.read_text("utf-8"))
    assert len(rows) >= 60
    assert [row.fault for row in rows if not any(row.fault in text for text in TESTS)] == []


def test_page_promises_what_it_shows() -> None:
    """Nothing lost in any row; each fault has one row, in the form in which it is written."""
    text = PAGE.read_text("utf-8")
    rows = rows_of(text)
    assert {row.lost for row in rows} == {0}
    assert len({row.fault for row in rows}) == len(rows)
    assert written(text, rows) == text
    assert COMMAND in text


def test_row_that_is_on_the_page_passes(page: Path) -> None:
    """Rows of tests that did not run are left alone."""
    Reliability(page).row(*ROW)
    Reliability(page).finish([])
    assert len(rows_of(page.read_text("utf-8"))) == 1


@pytest.mark.parametrize("row", [("The site", "A fault", "what was done", 4, 0, 0),
                                 ("The state", "A fault", "what was done", 3, 0, 0),
                                 ("The site", "Another", "what was done", 3, 0, 0)])  # fmt: skip
def test_row_that_differs_fails_with_the_command(
    page: Path, row: tuple[str, str, str, int, int, int]
) -> None:
    """The message has the row, and what rewrites the page."""
    with pytest.raises(AssertionError, match=f"{row[1]} .*\nRewrite it: {COMMAND}"):
        Reliability(page).row(*row)


def test_what_was_lost_fails(page: Path) -> None:
    """Also where the page is to be written: it cannot be made to admit a loss."""
    table = Reliability(page, write=True)
    with pytest.raises(AssertionError, match="1 lost"):
        table.row("The site", "A fault", "what was done", 3, 1, 0)


def test_what_was_repeated_fails_beyond_what_is_allowed(page: Path) -> None:
    """Up to that, the page has the window in words and not the number of one run."""
    table = Reliability(page, write=True)
    with pytest.raises(AssertionError, match="3 repeated, 2 allowed"):
        table.row("Crashes", "Kills", "kill -9", 2, 0, 3, allowed=2, window="one a kill")
    table.row("Crashes", "Kills", "kill -9", 2, 0, 1, allowed=2, window="one a kill")
    table.finish(["A fault, Kills"])
    assert rows_of(page.read_text("utf-8"))[1].repeated == "one a kill"


def test_written_page_has_old_and_new_rows_and_its_words(page: Path) -> None:
    """A run of some tests replaces their rows; rows without a test go; groups keep their order."""
    table = Reliability(page, write=True)
    table.row("At every point, and at random", "Schedules", "random ones", 2_000, 0, 0)
    table.row("Gaps in the log", "A gap", "one", 1, 0, 0)
    table.finish(["A fault"])
    text = page.read_text("utf-8")
    assert text.startswith("# Title\n\nWords.\n\n## Gaps in the log\n")
    assert [row.fault for row in rows_of(text)] == ["A gap", "A fault", "Schedules"]
    assert "| Schedules | random ones | 2,000 | 0 | 0 |" in text
    again = Reliability(page, write=True)
    again.row("The site", "New", "what was done", 3, 0, 0)
    again.finish(["A gap"])
    assert [row.fault for row in rows_of(page.read_text("utf-8"))] == ["A gap", "New"]


def test_one_row_a_fault(page: Path) -> None:
    """Two tests cannot report the same one, and a group has to be known."""
    table = Reliability(page)
    table.row(*ROW)
    with pytest.raises(AssertionError, match="two rows"):
        table.row(*ROW)
    with pytest.raises(AssertionError, match="Elsewhere"):
        table.row("Elsewhere", "Other", "what was done", 3, 0, 0)
    assert "Elsewhere" not in GROUPS
