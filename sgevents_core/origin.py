"""Who caused an event: a person, a script, or a script in a person's name (sudo)."""

from __future__ import annotations

from collections.abc import Container
from typing import TYPE_CHECKING, Final

from sgevents_core.events import meta_of

if TYPE_CHECKING:
    from sgevents_core.events import Event

LOGIN: Final = "user.HumanUser.login"
"""The field of a row that holds the login of who did it, where `[feed] fields` asks for it."""


def acting_script(event: Event) -> str | None:
    """Return the name of the script that caused `event`, also one behind a user; or None."""
    script = event.script
    if script is not None:
        return script
    behind = meta_of(event).get("sudo_actual_user")
    if not isinstance(behind, dict) or behind.get("type") != "ApiUser":
        return None
    name = behind.get("name")
    return name if isinstance(name, str) and name else f"ApiUser {behind.get('id')}"


def is_by(event: Event, people: Container[object]) -> bool:
    """Whether a person among `people`, ids and logins and names, caused `event`."""
    user = event.user
    if user is None or user.get("type") != "HumanUser":
        return False
    known = (user.get("id"), user.get("name"), event.get(LOGIN))
    return any(isinstance(one, int | str) and one in people for one in known)
