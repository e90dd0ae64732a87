"""What is wrong with a file that is not TOML, and what helps, in words for the person who wrote it.

tomli says where a file stops being TOML and why, the latter only as text. The commonest reasons are
explained here; any other is passed on as it is.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from typing import Final, NamedTuple

from sgevents_core.settings.spelling import dotted

_TWICE: Final = re.compile(r"Cannot declare (\(.*\)) twice")
_OVERWRITES: Final = re.compile(r"Cannot (?:overwrite a value|mutate immutable namespace.*)")
_BACKSLASH: Final = re.compile(r"Unescaped '\\' in a string|Invalid hex value")
_KEY: Final = re.compile(r"\s*([A-Za-z0-9_.\"' -]+?)\s*=")
_BARE_TEXT: Final = re.compile(r"\s*([A-Za-z0-9_.-]+)\s*=\s*([A-Za-z/~$][^#\"']*?)\s*(?:#.*)?")
_ANY_FIX: Final = "correct the TOML at this place, or on the line before it"


class Explained(NamedTuple):
    """What is wrong, and what to do."""

    message: str
    fix: str


def explained(reason: str, text: str, line: int) -> Explained:
    """Return what tomli's reason means here.

    Args:
        reason: What tomli says, without the place.
        text: The whole file.
        line: The line it names, counted from 1.
    """
    lines = text.splitlines()
    here = lines[line - 1] if line <= len(lines) else ""
    for pattern, explain in _EXPLANATIONS:
        if match := pattern.fullmatch(reason):
            explanation = explain(match, lines, here, line)
            if explanation is not None:
                return explanation
    return Explained(reason, _ANY_FIX)


def _declared_twice(
    match: re.Match[str], lines: list[str], here: str, line: int
) -> Explained | None:
    try:
        name = dotted(ast.literal_eval(match[1]))
    except (ValueError, SyntaxError):
        return None
    header = re.compile(rf"\s*\[\s*{re.escape(name)}\s*\]")
    first = next((n for n, one in enumerate(lines, 1) if header.match(one) and n != line), None)
    if first is None:
        return Explained(f"the table {name} is there twice", "write each table once")
    fix = f"move these keys below [{name}] at line {first}, and remove this line"
    return Explained(f"the table [{name}] is there twice", fix)


def _set_twice(match: re.Match[str], lines: list[str], here: str, line: int) -> Explained | None:
    key = _KEY.match(here)
    if key is None:
        return Explained("this table or key is there twice", "write each once")
    return Explained(f"{key[1]} is set twice in this table", "remove one of the two lines")


def _backslash(match: re.Match[str], lines: list[str], here: str, line: int) -> Explained:
    fix = r"write it in single quotes, 'C:\folder', or each \ as \\"
    return Explained(r"a \ in double quotes means something else", fix)


def _no_value(match: re.Match[str], lines: list[str], here: str, line: int) -> Explained | None:
    bare = _BARE_TEXT.fullmatch(here)
    if bare is None:
        return None
    return Explained(
        f"the value of {bare[1]} is not TOML", f'put text in quotes: {bare[1]} = "..."'
    )


_EXPLANATIONS: Final[
    tuple[
        tuple[re.Pattern[str], Callable[[re.Match[str], list[str], str, int], Explained | None]],
        ...,
    ]
] = (
    (_TWICE, _declared_twice),
    (_OVERWRITES, _set_twice),
    (_BACKSLASH, _backslash),
    (re.compile(r"Invalid value"), _no_value),
)
