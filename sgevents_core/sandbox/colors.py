"""Colours as a site stores them: decimal red, green and blue, or the colour of a pipeline step."""

from __future__ import annotations

import re
from typing import Final

PIPELINE_STEP_COLOR: Final = "pipeline_step"
"""The colour of a Task that uses its pipeline step's."""

NAMED_TASK_COLORS: Final = {
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


def stored_color(color_text: str, *, of_task: bool) -> str:
    """Return a colour in the stored form.

    Args:
        color_text: The colour as written, such as "222,0,0".
        of_task: Whether names and `PIPELINE_STEP_COLOR` are accepted, as for a Task.

    Raises:
        ValueError: It is not a valid colour; the message says why.
    """
    if of_task and (color_text == PIPELINE_STEP_COLOR or color_text.lower() in NAMED_TASK_COLORS):
        return NAMED_TASK_COLORS.get(color_text.lower(), color_text)
    components = color_text.split(",")
    if len(components) == 1 and color_text:
        raise ValueError(f"Value is not a valid color token: [{color_text}]")
    if len(components) != 3:
        raise ValueError(f"The value is not a valid color expression: [{color_text}]")
    if not all(re.fullmatch(r"\d+", component) for component in components):
        raise ValueError(f"At least one component value is not valid: [{color_text}]")
    if not all(int(component) <= 255 for component in components):
        raise ValueError(f"At least one component value is out of range: [{color_text}]")
    return color_text
