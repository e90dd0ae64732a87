"""Colours as a site stores them: decimal red, green and blue, or the colour of a pipeline step."""

from __future__ import annotations

import re
from typing import Final

OF_THE_STEP: Final = "pipeline_step"
"""The colour of a Task that uses its pipeline step's."""

NAMED: Final = {
    "blue": "2,149,216",
    "orange": "253,141,3",
    "pink": "254,125,179",
    "red": "253,1,0",
    "green": "29,215,46",
    "purple": "183,0,188",
    "grey": "129,129,129",
    "black": "45,45,45",
}
"""Former names of a Task's colours, and the colours they are stored as."""


def color(text: str, *, steps: bool) -> str:
    """Return a colour in the stored form.

    Args:
        text: The colour as written, such as "222,0,0".
        steps: Whether names and `OF_THE_STEP` are accepted, as for a Task.

    Raises:
        ValueError: It is not a valid colour; the message says why.
    """
    if steps and (text == OF_THE_STEP or text.lower() in NAMED):
        return NAMED.get(text.lower(), text)
    parts = text.split(",")
    if len(parts) == 1 and text:
        raise ValueError(f"Value is not a valid color token: [{text}]")
    if len(parts) != 3:
        raise ValueError(f"The value is not a valid color expression: [{text}]")
    if not all(re.fullmatch(r"\d+", part) for part in parts):
        raise ValueError(f"At least one component value is not valid: [{text}]")
    if not all(int(part) <= 255 for part in parts):
        raise ValueError(f"At least one component value is out of range: [{text}]")
    return text
