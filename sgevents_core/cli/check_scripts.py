"""Check the scripts that sign in: whether their ids are known and the site logs their writes."""

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
    names_by_id: dict[int, str] = {}
    return [_script_finding(log, script_name, names_by_id) for script_name in settings.script_names]


def _script_finding(log: EventLog, script_name: str, names_by_id: dict[int, str]) -> Finding:
    """Check one script, and add it to `names_by_id`, the scripts checked so far."""
    try:
        script_rows = log.scripts([[NAME, "is", script_name]], (NAME, LOGS))
    except SiteError as error:
        message = f"cannot be read ({error.reason}), so it is recognised by the name that rows show"
        return Finding("rights", "warning", message, _READ_FIX, _finding_subject(script_name))
    scripts = _scripts_named(script_name, script_rows)
    doubt_and_fix = _identity_doubt(scripts, names_by_id)
    names_by_id.update({script["id"]: script_name for script in scripts})
    if doubt_and_fix is not None:
        return Finding("rights", "warning", *doubt_and_fix, subject=_finding_subject(script_name))
    return Finding("rights", "ok", _logging_text(scripts[0]), subject=_finding_subject(script_name))


def _identity_doubt(
    matching_scripts: list[dict[str, Any]], names_by_id: dict[int, str]
) -> tuple[str, str] | None:
    """Return why a script cannot be distinguished from others, and what to do; None if it can."""
    if not matching_scripts:
        doubt_text = "the site shows no script of this name: it is recognised by the name rows show"
        return doubt_text, _READ_FIX
    if len(matching_scripts) > 1:
        id_list = ", ".join(str(script["id"]) for script in matching_scripts)
        doubt_text = (
            f"the site has several of this name ({id_list}): what one does counts as its own"
        )
        return doubt_text, "rename the others"
    other_name = names_by_id.get(matching_scripts[0]["id"])
    if other_name is not None:
        doubt_text = f"it is the same script as {other_name}: their events cannot be distinguished"
        return (
            doubt_text,
            "make a script of its own on the site, so that ignore_own can distinguish them",
        )
    return None


def _scripts_named(script_name: str, script_rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    ids_and_names = [(script.get("id"), script.get(NAME)) for script in script_rows]
    valid_pairs = [
        (script, row_name)
        for script, row_name in ids_and_names
        if isinstance(script, int) and isinstance(row_name, str)
    ]
    matching_ids = ids_of(script_name, valid_pairs)
    return [script for script in script_rows if script.get("id") in matching_ids]


def _logging_text(script: dict[str, Any]) -> str:
    if script.get(LOGS) is True:
        return "what it writes comes back as events (generate_event_log_entries is on)"
    if script.get(LOGS) is False:
        return (
            "what it writes causes no events, except in a person's name "
            "(generate_event_log_entries is off, as it is by default): no plugin is called for it"
        )
    return "the site does not say whether what it writes comes back as events"


def _finding_subject(script_name: str) -> str:
    return f"script {script_name}"
