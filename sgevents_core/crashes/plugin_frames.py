"""Reducing a traceback to a plugin's frames: the frames that led to its code help nobody."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

_FRAME: Final = re.compile(r'^  File "(.*)", line \d+')
_RECENT_FIRST: Final = "most recent call first"
_PACKAGE: Final = f"{Path(__file__).resolve().parent.parent}/"
_MACHINERY: Final = re.compile(
    r"^<frozen (importlib|runpy)|^<string>$|/(importlib|importlib_metadata|click)/[\w/]+\.py$"
    r"|/(threading|functools|contextlib)\.py$|/bin/sgevents$"
)


def plugin_frames(trace: str) -> str:
    """Return a traceback from the plugin's first frame on, unchanged if no frame is a plugin's.

    Args:
        trace: As written by `traceback` or `faulthandler`, the most recent call last or first.
    """
    head, frames = _parts(trace)
    if _RECENT_FIRST in "".join(head):
        kept = _without_outer(frames[::-1])[::-1]
    else:
        kept = _without_outer(frames)
    return "\n".join([*head, *kept]) + ("\n" if trace.endswith("\n") else "") if kept else trace


def _parts(trace: str) -> tuple[list[str], list[str]]:
    """Return the lines before the first frame, and the frames with their source lines."""
    head: list[str] = []
    frames: list[str] = []
    for line in trace.splitlines():
        if _FRAME.match(line):
            frames.append(line)
        elif frames:
            frames[-1] += f"\n{line}"
        else:
            head.append(line)
    return head, frames


def _without_outer(frames: list[str]) -> list[str]:
    """Return the frames, outermost first, from the first one outside this package."""
    start = next((at for at, frame in enumerate(frames) if not _is_machinery(frame)), len(frames))
    return frames[start:]


def _is_machinery(frame: str) -> bool:
    found = _FRAME.match(frame)
    path = found[1] if found else ""
    return path.startswith(_PACKAGE) or _MACHINERY.search(path) is not None
