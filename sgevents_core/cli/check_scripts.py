"""Checking the scripts that sign in: whether their ids are known and their own writes logged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sgevents_core.cli.findings import Finding
from sgevents_core.errors import SiteError
from sgevents_core.scripts import LOGS, NAME, ids_of

if TYPE_CHECKING:
    from sgevents_core.settings import Settings
    from sgevents_core.site.client import EventLog

_READ_FIX: Final = "let the script's permission group read Script (ApiUser) records"


def script_findings(log: EventLog, settings: Settings) -> list[Finding]:
    """Check each script that `settings` signs in with, over the daemon's own connection."""
    seen: dict[int, str] = {}
    return [_of_script(log, name, seen) for name in settings.script_names]


def _of_script(log: EventLog, name: str, seen: dict[int, str]) -> Finding:
    """Check one script; `seen` has the names of the scripts checked before, and gets this one."""
    try:
        found = log.scripts([[NAME, "is", name]], (NAME, LOGS))
    except SiteError as error:
        message = f"cannot be read ({error.reason}), so it is recognised by the name that rows show"
        return Finding("rights", "warning", message, _READ_FIX, _subject(name))
    mine = _called(name, found)
    doubt = _doubt(mine, seen)
    seen.update({one["id"]: name for one in mine})
    if doubt is not None:
        return Finding("rights", "warning", *doubt, subject=_subject(name))
    return Finding("rights", "ok", _what_follows(mine[0]), subject=_subject(name))


def _doubt(mine: list[dict[str, Any]], seen: dict[int, str]) -> tuple[str, str] | None:
    """Return why a script cannot be distinguished from others, and what to do; None if it can."""
    if not mine:
        what = "the site shows no script of this name: it is recognised by the name rows show"
        return what, _READ_FIX
    if len(mine) > 1:
        numbers = ", ".join(str(one["id"]) for one in mine)
        what = f"the site has several of this name ({numbers}): what one does counts as its own"
        return what, "rename the others"
    other = seen.get(mine[0]["id"])
    if other is not None:
        what = f"it is the same script as {other}: what the two do cannot be told apart"
        return what, "make a script of its own on the site, where ignore_own is to tell them apart"
    return None


def _called(name: str, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    pairs = [(one.get("id"), one.get(NAME)) for one in found]
    named = [(one, its) for one, its in pairs if isinstance(one, int) and isinstance(its, str)]
    ids = ids_of(name, named)
    return [one for one in found if one.get("id") in ids]


def _what_follows(script: dict[str, Any]) -> str:
    if script.get(LOGS) is True:
        return "what it writes comes back as events (generate_event_log_entries is on)"
    if script.get(LOGS) is False:
        return (
            "what it writes makes no events, except in a person's name "
            "(generate_event_log_entries is off, as it is by default): no plugin hears of it"
        )
    return "the site does not say whether what it writes comes back as events"


def _subject(name: str) -> str:
    return f"script {name}"
