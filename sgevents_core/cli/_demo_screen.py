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
from sgevents_core.cli._demo_studio import GROUPS, PLUGINS
from sgevents_core.sandbox.event_log import EventRow

WIDTH: Final = 80
_ID: Final = 9
_LABEL: Final = 21
_AFTER: Final = 7
_COLUMNS: Final = {name: max(map(len, name.split("-"))) + 2 for name in PLUGINS}


@dataclass(slots=True)
class ScreenLine:
    """The line for one event, or for several in a row that look the same.

    Args:
        row: The (first) event.
        late: Whether it became visible after newer ones.
        places: Plugin -> the position of its call for this event, from 1.
        raised: The plugins that raised.
        after: Seconds from the event being visible to the end of its last call.
        said: What plugins wrote to their logs, with their names.
        count: How many events there are.
    """

    row: EventRow
    late: bool = False
    places: dict[str, int] = field(default_factory=dict)
    raised: set[str] = field(default_factory=set)
    after: float = 0.0
    said: list[tuple[str, str]] = field(default_factory=list)
    count: int = 1

    def looks_like(self, other: ScreenLine) -> bool:
        """Return whether both can be printed as one line."""
        silent = not (self.said or self.raised or other.raised)
        alike = (self.late, self.places) == (other.late, other.places)
        return silent and alike and label(self.row) == label(other.row)


class Screen:
    """The printer of what happens; on a terminal, a line below shows how far behind plugins are.

    Args:
        console: The console to print to.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False)
        self.console.width = min(self.console.width, WIDTH)
        plain = not self.console.encoding.lower().startswith("utf")
        self._nothing, self._broken, self._rule = (".", "x", "-") if plain else ("·", "✗", "─")
        self._status = Text()
        self._live = Live(self._status, console=self.console, transient=True, refresh_per_second=10)
        self._held: ScreenLine | None = None

    def __enter__(self) -> Screen:
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.flush()
        self._live.stop()

    def title(self, text: str, about: str) -> None:
        """Print the demo's title and what it shows."""
        self.console.rule(Text(text, "bold"), characters=self._rule)
        self._indented(about, 0)
        self.console.print()

    def columns(self) -> None:
        """Print the column heads: the groups and plugins in their order."""
        groups, first, second = (Text(" " * (_ID + _LABEL)) for _ in range(3))
        for group, plugins in GROUPS.items():
            width = sum(_COLUMNS[name] for name in plugins)
            groups.append(group[: width - 1].center(width), "bold")
            for name in plugins:
                upper, lower = name.split("-")
                first.append(f"{upper}-".center(_COLUMNS[name]), "cyan")
                second.append(lower.center(_COLUMNS[name]), "cyan")
        second.append("after".rjust(_AFTER), "dim")
        self.console.print(groups, first, second, sep="\n")

    def scene(self, time: str, what: str, why: str) -> None:
        """Print what somebody does, and what to watch for."""
        self.flush()
        self.console.print()
        self.console.print(Text(f"{time}  {what}", "bold"))
        self.note(why)

    def note(self, text: str, style: str = "dim") -> None:
        """Print a sentence between the events."""
        self.flush()
        self._indented(text, 7, style)

    def event(self, line: ScreenLine) -> None:
        """Print an event; one that looks like the previous one is merged into its line."""
        if self._held is not None and self._held.looks_like(line):
            self._held.count += 1
            self._held.after = max(self._held.after, line.after)
            self._held.said = line.said
            return
        self.flush()
        self._held = line

    def flush(self) -> None:
        """Print the pending line, which may have been merged."""
        line, self._held = self._held, None
        if line is None:
            return
        self.console.print(self._told(line))
        for plugin, text in line.said:
            self._indented(f"{plugin}: {text}", _ID, "red" if plugin in line.raised else "green")

    def behind(self, events: int, missing: int) -> None:
        """Show how far behind the plugins are, on a terminal."""
        self._status.plain = f"\n{'':{_ID}}behind: {events} events; missing ids: {missing}"
        self._status.stylize("yellow" if events or missing else "dim")

    def promises(self, promises: Sequence[Promise]) -> None:
        """Print which promises were shown and whether they held."""
        table = Table(width=self.console.width, pad_edge=False, box=None, padding=(0, 1, 1, 0))
        table.add_column("promise", width=22, style="bold")
        table.add_column("what this day showed")
        table.add_column("held", justify="right", width=4)
        for promise in promises:
            held = Text("yes", "green") if promise.held else Text("NO", "bold red")
            table.add_row(promise.name, promise.seen, held)
        self.flush()
        self.console.print()
        self.console.rule(characters=self._rule)
        self.console.print(table)
        broken = sum(not promise.held for promise in promises)
        end = f"{broken} of them did not hold." if broken else "Every promise held."
        self.console.print(Text(end, "bold red" if broken else "bold green"))

    def complaints(self, complaints: Sequence[str]) -> None:
        """Print unexpected messages of the daemon."""
        for text in complaints:
            self.console.print(Text(f"the daemon said: {text}", "yellow"))

    def steps(self, steps: Mapping[str, str]) -> None:
        """Print commands to try next: purpose -> command."""
        self.console.print("\nIt keeps running and shows what happens. Ctrl-C ends it.")
        for purpose, command in steps.items():
            self.console.print(Text(f"  {purpose}:", "dim"))
            self.console.print(Text(f"    {command}"), soft_wrap=True)

    def _indented(self, text: str, indent: int, style: str = "") -> None:
        space = " " * indent
        wrapped = textwrap.fill(
            text, self.console.width, initial_indent=space, subsequent_indent=space
        )
        self.console.print(Text(wrapped, style))

    def _told(self, line: ScreenLine) -> Text:
        number = f"{line.row.id}+{line.count - 1}" if line.count > 1 else str(line.row.id)
        text = Text(f"{number:<{_ID}}", "dim")
        name = f"late: {label(line.row)}" if line.late else label(line.row)
        text.append(f"{name[: _LABEL - 1]:<{_LABEL}}", "yellow" if line.late else "none")
        for plugin, width in _COLUMNS.items():
            mark, style = self._cell(line, plugin)
            text.append(mark.center(width), style)
        text.append(f"{line.after:.2f} s".rjust(_AFTER), "dim")
        return text

    def _cell(self, line: ScreenLine, plugin: str) -> tuple[str, str]:
        place = line.places.get(plugin)
        if place is None:
            return self._nothing, "dim"
        if plugin in line.raised:
            return f"{place}{self._broken}", "bold red"
        return str(place), "bold green"


def label(row: EventRow) -> str:
    """Return what happened, in a few words: "Task status", "new Version", "User Logout"."""
    meta = row.meta if isinstance(row.meta, dict) else {}
    if "in_create" in meta or "original_event_log_entry_id" in meta:
        return "  its values"
    _, _, rest = (row.event_type or "").partition("_")
    kind, _, action = rest.rpartition("_")
    if action == "Change":
        field_name = (row.attribute_name or "").removeprefix("sg_").removesuffix("_list")
        return f"{kind} {field_name}"
    return f"new {kind}" if action == "New" else f"{kind} {action}"
