"""Plugins that were being loaded, started or shut down when the process died.

Such a plugin would take down all others at every start. So the evidence of the last process is read
before any plugin is loaded: a plugin that ended the process is left out until its code or settings
change, or a person asks to retry it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from sgevents_core.crashes.evidence import FILE as WORDS
from sgevents_core.crashes.evidence import DeathEvidence, LoadingStep, blamed_step, read, words_in
from sgevents_core.crashes.out_of_memory import oom_kills
from sgevents_core.errors import StateError
from sgevents_core.plugins.load_watching import KnownBroken
from sgevents_core.plugins.loading import LoadedPlugin
from sgevents_core.state.own_files import PRIVATE, read_own

FILE: Final = "loading.json"
UNPROVED: Final = 3
"""Unexplained deaths while a plugin was loaded after which it is not tried again."""
LONG: Final = 600.0
"""Seconds after which a plugin's thread no longer counts as part of its loading."""
OUTSIDE: Final = "nothing shows what killed it"
SHUTDOWN: Final = "shutdown"
FIX: Final = (
    "It is tried again once its distribution, its files or its table in the configuration have "
    "changed; or as it is, after: sgevents plugins retry {name}"
)


class LoadDeath(msgspec.Struct, frozen=True):
    """The count of deaths while a plugin was loaded from the same code and settings.

    Args:
        doing: The step in which it died last, for people.
        mark: What the plugin was loaded from.
        proved: How often the plugin is known to have ended it.
        unproved: How often the cause is not known.
        how: How it died last, for people.
        traceback: Where, if known.
    """

    doing: str
    mark: str
    proved: int = 0
    unproved: int = 0
    how: str = OUTSIDE
    traceback: str = ""


def take_stock(folder: Path) -> dict[str, LoadDeath]:
    """Count the death of the last process if it died loading a plugin; return all deaths.

    Call it once, in the process that holds the state, before its own evidence replaces the last.
    """
    deaths = load_deaths(folder)
    text = words_in(folder)
    words = read(text, oom_kills())
    step = blamed_step(text, words)
    if step is not None and not _is_of_old_thread(step, folder):
        deaths[step.plugin] = counted(step, words, deaths.get(step.plugin))
        _write(folder, deaths)
    return deaths


def _is_of_old_thread(step: LoadingStep, folder: Path) -> bool:
    """Return whether a plugin's own thread had run for long when it ended the process.

    The next start may run as long, so leaving the plugin out would help nobody.
    """
    if not step.thread_since:
        return False
    with suppress(OSError):
        return (folder / WORDS).stat().st_mtime - step.thread_since > LONG
    return False


def counted(step: LoadingStep, words: DeathEvidence | None, before: LoadDeath | None) -> LoadDeath:
    """Return the deaths of one plugin, including the one in `step`.

    Args:
        step: The step in which the process died.
        words: How it died; None if that is not known.
        before: The deaths so far; those with another mark no longer count.
    """
    if before is None or before.mark != step.mark:
        before = LoadDeath(step.doing, step.mark)
    if words is None:
        unproved = before.unproved + 1
        return msgspec.structs.replace(before, doing=step.doing, unproved=unproved)
    return LoadDeath(
        step.doing, step.mark, before.proved + 1, before.unproved, words.how, words.traceback
    )


def known_from(deaths: Mapping[str, LoadDeath]) -> dict[str, KnownBroken]:
    """Return plugin -> why it is not loaded, for plugins that died too often."""
    return {name: _known(name, death) for name, death in deaths.items() if _is_enough(death)}


def known_in(folder: Path) -> dict[str, KnownBroken]:
    """Return plugin -> why the daemon does not load it, for commands that only inspect plugins."""
    return known_from(load_deaths(folder))


def load_deaths(folder: Path) -> dict[str, LoadDeath]:
    """Return plugin -> its deaths; none if the file cannot be read."""
    with suppress(OSError, msgspec.MsgspecError):
        return msgspec.json.decode(read_own(folder / FILE), type=dict[str, LoadDeath])
    return {}


def forget_started(folder: Path, plugins: Iterable[LoadedPlugin]) -> None:
    """Forget the deaths of plugins that have been loaded and started."""
    deaths = load_deaths(folder)
    marks = {plugin.name: plugin.turn.fingerprint for plugin in plugins if plugin.turn is not None}
    kept = {
        name: death
        for name, death in deaths.items()
        if name not in marks or (death.doing == SHUTDOWN and death.mark == marks[name])
    }
    if len(kept) < len(deaths):
        _write(folder, kept)


def forget(folder: Path, plugin: str) -> bool:
    """Forget the deaths of a plugin, so that it is tried again; return False if there are none.

    Raises:
        StateError: The file cannot be written.
    """
    deaths = load_deaths(folder)
    if deaths.pop(plugin, None) is None:
        return False
    _write(folder, deaths)
    return True


def _is_enough(death: LoadDeath) -> bool:
    return death.proved > 0 or death.unproved >= UNPROVED


def _known(name: str, death: LoadDeath) -> KnownBroken:
    return KnownBroken(
        reason=f"the process died in this: {death.doing}; {death.how}",
        fix=FIX.format(name=name),
        traceback=death.traceback,
        fingerprint=death.mark,
        hook=SHUTDOWN if death.doing == SHUTDOWN else "",
    )


def _write(folder: Path, deaths: Mapping[str, LoadDeath]) -> None:
    new = folder / f"{FILE}.new"
    _tried(folder, lambda: _write_new(new, msgspec.json.encode(deaths)))
    _tried(folder, lambda: os.replace(new, folder / FILE))  # noqa: PTH105 - it returns nothing


def _write_new(new: Path, text: bytes) -> None:
    with suppress(FileNotFoundError):
        new.unlink()
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    with os.fdopen(os.open(new, flags, PRIVATE), "wb") as file:
        file.write(text)


def _tried(folder: Path, write: Callable[[], None]) -> None:
    try:
        write()
    except OSError as error:
        raise StateError(path=str(folder / FILE), reason=error.strerror or str(error)) from None
