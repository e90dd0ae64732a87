"""For tests of plugins: a builder of events, a harness that runs plugins, recorded events.

Names are imported on first use, because pytest loads this package whenever it starts.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from sgevents_core.testing.builder import EventBuilder
    from sgevents_core.testing.harness import Harness, MakeHarness
    from sgevents_core.testing.recorded import load_events
    from sgevents_core.testing.recorder import Recorder, Write
    from sgevents_core.testing.results import Called, HookCalled, PluginWarning, Result

__all__ = [
    "Called",
    "EventBuilder",
    "Harness",
    "HookCalled",
    "MakeHarness",
    "PluginWarning",
    "Recorder",
    "Result",
    "Write",
    "load_events",
]

_MODULES_BY_NAME: Final = {
    "Called": "results",
    "EventBuilder": "builder",
    "Harness": "harness",
    "HookCalled": "results",
    "MakeHarness": "harness",
    "PluginWarning": "results",
    "Recorder": "recorder",
    "Result": "results",
    "Write": "recorder",
    "load_events": "recorded",
}


if not TYPE_CHECKING:  # a type checker would otherwise accept any name

    def __getattr__(name: str) -> Any:
        module_name = _MODULES_BY_NAME.get(name)
        if module_name is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        public_object = getattr(importlib.import_module(f"{__name__}.{module_name}"), name)
        globals()[name] = public_object
        return public_object


def __dir__() -> list[str]:
    return sorted([*globals(), *_MODULES_BY_NAME])
