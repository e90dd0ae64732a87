"""Describe why a plugin's file cannot be parsed, in words that lead to the fix."""

from __future__ import annotations

from typing import NamedTuple

from sgevents_core.classic.python_two import old_syntax


class SourceProblem(NamedTuple):
    """Why a file cannot be parsed.

    Args:
        line: The line.
        text: The reason.
        is_python_two: Whether Python 2 can parse it.
    """

    line: int
    text: str
    is_python_two: bool = False


def problem_of(parse_error: Exception, file_content: bytes) -> SourceProblem:
    """Return why a file cannot be parsed.

    Args:
        parse_error: What parsing raised.
        file_content: The file's bytes.
    """
    if not isinstance(parse_error, SyntaxError):
        return SourceProblem(1, str(parse_error) or type(parse_error).__name__)
    line_number = parse_error.lineno or 1
    old_construct = old_syntax(parse_error)
    if old_construct is not None:
        return SourceProblem(line_number, old_construct, is_python_two=True)
    undecodable_line = _undecodable_line(file_content)
    if "unicode error" in parse_error.msg and undecodable_line:
        advice = (
            "save it as UTF-8, or name its encoding in the first line: # -*- coding: cp1252 -*-"
        )
        return SourceProblem(undecodable_line, f"it is not UTF-8; {advice}")
    return SourceProblem(line_number, parse_error.msg or "invalid syntax")


def _undecodable_line(file_content: bytes) -> int:
    """Return the first line that is not UTF-8; 0 if all are."""
    try:
        file_content.decode()
    except UnicodeDecodeError as decode_error:
        return file_content.count(b"\n", 0, decode_error.start) + 1
    return 0
