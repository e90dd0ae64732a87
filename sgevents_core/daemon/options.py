"""How one daemon is run: its configuration, and what whoever starts it asks for."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

from sgevents_core.calling.context import Services
from sgevents_core.daemon.restarting import CommandLine
from sgevents_core.settings import Settings


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """The options of one daemon.

    Args:
        settings: The configuration.
        is_drain: Whether to end once every event so far is handled.
        is_strict: Whether every enabled plugin must load.
        left_out: Enabled plugins to leave out of this run; their events are kept for them.
        start_command: How the process was started; None if it cannot be reloaded.
        refusal_text: Why an earlier attempt to replace this process failed; empty if there was
            none.
        services_class: The class of a plugin's services, which its calls share.
    """

    settings: Settings
    is_drain: bool = False
    is_strict: bool = False
    left_out: Container[str] = ()
    start_command: CommandLine | None = None
    refusal_text: str = ""
    services_class: type[Services] = Services
