"""The benchmarks themselves: each works, on a small amount, and the page shows what they found."""

from __future__ import annotations

import pytest
from bench import BENCHMARKS, TITLES
from event_rows import KINDS, Log
from measuring import TINY, measure_in_turns
from report import BEGIN, END, PAGE, format_section


@pytest.mark.parametrize("number", BENCHMARKS)
def test_a_benchmark_takes_its_figures(number: int) -> None:
    """Every benchmark finds figures that have a value, each under a name of its own."""
    figures = BENCHMARKS[number].run(TINY)
    assert all(one.benchmark == number and one.measurements for one in figures)
    assert len({one.name for one in figures}) == len(figures) > 0


def test_the_page_shows_what_was_measured() -> None:
    """The page's section of figures is what the benchmarks wrote, and nothing else."""
    text = PAGE.read_text(encoding="utf-8")
    assert text.partition(BEGIN)[2].partition(END)[0].strip() == format_section(TITLES).strip()


def test_measures_are_taken_in_turns() -> None:
    """What is compared is measured alternately, each measure as often first as last."""
    order: list[str] = []

    def noting(name: str) -> dict[str, float]:
        order.append(name)
        return {"clock": 1.0}

    measure_in_turns(2, {"one": lambda: noting("one"), "other": lambda: noting("other")})
    assert order == ["one", "other", "other", "one"]


def test_a_log_finds_the_rows_of_a_range() -> None:
    """The rows between two ids are found, whatever ids are missing."""
    log = Log(len(KINDS) * 3, gap_every=20, hole=1_000)
    ids = list(log)
    assert len(set(ids)) == len(ids)
    assert not [one for one in ids[: len(ids) // 2] if one % 20 == 0]
    assert [log[number] for number in log.numbers_between(15, 1_040)] == [
        one for one in ids if 15 <= one <= 1_040
    ]
