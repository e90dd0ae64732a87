"""Who caused an event: a person, a script, or a script acting as a person (sudo)."""

from __future__ import annotations

from collections.abc import Container
from typing import TYPE_CHECKING, Final

from sgevents_core.events import acting_links, scripts_of

if TYPE_CHECKING:
    from sgevents_core.events import Event

LOGIN: Final = "user.HumanUser.login"
"""The field of a row with the login of its user, if `[feed] fields` asks for it."""


def is_by_script(event: Event, name: str) -> bool:
    """Return whether the script that signs in as `name` caused `event`, also as another user."""
    scripts = scripts_of(event)
    return any(scripts.is_named(link, name) for link in acting_links(event))


def is_by(event: Event, people: Container[object]) -> bool:
    """Return whether one of `people`, given as ids, logins or names, caused `event`."""
    user = event.user
    if user is None or user.get("type") != "HumanUser":
        return False
    known = (user.get("id"), user.get("name"), event.get(LOGIN))
    return any(isinstance(one, int | str) and one in people for one in known)
