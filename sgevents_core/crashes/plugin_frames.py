"""Reducing a traceback to a plugin's frames: the frames that led to its code help nobody."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

_FRAME_LINE: Final = re.compile(r'^  File "(.*)", line \d+')
_RECENT_FIRST: Final = "most recent call first"
_PACKAGE_FOLDER: Final = f"{Path(__file__).resolve().parent.parent}/"
_MACHINERY_PATH: Final = re.compile(
    r"^<frozen (importlib|runpy)|^<string>$|/(importlib|importlib_metadata|click)/[\w/]+\.py$"
    r"|/(threading|functools|contextlib)\.py$|/bin/sgevents$"
)


def keep_plugin_frames(traceback_text: str) -> str:
    """Return a traceback from the plugin's first frame on, unchanged if no frame is a plugin's.

    Args:
        traceback_text: As written by `traceback` or `faulthandler`, the most recent call last or
            first.
    """
    head_lines, frames = _split_traceback(traceback_text)
    if _RECENT_FIRST in "".join(head_lines):
        kept_frames = _drop_outer_frames(frames[::-1])[::-1]
    else:
        kept_frames = _drop_outer_frames(frames)
    return (
        "\n".join([*head_lines, *kept_frames]) + ("\n" if traceback_text.endswith("\n") else "")
        if kept_frames
        else traceback_text
    )


def _split_traceback(traceback_text: str) -> tuple[list[str], list[str]]:
    """Return the lines before the first frame, and the frames with their source lines."""
    head_lines: list[str] = []
    frames: list[str] = []
    for line in traceback_text.splitlines():
        if _FRAME_LINE.match(line):
            frames.append(line)
        elif frames:
            frames[-1] += f"\n{line}"
        else:
            head_lines.append(line)
    return head_lines, frames


def _drop_outer_frames(frames: list[str]) -> list[str]:
    """Return the frames, outermost first, from the first one outside this package."""
    first_index = next(
        (index for index, frame in enumerate(frames) if not _is_machinery(frame)), len(frames)
    )
    return frames[first_index:]


def _is_machinery(frame: str) -> bool:
    match = _FRAME_LINE.match(frame)
    source_path = match[1] if match else ""
    return (
        source_path.startswith(_PACKAGE_FOLDER) or _MACHINERY_PATH.search(source_path) is not None
    )
