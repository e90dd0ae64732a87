"""For tests of plugins: events made to order, a harness that runs plugins on them, recorded events.

Names are resolved when first asked for: pytest loads this package whenever it starts.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from sgevents_core.testing.builder import EventBuilder
    from sgevents_core.testing.harness import Harness, MakeHarness
    from sgevents_core.testing.recorded import load_events
    from sgevents_core.testing.recorder import Recorder, Write
    from sgevents_core.testing.results import Called, HookCalled, Result

__all__ = [
    "Called",
    "EventBuilder",
    "Harness",
    "HookCalled",
    "MakeHarness",
    "Recorder",
    "Result",
    "Write",
    "load_events",
]

_HOMES: Final = {
    "Called": "results",
    "EventBuilder": "builder",
    "Harness": "harness",
    "HookCalled": "results",
    "MakeHarness": "harness",
    "Recorder": "recorder",
    "Result": "results",
    "Write": "recorder",
    "load_events": "recorded",
}


if not TYPE_CHECKING:  # a type checker would otherwise accept any name

    def __getattr__(name: str) -> Any:
        home = _HOMES.get(name)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"{__name__}.{home}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
