"""Explain to its author why a file is not valid TOML.

tomli reports where a file stops being TOML, and the reason only as text. The commonest reasons are
explained here; any other is passed on unchanged.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from typing import Final, NamedTuple

from sgevents_core.settings.spelling import dotted_key

_DECLARED_TWICE_PATTERN: Final = re.compile(r"Cannot declare (\(.*\)) twice")
_OVERWRITE_PATTERN: Final = re.compile(r"Cannot (?:overwrite a value|mutate immutable namespace.*)")
_BACKSLASH_PATTERN: Final = re.compile(r"Unescaped '\\' in a string|Invalid hex value")
_KEY_PATTERN: Final = re.compile(r"\s*([A-Za-z0-9_.\"' -]+?)\s*=")
_BARE_TEXT_PATTERN: Final = re.compile(
    r"\s*([A-Za-z0-9_.-]+)\s*=\s*([A-Za-z/~$][^#\"']*?)\s*(?:#.*)?"
)
_GENERAL_FIX: Final = "correct the TOML at this place, or on the line before it"


class Explanation(NamedTuple):
    """The problem, and the fix."""

    message: str
    fix: str


def explain_toml_error(tomli_reason: str, toml_text: str, line_number: int) -> Explanation:
    """Return an explanation of tomli's reason.

    Args:
        tomli_reason: What tomli says, without the place.
        toml_text: The whole file.
        line_number: The line it names, counted from 1.
    """
    file_lines = toml_text.splitlines()
    faulty_line = file_lines[line_number - 1] if line_number <= len(file_lines) else ""
    for reason_pattern, explain_reason in _EXPLANATIONS:
        if reason_match := reason_pattern.fullmatch(tomli_reason):
            explanation = explain_reason(reason_match, file_lines, faulty_line, line_number)
            if explanation is not None:
                return explanation
    return Explanation(tomli_reason, _GENERAL_FIX)


def _declared_twice(
    reason_match: re.Match[str], file_lines: list[str], faulty_line: str, line_number: int
) -> Explanation | None:
    try:
        name = dotted_key(ast.literal_eval(reason_match[1]))
    except (ValueError, SyntaxError):
        return None
    header_pattern = re.compile(rf"\s*\[\s*{re.escape(name)}\s*\]")
    first_line = next(
        (
            header_line
            for header_line, file_line in enumerate(file_lines, 1)
            if header_pattern.match(file_line) and header_line != line_number
        ),
        None,
    )
    if first_line is None:
        return Explanation(f"the table {name} is there twice", "write each table once")
    fix = f"move these keys below [{name}] at line {first_line}, and remove this line"
    return Explanation(f"the table [{name}] is there twice", fix)


def _set_twice(
    reason_match: re.Match[str], file_lines: list[str], faulty_line: str, line_number: int
) -> Explanation | None:
    key_match = _KEY_PATTERN.match(faulty_line)
    if key_match is None:
        return Explanation("this table or key is there twice", "write each once")
    return Explanation(f"{key_match[1]} is set twice in this table", "remove one of the two lines")


def _backslash(
    reason_match: re.Match[str], file_lines: list[str], faulty_line: str, line_number: int
) -> Explanation:
    fix = r"write it in single quotes, 'C:\folder', or each \ as \\"
    return Explanation(r"a \ in double quotes means something else", fix)


def _no_value(
    reason_match: re.Match[str], file_lines: list[str], faulty_line: str, line_number: int
) -> Explanation | None:
    bare_match = _BARE_TEXT_PATTERN.fullmatch(faulty_line)
    if bare_match is None:
        return None
    return Explanation(
        f"the value of {bare_match[1]} is not TOML", f'put text in quotes: {bare_match[1]} = "..."'
    )


_EXPLANATIONS: Final[
    tuple[
        tuple[re.Pattern[str], Callable[[re.Match[str], list[str], str, int], Explanation | None]],
        ...,
    ]
] = (
    (_DECLARED_TWICE_PATTERN, _declared_twice),
    (_OVERWRITE_PATTERN, _set_twice),
    (_BACKSLASH_PATTERN, _backslash),
    (re.compile(r"Invalid value"), _no_value),
)
