"""States for pages to show, and what was asked for on pages."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from journal_rows import event_row, grow
from state_values import failure

from sgevents_core.settings import read_settings
from sgevents_core.state.opening import open_state
from sgevents_core.state.plugin_record import PluginRecord
from sgevents_core.state.progress import Progress
from sgevents_core.state.steps import Step


def fill_state(folder: Path, plugin: str = "notify", text: str = "ValueError: no") -> None:
    """Write what a daemon would have written, with a text as the reason and the error.

    Args:
        folder: The state's folder.
        plugin: The plugin that is paused.
        text: The text.
    """
    record = PluginRecord(plugin, "main", Progress(1), apart=True)
    record.pause(text)
    folder.mkdir(exist_ok=True)
    with closing(open_state(folder).writer()) as state:
        if not state.end():
            grow(state, [event_row(event_id) for event_id in (101, 102, 103)])
        fence = state.take_lane("main")
        dead_letter = failure(plugin, error=text, traceback=text, outcome="dead-letter")
        step = Step(progress=Progress(3), plugins=[record], failure=dead_letter, dead=True)
        step.store = {plugin: {text[:200]: text}}
        state.record("main", fence, step)


def requests_of(config: Path) -> list[tuple[str, str, str]]:
    """Return the recorded requests: kind, plugin and who asked."""
    folder = read_settings(config.read_text(encoding="utf-8"), config).state.path
    with closing(open_state(folder).requests()) as requests:
        latest = requests.list_latest(100)
    return [(request.kind, request.plugin, request.asked_by) for request in latest]
