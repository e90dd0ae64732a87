"""The parts of a call that are done once, in a dry run, which keeps nothing of them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from sgevents_core.state.done_parts import DonePart
from sgevents_core.state.opening import open_state


class DryParts:
    """Parts as a replay would find them; those done in the dry run are forgotten with it.

    Args:
        state_folder: The state's folder.
        print_line: Prints a line for people.
    """

    def __init__(self, state_folder: Path, print_line: Callable[[str], object]) -> None:
        self._state_folder = state_folder
        self._print_line = print_line
        self._done_parts: set[DonePart] = set()

    def is_part_done(self, done_part: DonePart) -> bool:
        """Return whether a part is done, in the state or in this dry run."""
        if done_part in self._done_parts:
            return True
        with closing(open_state(self._state_folder).reader()) as state_reader:
            return state_reader.is_part_done(done_part)

    def note_part_done(self, done_part: DonePart) -> None:
        """Print that the part would be recorded as done."""
        self._done_parts.add(done_part)
        self._print_line(f"    would record {done_part.name!r} as done")
