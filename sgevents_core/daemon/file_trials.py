"""Trials of classic files that are new or have changed, at a start and while the daemon runs.

Each is loaded in a process of its own first: a file that ends its process, hangs or takes all
memory costs nothing but that process, and its plugin continues with the code that it has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from sgevents_core.children.trial import Trial
from sgevents_core.classic.finding import classic_plugins
from sgevents_core.observe.systemd import Systemd
from sgevents_core.plugins.load_watching import KnownBroken
from sgevents_core.plugins.loading import turn_of
from sgevents_core.settings import Settings

_MEMORY_FILE: Final = Path("/proc/meminfo")
_MEMORY_SHARE: Final = 2
_WAIT_SECONDS: Final = 1.0
_EXTENSION_SECONDS: Final = 30.0
_LEAST_MEMORY: Final = 1 << 30
"""Bytes that a trial may use in any case."""


class FileTrials:
    """The trials of one daemon; there is one at a time.

    Args:
        settings: The configuration; its classic plugins may change meanwhile.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._trial: Trial | None = None
        self._fingerprints: dict[str, str] = {}

    def begin(self, plugin_names: Iterable[str]) -> None:
        """Begin a trial of plugins, in a thread of its own."""
        self._fingerprints = self._present_fingerprints(plugin_names)
        names = list(self._fingerprints)
        tables = {name: self._settings.plugins[name] for name in names}
        self._trial = Trial(replace(self._settings, plugins=tables), names, free_memory_share())
        self._trial.start()

    def take_results(self) -> dict[str, KnownBroken | None] | None:
        """Return the result of the last trial, once: why each plugin failed, None if it loads.

        A plugin whose file has changed meanwhile is left out: it must be tried again. Return None
        while a trial is running.
        """
        if self._trial is None:
            return {}
        failures = self._trial.failures()
        if failures is None:
            return None
        self._trial = None
        present = self._present_fingerprints(self._fingerprints)
        return {
            name: failures.get(name)
            for name, fingerprint in self._fingerprints.items()
            if present.get(name) == fingerprint
        }

    def close(self) -> None:
        """End a running trial."""
        if self._trial is not None:
            self._trial.close()
            self._trial = None

    def _present_fingerprints(self, plugin_names: Iterable[str]) -> dict[str, str]:
        found = classic_plugins(self._settings)
        return {
            name: turn_of(found[name], self._settings.plugins[name]).fingerprint
            for name in plugin_names
            if name in found
        }


def find_deadly_files(
    settings: Settings,
    plugin_names: Iterable[str],
    service_manager: Systemd,
    is_stopping: Callable[[], bool],
) -> dict[str, KnownBroken]:
    """Try files before a start loads them; return the plugins that ended the process or hung.

    Those that only raise are left out: the start itself reports them, with what they print.

    Args:
        settings: The configuration.
        plugin_names: The plugins to try.
        service_manager: Asked to wait for a file that takes long.
        is_stopping: Returns whether the daemon must stop.
    """
    trial = Trial(settings, sorted(plugin_names))
    trial.start()
    try:
        while not trial.wait(_WAIT_SECONDS) and not is_stopping():
            service_manager.extend_timeout(_EXTENSION_SECONDS)
        return trial.deadly_failures()
    finally:
        trial.close()


def free_memory_share() -> int | None:
    """Return how much memory a trial may use, in bytes: a share of what is free."""
    with suppress(OSError, ValueError, IndexError):
        for line in _MEMORY_FILE.read_text("ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return max(_LEAST_MEMORY, int(line.split()[1]) * 1024 // _MEMORY_SHARE)
    return None
