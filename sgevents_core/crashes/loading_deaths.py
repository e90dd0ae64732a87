"""Plugins that were being loaded, started or shut down when the process died.

Such a plugin would take down all others at every start. So the evidence of the last process is read
before any plugin is loaded: a plugin that ended the process is left out until its code or settings
change, or a person asks to retry it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from sgevents_core.crashes.evidence import (
    EVIDENCE_FILE,
    DeathEvidence,
    LoadingStep,
    find_blamed_step,
    parse_evidence,
    read_evidence_text,
)
from sgevents_core.crashes.out_of_memory import count_oom_kills
from sgevents_core.errors import StateError
from sgevents_core.plugins.load_watching import KnownBroken
from sgevents_core.plugins.loading import LoadedPlugin
from sgevents_core.state.plain_files import read_plain_file, replace_plain_file

DEATHS_FILE: Final = "loading.json"
UNPROVED_LIMIT: Final = 3
"""Unexplained deaths while a plugin was loaded after which it is not tried again."""
LONG_RUN: Final = 600.0
"""Seconds after which a plugin's thread no longer counts as part of its loading."""
UNKNOWN_CAUSE: Final = "nothing shows what killed it"
SHUTDOWN: Final = "shutdown"
RETRY_ADVICE: Final = (
    "It is tried again once its distribution, its files or its table in the configuration have "
    "changed; or as it is, after: sgevents plugins retry {name}"
)

_KEYS: Final = {
    "activity": "doing",
    "fingerprint": "mark",
    "proved_count": "proved",
    "unproved_count": "unproved",
    "cause_text": "how",
    "traceback_text": "traceback",
}
"""Field -> its key in the file."""


class LoadDeathCount(msgspec.Struct, frozen=True, rename=_KEYS.get):
    """The count of deaths while a plugin was loaded from the same code and settings.

    Args:
        activity: The step in which it died last, for people.
        fingerprint: The fingerprint of the plugin's code and settings.
        proved_count: How often the plugin is known to have ended it.
        unproved_count: How often the cause is not known.
        cause_text: How it died last, for people.
        traceback_text: Where, if known.
    """

    activity: str
    fingerprint: str
    proved_count: int = 0
    unproved_count: int = 0
    cause_text: str = UNKNOWN_CAUSE
    traceback_text: str = ""


def count_last_death(folder: Path) -> dict[str, LoadDeathCount]:
    """Count the death of the last process if it died loading a plugin; return all deaths.

    Call it once, in the process that holds the state, before its own evidence replaces the last.
    """
    deaths = read_death_counts(folder)
    evidence_text = read_evidence_text(folder)
    evidence = parse_evidence(evidence_text, count_oom_kills())
    step = find_blamed_step(evidence_text, evidence)
    if step is not None and not _is_of_old_thread(step, folder):
        deaths[step.plugin_name] = count_death(step, evidence, deaths.get(step.plugin_name))
        _write_counts(folder, deaths)
    return deaths


def _is_of_old_thread(step: LoadingStep, folder: Path) -> bool:
    """Return whether a plugin's own thread had run for long when it ended the process.

    The next start may run as long, so leaving the plugin out would help nobody.
    """
    if not step.thread_seen_at:
        return False
    with suppress(OSError):
        return (folder / EVIDENCE_FILE).stat().st_mtime - step.thread_seen_at > LONG_RUN
    return False


def count_death(
    step: LoadingStep, evidence: DeathEvidence | None, counted_before: LoadDeathCount | None
) -> LoadDeathCount:
    """Return the deaths of one plugin, including the one in `step`.

    Args:
        step: The step in which the process died.
        evidence: How it died; None if that is not known.
        counted_before: The deaths so far; those with another fingerprint no longer count.
    """
    if counted_before is None or counted_before.fingerprint != step.fingerprint:
        counted_before = LoadDeathCount(step.activity, step.fingerprint)
    if evidence is None:
        unproved_count = counted_before.unproved_count + 1
        return msgspec.structs.replace(
            counted_before, activity=step.activity, unproved_count=unproved_count
        )
    return LoadDeathCount(
        step.activity,
        step.fingerprint,
        counted_before.proved_count + 1,
        counted_before.unproved_count,
        evidence.cause_text,
        evidence.traceback_text,
    )


def find_known_broken(deaths: Mapping[str, LoadDeathCount]) -> dict[str, KnownBroken]:
    """Return plugin -> why it is not loaded, for plugins that died too often."""
    return {
        plugin_name: _describe_broken(plugin_name, death)
        for plugin_name, death in deaths.items()
        if _is_too_often(death)
    }


def read_known_broken(folder: Path) -> dict[str, KnownBroken]:
    """Return plugin -> why the daemon does not load it, for commands that only inspect plugins."""
    return find_known_broken(read_death_counts(folder))


def read_death_counts(folder: Path) -> dict[str, LoadDeathCount]:
    """Return plugin -> its deaths; none if the file cannot be read."""
    with suppress(OSError, msgspec.MsgspecError):
        return msgspec.json.decode(
            read_plain_file(folder / DEATHS_FILE), type=dict[str, LoadDeathCount]
        )
    return {}


def forget_started_plugins(folder: Path, started_plugins: Iterable[LoadedPlugin]) -> None:
    """Forget the deaths of plugins that have been loaded and started."""
    deaths = read_death_counts(folder)
    started_fingerprints = {
        loaded_plugin.name: loaded_plugin.turn.fingerprint
        for loaded_plugin in started_plugins
        if loaded_plugin.turn is not None
    }
    kept_counts = {
        plugin_name: death
        for plugin_name, death in deaths.items()
        if plugin_name not in started_fingerprints
        or (death.activity == SHUTDOWN and death.fingerprint == started_fingerprints[plugin_name])
    }
    if len(kept_counts) < len(deaths):
        _write_counts(folder, kept_counts)


def forget_deaths(folder: Path, plugin_name: str) -> bool:
    """Forget the deaths of a plugin, so that it is tried again; return False if there are none.

    Raises:
        StateError: The file cannot be written.
    """
    deaths = read_death_counts(folder)
    if deaths.pop(plugin_name, None) is None:
        return False
    _write_counts(folder, deaths)
    return True


def _is_too_often(death: LoadDeathCount) -> bool:
    return death.proved_count > 0 or death.unproved_count >= UNPROVED_LIMIT


def _describe_broken(plugin_name: str, death: LoadDeathCount) -> KnownBroken:
    return KnownBroken(
        reason=f"the process died in this step: {death.activity}; {death.cause_text}",
        fix=RETRY_ADVICE.format(name=plugin_name),
        traceback=death.traceback_text,
        fingerprint=death.fingerprint,
        hook=SHUTDOWN if death.activity == SHUTDOWN else "",
    )


def _write_counts(folder: Path, deaths: Mapping[str, LoadDeathCount]) -> None:
    try:
        replace_plain_file(folder / DEATHS_FILE, msgspec.json.encode(deaths))
    except OSError as error:
        raise StateError(
            path=str(folder / DEATHS_FILE), reason=error.strerror or str(error)
        ) from None
