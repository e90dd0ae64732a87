"""The output of the demo: a line per event, on a terminal and in a pipe."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from sgevents_core.cli._demo_promises import Promise
from sgevents_core.cli._demo_studio import GROUPS, PLUGIN_NAMES
from sgevents_core.sandbox.event_log import EventRow

SCREEN_WIDTH: Final = 80
_ID_WIDTH: Final = 9
_LABEL_WIDTH: Final = 21
_AFTER_WIDTH: Final = 7
_COLUMN_WIDTHS: Final = {name: max(map(len, name.split("-"))) + 2 for name in PLUGIN_NAMES}


@dataclass(slots=True)
class ScreenLine:
    """The line for one event, or for several in a row that look the same.

    Args:
        event_row: The (first) event.
        is_late: Whether it became visible after newer ones.
        call_positions: Plugin -> the position of its call for this event, from 1.
        failed_plugins: The plugins that raised.
        seconds_after: Seconds from the event being visible to the end of its last call.
        plugin_messages: What plugins wrote to their logs, with their names.
        event_count: How many events there are.
    """

    event_row: EventRow
    is_late: bool = False
    call_positions: dict[str, int] = field(default_factory=dict)
    failed_plugins: set[str] = field(default_factory=set)
    seconds_after: float = 0.0
    plugin_messages: list[tuple[str, str]] = field(default_factory=list)
    event_count: int = 1

    def looks_like(self, other: ScreenLine) -> bool:
        """Return whether both can be printed as one line."""
        if self.plugin_messages or self.failed_plugins or other.failed_plugins:
            return False
        is_alike = (self.is_late, self.call_positions) == (other.is_late, other.call_positions)
        return is_alike and event_label(self.event_row) == event_label(other.event_row)


class Screen:
    """A printer of the day's events; on a terminal, its last line shows how far behind plugins are.

    Args:
        console: The console to print to.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False)
        self.console.width = min(self.console.width, SCREEN_WIDTH)
        is_ascii_only = not self.console.encoding.lower().startswith("utf")
        marks = (".", "x", "-") if is_ascii_only else ("·", "✗", "─")
        self._not_called_mark, self._failed_mark, self._rule_character = marks
        self._status_line = Text()
        self._live_display = Live(
            self._status_line, console=self.console, transient=True, refresh_per_second=10
        )
        self._pending_line: ScreenLine | None = None

    def __enter__(self) -> Screen:
        if self.console.is_terminal:
            self._live_display.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.print_pending_line()
        self._live_display.stop()

    def print_title(self, text: str, description: str) -> None:
        """Print the demo's title and its purpose."""
        self.console.rule(Text(text, "bold"), characters=self._rule_character)
        self._print_indented(description, 0)
        self.console.print()

    def print_columns(self) -> None:
        """Print the column heads: the groups and plugins in their order."""
        margin = " " * (_ID_WIDTH + _LABEL_WIDTH)
        group_line, first_line, second_line = (Text(margin) for _ in range(3))
        for group, plugins in GROUPS.items():
            column_width = sum(_COLUMN_WIDTHS[plugin_name] for plugin_name in plugins)
            group_line.append(group[: column_width - 1].center(column_width), "bold")
            for plugin_name in plugins:
                upper_part, lower_part = plugin_name.split("-")
                first_line.append(f"{upper_part}-".center(_COLUMN_WIDTHS[plugin_name]), "cyan")
                second_line.append(lower_part.center(_COLUMN_WIDTHS[plugin_name]), "cyan")
        second_line.append("after".rjust(_AFTER_WIDTH), "dim")
        self.console.print(group_line, first_line, second_line, sep="\n")

    def print_scene(self, time_of_day: str, scene_title: str, explanation: str) -> None:
        """Print what happens in the next scene, and what to watch for."""
        self.print_pending_line()
        self.console.print()
        self.console.print(Text(f"{time_of_day}  {scene_title}", "bold"))
        self.print_note(explanation)

    def print_note(self, text: str, style: str = "dim") -> None:
        """Print a sentence between the events."""
        self.print_pending_line()
        self._print_indented(text, 7, style)

    def print_event(self, line: ScreenLine) -> None:
        """Print an event; one that looks like the previous one is merged into its line."""
        pending = self._pending_line
        if pending is not None and pending.looks_like(line):
            pending.event_count += 1
            pending.seconds_after = max(pending.seconds_after, line.seconds_after)
            pending.plugin_messages = line.plugin_messages
            return
        self.print_pending_line()
        self._pending_line = line

    def print_pending_line(self) -> None:
        """Print the pending line, which may have been merged."""
        line, self._pending_line = self._pending_line, None
        if line is None:
            return
        self.console.print(self._line_text(line))
        for plugin, text in line.plugin_messages:
            style = "red" if plugin in line.failed_plugins else "green"
            self._print_indented(f"{plugin}: {text}", _ID_WIDTH, style)

    def show_behind(self, event_count: int, missing_count: int) -> None:
        """Show how far behind the plugins are, on a terminal."""
        behind = f"behind: {event_count} events; missing ids: {missing_count}"
        self._status_line.plain = f"\n{'':{_ID_WIDTH}}{behind}"
        self._status_line.stylize("yellow" if event_count or missing_count else "dim")

    def print_promises(self, promises: Sequence[Promise]) -> None:
        """Print which promises were shown and whether they held."""
        table = Table(width=self.console.width, pad_edge=False, box=None, padding=(0, 1, 1, 0))
        table.add_column("promise", width=22, style="bold")
        table.add_column("what this day showed")
        table.add_column("held", justify="right", width=4)
        for promise in promises:
            held_text = Text("yes", "green") if promise.is_held else Text("NO", "bold red")
            table.add_row(promise.name, promise.shown_text, held_text)
        self.print_pending_line()
        self.console.print()
        self.console.rule(characters=self._rule_character)
        self.console.print(table)
        broken_count = sum(not promise.is_held for promise in promises)
        not_held = f"{broken_count} of them did not hold."
        conclusion = not_held if broken_count else "Every promise held."
        self.console.print(Text(conclusion, "bold red" if broken_count else "bold green"))

    def print_complaints(self, complaints: Sequence[str]) -> None:
        """Print unexpected messages of the daemon."""
        for text in complaints:
            self.console.print(Text(f"the daemon printed: {text}", "yellow"))

    def print_next_commands(self, commands_by_purpose: Mapping[str, str]) -> None:
        """Print commands to try next: purpose -> command."""
        self.console.print("\nIt keeps running and shows what happens. Ctrl-C ends it.")
        for purpose, command in commands_by_purpose.items():
            self.console.print(Text(f"  {purpose}:", "dim"))
            self.console.print(Text(f"    {command}"), soft_wrap=True)

    def _print_indented(self, text: str, indent: int, style: str = "") -> None:
        indentation = " " * indent
        wrapped_text = textwrap.fill(
            text, self.console.width, initial_indent=indentation, subsequent_indent=indentation
        )
        self.console.print(Text(wrapped_text, style))

    def _line_text(self, line: ScreenLine) -> Text:
        id_text = str(line.event_row.id)
        if line.event_count > 1:
            id_text += f"+{line.event_count - 1}"
        line_text = Text(f"{id_text:<{_ID_WIDTH}}", "dim")
        label = ("late: " if line.is_late else "") + event_label(line.event_row)
        label_style = "yellow" if line.is_late else "none"
        line_text.append(f"{label[: _LABEL_WIDTH - 1]:<{_LABEL_WIDTH}}", label_style)
        for plugin, column_width in _COLUMN_WIDTHS.items():
            cell_mark, style = self._plugin_cell(line, plugin)
            line_text.append(cell_mark.center(column_width), style)
        line_text.append(f"{line.seconds_after:.2f} s".rjust(_AFTER_WIDTH), "dim")
        return line_text

    def _plugin_cell(self, line: ScreenLine, plugin: str) -> tuple[str, str]:
        call_position = line.call_positions.get(plugin)
        if call_position is None:
            return self._not_called_mark, "dim"
        if plugin in line.failed_plugins:
            return f"{call_position}{self._failed_mark}", "bold red"
        return str(call_position), "bold green"


def event_label(event_row: EventRow) -> str:
    """Return a few words for an event: "Task status", "new Version", "User Logout"."""
    meta = event_row.meta if isinstance(event_row.meta, dict) else {}
    if "in_create" in meta or "original_event_log_entry_id" in meta:
        return "  its values"
    _, _, type_rest = (event_row.event_type or "").partition("_")
    entity_type, _, action = type_rest.rpartition("_")
    if action == "Change":
        field_name = (event_row.attribute_name or "").removeprefix("sg_").removesuffix("_list")
        return f"{entity_type} {field_name}"
    return f"new {entity_type}" if action == "New" else f"{entity_type} {action}"
