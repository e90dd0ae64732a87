"""The locator finds the line of every key of a TOML text."""

from __future__ import annotations

from typing import Any

import pytest
import tomli
from hypothesis import given
from hypothesis import strategies as st

from sgevents_core.settings.key_lines import KeyLocator, KeyPath

TEXT = '''# a comment with [brackets] = "and quotes
top = 1
dotted . "quoted.key" = """several
[lines]
"""  # and a comment

[table]   # comment
list = [ # one
  1, # two ]
  [2, "]"],
  {a = 1, b.c = [3]},
]
empty = []
nothing = {}
when = 2020-01-01 10:00:00Z

[[groups]]
name = 'first'
[groups.inner]
key = true
[[groups]]
name = "second \\" quote"
[[groups.deep]]
x = \'\'\'it's\'\'\'
[outer.'in.ner']
z = 1.5e3'''


@pytest.mark.parametrize(
    ("where", "line"),
    [
        (("top",), 2),
        (("dotted", "quoted.key"), 3),
        (("table",), 7),
        (("table", "list"), 8),
        (("table", "list", 0), 9),
        (("table", "list", 1, 1), 10),
        (("table", "list", 2, "b", "c", 0), 11),
        (("table", "empty"), 13),
        (("table", "nothing"), 14),
        (("table", "when"), 15),
        (("groups",), 17),
        (("groups", 0, "name"), 18),
        (("groups", 0, "inner", "key"), 20),
        (("groups", 1), 21),
        (("groups", 1, "name"), 22),
        (("groups", 1, "deep", 0, "x"), 24),
        (("outer",), 25),
        (("outer", "in.ner", "z"), 26),
    ],
)
def test_every_kind_of_key_is_found(where: KeyPath, line: int) -> None:
    """Tables, arrays of tables, dotted and quoted keys, inline tables, and values over lines."""
    assert KeyLocator(TEXT).line_of(where) == line


def test_a_key_that_is_not_there_is_placed_at_what_is_around_it() -> None:
    """A missing key has the line of its table; something wholly unknown has none."""
    locator = KeyLocator(TEXT)
    assert locator.line_of(("table", "missing")) == 7
    assert locator.line_of(("groups", 1, "lane")) == 21
    assert locator.line_of(("unknown",)) is None
    assert KeyLocator("").line_of(("a",)) is None


KEYS = st.text("ab.-#= ]\"'é", min_size=1, max_size=4)
VALUES = st.recursive(
    st.integers(0, 9) | st.booleans() | st.text("x\"'#[]{},\n\\ ", max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)


@given(st.lists(st.tuples(KEYS, st.dictionaries(KEYS, VALUES, max_size=4)), max_size=4))
def test_lines_are_right_for_generated_tables(tables: list[tuple[str, dict[str, Any]]]) -> None:
    """Whatever the keys and values are, every key of an array of tables has its own line."""
    lines: list[str] = []
    expected: dict[KeyPath, int] = {}
    counts: dict[str, int] = {}
    for name, table in tables:
        at = counts[name] = counts.get(name, -1) + 1
        lines.append(f"[[ {quoted(name)} ]] # [comment]")
        expected[name, at] = len(lines)
        for key, value in table.items():
            lines.append(f"{quoted(key)} = {written(value)}  # {key!r}")
            expected[name, at, key] = len(lines)
    toml_text = "\n".join(lines)
    tomli.loads(toml_text)
    locator = KeyLocator(toml_text)
    assert {where: locator.line_of(where) for where in expected} == expected


def quoted(toml_text: str) -> str:
    """Write a string as TOML."""
    escaped = toml_text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def written(value: Any) -> str:
    """Write a value as TOML, on one line."""
    if isinstance(value, dict):
        pairs = [f"{quoted(key)} = {written(inner)}" for key, inner in value.items()]
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, list):
        return f"[{', '.join(written(inner) for inner in value)}]"
    return quoted(value) if isinstance(value, str) else str(value).lower()
