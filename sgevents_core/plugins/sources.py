"""Where plugins come from, and how each kind is brought into the process.

A plugin that is found carries its source; loading treats all of them alike from there on: their
functions, their settings, their place in the order, what is wrong with them.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from sgevents_core.errors import ClassEntryPointError, EntryPointError, PluginRaisedError
from sgevents_core.plugins.fingerprints import module_files
from sgevents_core.plugins.guarding import run_guarded
from sgevents_core.plugins.installed_metadata import folder_of
from sgevents_core.plugins.members import Members, members_of

if TYPE_CHECKING:
    from importlib_metadata import EntryPoint

    from sgevents_core.plugins.discovery import FoundPlugin


class ImportedPlugin(NamedTuple):
    """A plugin that is imported, and not yet registered.

    Args:
        plugin: The module or instance.
        members: The functions it implements. One that implements `register_callbacks` is given the
            registrar, with which it may register callbacks with their own credentials.
    """

    plugin: object
    members: Members


class PluginSource(Protocol):
    """The source of a plugin, and the way to import it."""

    @property
    def metadata_folder(self) -> Path | None:
        """The folder that lists the installed files; None if nothing installed it."""

    def files(self, plugin: FoundPlugin) -> Iterator[Path]:
        """Yield the files whose change may change what the plugin does; nothing is imported."""

    def import_plugin(self, plugin: FoundPlugin) -> ImportedPlugin:
        """Import a plugin, which runs its code.

        Raises:
            UnusablePluginError: It cannot be used; the error says why, and what to do.
        """


@dataclass(frozen=True, slots=True)
class EntryPointSource:
    """An entry point of an installed distribution: it names a module or an instance."""

    entry_point: EntryPoint

    @property
    def metadata_folder(self) -> Path | None:
        """The folder of the distribution's metadata."""
        return folder_of(self.entry_point.dist)

    def files(self, plugin: FoundPlugin) -> Iterator[Path]:
        """Yield the files of the plugin's top-level module."""
        return module_files(plugin.module.partition(".")[0])

    def import_plugin(self, plugin: FoundPlugin) -> ImportedPlugin:
        """Import the module or instance that the entry point names."""
        try:
            imported = run_guarded(f"importing {plugin.value}", self.entry_point.load)
        except PluginRaisedError as raised:
            problem = _missing_name(plugin, raised.__cause__)
            if problem is None:
                raise
            raise EntryPointError(
                name=plugin.name, provider=plugin.provider, value=plugin.value, problem=problem
            ) from None
        return read_members(plugin, imported)


def read_members(plugin: FoundPlugin, imported: object) -> ImportedPlugin:
    """Return a module or instance with the functions it implements.

    Raises:
        UnusablePluginError: It is a class, or implements something wrongly.
    """
    if inspect.isclass(imported):
        raise ClassEntryPointError(value=plugin.value, name=imported.__qualname__)
    members = run_guarded(f"reading {plugin.value}", lambda: members_of(imported))
    return ImportedPlugin(imported, members)


def _missing_name(plugin: FoundPlugin, error: BaseException | None) -> str | None:
    """Return the missing name in an entry point, if that is why importing it failed."""
    module, _, attribute = plugin.value.partition("[")[0].partition(":")
    if isinstance(error, ModuleNotFoundError) and f"{module}.".startswith(f"{error.name}."):
        return f"there is no module {error.name}"
    imported_module = sys.modules.get(module)
    if isinstance(error, AttributeError) and attribute and error.obj is imported_module is not None:
        return f"{module} has no {error.name}"
    return None
