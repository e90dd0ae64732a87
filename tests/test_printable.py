"""Text from outside shows every character, and controls nothing."""

from __future__ import annotations

import json
import unicodedata

import pytest
import tomli
from hypothesis import given
from hypothesis import strategies as st

from sgevents_core.printable import (
    counted,
    escaped_json,
    escaped_toml,
    lines,
    one_line,
    wants_colours,
)

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=30)
KEPT = {"\u200c", "\u200d"}
"""Joiners, without which Persian or an emoji of a family cannot be written."""
VISIBLE = set(
    "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd"
)
"""Of category Cf all the same: signs that are seen."""
NOT_IN_UNICODE_14 = range(0x13430, 0x13460)


def is_plain(text: str) -> bool:
    """Whether nothing in the text controls, reorders, hides or breaks what is shown."""
    hidden = [
        char
        for char in text
        if unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"}
        and char not in KEPT | VISIBLE
        and ord(char) not in NOT_IN_UNICODE_14
        and not 0x1BCA0 <= ord(char) <= 0x1BCA3
        and not 0x1D173 <= ord(char) <= 0x1D17A
    ]
    return not hidden


@given(ANY_TEXT)
def test_one_line_is_one_plain_line(text: str) -> None:
    """Whatever comes, the result is one line that UTF-8 holds and nothing is hidden in."""
    shown = one_line(text)
    assert is_plain(shown)
    assert len(f"{shown}|".splitlines()) == 1
    shown.encode()


@given(ANY_TEXT)
def test_lines_keep_newlines_and_tabs_alone(text: str) -> None:
    """What is left besides them is plain, and each line after the first is indented."""
    shown = lines(text, indent="  > ")
    assert is_plain(shown.replace("\n", "").replace("\t", ""))
    assert all(line.startswith("  > ") for line in shown.split("\n")[1:])


@given(st.text(max_size=30))
def test_json_means_the_same(text: str) -> None:
    """JSON that was escaped is read as the same value, and is one plain line."""
    whole = escaped_json(json.dumps({"text": text}, ensure_ascii=False))
    assert is_plain(whole)
    assert json.loads(whole) == {"text": text}


@given(st.text(max_size=30))
def test_toml_means_the_same(text: str) -> None:
    """So is a basic string of TOML."""
    whole = escaped_toml(text.replace("\\", "\\\\").replace('"', '\\"'))
    assert is_plain(whole)
    assert tomli.loads(f'key = "{whole}"') == {"key": text}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Grüße, 世界 👩‍👧", "Grüße, 世界 👩‍👧"),
        ("two\nlines\tand\r", r"two\nlines\tand\r"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\x9b31m", r"\x9b31m"),
        ("gpj.\u202egnp", r"gpj.\u202egnp"),
        ("zero\u200bwidth", r"zero\u200bwidth"),
        ("\U000e0041", r"\U000e0041"),
        ("\ud800", r"\ud800"),
        ("a\u3000b\xa0c", "a\u3000b\xa0c"),
    ],
)
def test_characters_are_shown_by_name(text: str, shown: str) -> None:
    """Words of all languages stay; what cannot be seen is shown as Python writes it."""
    assert one_line(text) == shown


def test_anything_can_be_shown() -> None:
    """A number, a path, an error: as `str` has it."""
    assert one_line(4711) == "4711"
    assert one_line(ValueError("a\nb")) == r"a\nb"


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [({}, True), ({"NO_COLOR": ""}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)],
)
def test_colours_can_be_refused(environment: dict[str, str], wanted: bool) -> None:
    """By `NO_COLOR`, if it is not empty, and by a terminal that has none."""
    assert wants_colours(environment) is wanted


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('["a\u202eb",\n 1]', '["a\\u202eb",\n 1]'),
        ('"\U000e0041"', '"\\udb40\\udc41"'),
        ('"\ud800"', '"\\ud800"'),
        ('"Grüße"', '"Grüße"'),
        ('"\x7f"', '"\\u007f"'),
    ],
)
def test_json_shows_every_character(text: str, shown: str) -> None:
    """Its lines stay; what cannot be seen is written as JSON does, in halves of a pair."""
    assert escaped_json(text) == shown


@pytest.mark.parametrize(
    ("count", "said"), [(0, "0 events"), (1, "1 event"), (2, "2 events"), (-1, "-1 events")]
)
def test_counts_have_the_right_noun(count: int, said: str) -> None:
    """One event, two events; and entries where no `s` makes them."""
    assert counted(count, "event") == said
    assert counted(2, "entry", "entries") == "2 entries"
    assert counted(1, "entry", "entries") == "1 entry"
