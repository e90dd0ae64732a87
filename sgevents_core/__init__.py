"""What plugin authors import, and no more. Names are resolved at first use."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from sgevents_core.errors import Defer, Retry, SgEventsError
    from sgevents_core.events import Event
    from sgevents_core.hookspecs import (
        Attention,
        BacklogTimeout,
        CallbackFailure,
        Context,
        DeadLetter,
        PluginPause,
        Registrar,
    )
    from sgevents_core.markers import hookimpl, match
    from sgevents_core.record_types import Link, Meta
    from sgevents_core.settings import Secret
    from sgevents_core.site_client import SiteClient

__version__: Final = "0.1.0"
__all__ = [
    "Attention",
    "BacklogTimeout",
    "CallbackFailure",
    "Context",
    "DeadLetter",
    "Defer",
    "Event",
    "Link",
    "Meta",
    "PluginPause",
    "Registrar",
    "Retry",
    "Secret",
    "SgEventsError",
    "SiteClient",
    "__version__",
    "hookimpl",
    "match",
]

_HOMES: Final = {
    "Attention": "hookspecs",
    "BacklogTimeout": "hookspecs",
    "CallbackFailure": "hookspecs",
    "Context": "hookspecs",
    "DeadLetter": "hookspecs",
    "Defer": "errors",
    "Event": "events",
    "Link": "record_types",
    "Meta": "record_types",
    "PluginPause": "hookspecs",
    "Registrar": "hookspecs",
    "Retry": "errors",
    "Secret": "settings",
    "SgEventsError": "errors",
    "SiteClient": "site_client",
    "hookimpl": "markers",
    "match": "markers",
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
