"""What this process runs, shown to the other hosts whenever its plugins change."""

from __future__ import annotations

from collections.abc import Mapping

from sgevents_core.hosts.host_files import (
    HostFiles,
    describe_host_files,
    read_classic_contents,
)
from sgevents_core.hosts.work import Work
from sgevents_core.plugins.loading import Loaded
from sgevents_core.settings import Settings


class RunningFiles:
    """The files of one process; for the main thread.

    Args:
        settings: The configuration; its classic plugins may change meanwhile.

    Make it before any classic file is loaded.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._classic_contents = dict(read_classic_contents(settings))

    def present_contents(self, plugin_name: str) -> Mapping[str, str]:
        """Return a digest of a plugin's classic file as it is now; call it before it is loaded."""
        return read_classic_contents(self._settings, [plugin_name])

    def note_contents(self, contents: Mapping[str, str]) -> None:
        """Take notice of classic files that were loaded."""
        self._classic_contents |= contents

    def describe(self, loaded: Loaded) -> HostFiles:
        """Return what this process runs.

        Args:
            loaded: Its plugins.
        """
        return describe_host_files(self._settings, loaded, self._classic_contents)

    def show(self, loaded: Loaded, work: Work) -> None:
        """Let the other hosts know what this process runs."""
        if work.is_shared:
            work.change_files(self.describe(loaded))
