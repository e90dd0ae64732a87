"""Find distributions that contain the same file: the last one installed overwrote the others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from sgevents_core.plugins.installed_metadata import InstallRemark, recorded_files

if TYPE_CHECKING:
    from sgevents_core.plugins.discovery import FoundPlugin


def clashes_of(plugins: Iterable[FoundPlugin]) -> dict[str, str]:
    """Return plugin -> why it cannot run: another distribution contains its module too.

    Args:
        plugins: All entry points of plugins.
    """
    by_module: dict[str, dict[str, FoundPlugin]] = {}
    all_plugins = list(plugins)
    for plugin in all_plugins:
        distribution_name = canonicalize_name(plugin.distribution)
        if _files_of(plugin):
            by_module.setdefault(plugin.module, {}).setdefault(distribution_name, plugin)
    return {
        plugin.name: _clash_text(plugin.module, list(by_module[plugin.module].values()))
        for plugin in all_plugins
        if len(by_module.get(plugin.module, ())) > 1
    }


def overlaps_of(plugins: Iterable[FoundPlugin]) -> list[InstallRemark]:
    """Return the modules of plugins' distributions that another distribution has overwritten."""
    files_by_plugin: dict[str, tuple[FoundPlugin, Mapping[str, str]]] = {}
    for plugin in plugins:
        folder = plugin.source.metadata_folder
        if folder is not None:
            files_by_plugin.setdefault(
                canonicalize_name(plugin.distribution), (plugin, recorded_files(folder))
            )
    overlap_remarks: list[InstallRemark] = []
    for (plugin, own_files), (other, other_files) in combinations(files_by_plugin.values(), 2):
        differing_paths = [
            path
            for path, recorded_hash in own_files.items()
            if path.endswith(".py")
            and recorded_hash
            and other_files.get(path, recorded_hash) not in ("", recorded_hash)
        ]
        overlap_remarks += [
            InstallRemark(
                f"{plugin.provider} and {other.provider} ship different files as "
                f"{path}, so one of them runs the other's",
                "uninstall one of them, then install the other once more",
            )
            for path in differing_paths
        ]
    return overlap_remarks


def _clash_text(module: str, providers: list[FoundPlugin]) -> str:
    provider_names = " and ".join(plugin.provider for plugin in providers)
    module_files = sorted({str(file) for plugin in providers for file in _files_of(plugin)})
    return (
        f"{provider_names} both ship its module {module} ({', '.join(module_files)}), so "
        "only one of them runs"
    )


def _files_of(plugin: FoundPlugin) -> list[Path]:
    """Return the files of the plugin's module that its distribution installed."""
    folder = plugin.source.metadata_folder
    if folder is None:
        return []
    module_path = plugin.module.replace(".", "/")
    possible_names = (f"{module_path}.py", f"{module_path}/__init__.py")
    files = recorded_files(folder)
    is_installed = (
        files.__contains__ if files else lambda file_name: (folder.parent / file_name).is_file()
    )
    return [folder.parent / file_name for file_name in possible_names if is_installed(file_name)]
