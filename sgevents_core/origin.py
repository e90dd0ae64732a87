"""Who caused an event: a person, a script, or a script acting as a person (sudo)."""

from __future__ import annotations

from collections.abc import Container
from typing import TYPE_CHECKING, Final

from sgevents_core.events import acting_links, scripts_of

if TYPE_CHECKING:
    from sgevents_core.events import Event

LOGIN: Final = "user.HumanUser.login"
"""The field of a row with the login of its user, if `[feed] fields` asks for it."""


def is_by_script(event: Event, script_name: str) -> bool:
    """Return whether the script that signs in as `script_name` caused `event`, also as another
    user.
    """
    known_scripts = scripts_of(event)
    return any(
        known_scripts.is_named(acting_link, script_name) for acting_link in acting_links(event)
    )


def is_by(event: Event, people: Container[object]) -> bool:
    """Return whether one of `people`, given as ids, logins or names, caused `event`."""
    user = event.user
    if user is None or user.get("type") != "HumanUser":
        return False
    user_identities = (user.get("id"), user.get("name"), event.get(LOGIN))
    return any(
        isinstance(identity, int | str) and identity in people for identity in user_identities
    )
