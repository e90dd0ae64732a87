"""The remarks about a plugin file, one for each thing to know."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, TypeAlias

RemarkKind: TypeAlias = Literal[
    "python 2",
    "broken",
    "missing module",
    "main thread",
    "key",
    "filter",
    "differs",
    "environment",
    "helper",
]
STOPPING: Final[frozenset[RemarkKind]] = frozenset({"python 2", "broken", "missing module"})
"""Kinds of remarks because of which a file does not load."""


class Remark(NamedTuple):
    """One remark about a plugin file.

    Args:
        kind: The kind of remark.
        line: Its line; 0 if it is about the file.
        text: The remark, without any secret.
    """

    kind: RemarkKind
    line: int
    text: str
