"""The installed plugins, read from the metadata of distributions; nothing is imported."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from importlib_metadata import distributions
from packaging.utils import canonicalize_name

from sgevents_core.plugins.clashes import clashes_of, overlaps_of
from sgevents_core.plugins.installed_metadata import (
    InstalledMetadata,
    InstallRemark,
    folder_of,
    leftover_remark,
)
from sgevents_core.plugins.sources import EntryPointSource, PluginSource

if TYPE_CHECKING:
    from importlib_metadata import EntryPoint

ENTRY_POINT_GROUP: Final = "sgevents.plugins"
"""The group of entry points that are plugins."""
UNNAMED_DISTRIBUTION: Final = "(a distribution without a name)"


@dataclass(frozen=True, kw_only=True)
class FoundPlugin:
    """One entry point that a distribution provides."""

    name: str
    value: str
    """The object that it refers to: `package.module` or `package.module:instance`."""
    distribution: str
    version: str | None
    requires: tuple[str, ...] = ()
    """The distribution's requirements, as in its metadata."""
    source: PluginSource = field(compare=False, repr=False)

    @property
    def provider(self) -> str:
        """The distribution and its version, for people: `studio-status 1.2`."""
        return f"{self.distribution} {self.version or ''}".strip()

    @property
    def module(self) -> str:
        """The module that it refers to."""
        return self.value.partition("[")[0].partition(":")[0]

    def is_from(self, name: str) -> bool:
        """Return whether the distribution `name` provides it, in any spelling of the name."""
        return canonicalize_name(self.distribution) == canonicalize_name(name)


@dataclass(frozen=True, kw_only=True)
class Discovery:
    """All plugins that are installed."""

    found: dict[str, FoundPlugin]
    """The plugins by name, without names that several distributions claim."""
    conflicts: dict[str, tuple[FoundPlugin, ...]] = field(default_factory=dict)
    """Name that several distributions claim -> their entry points."""
    problems: tuple[str, ...] = ()
    """Distributions whose metadata cannot be read, each with the reason."""
    clashes: dict[str, str] = field(default_factory=dict)
    """Plugin -> why it cannot run: another distribution contains its module as well."""
    remarks: tuple[InstallRemark, ...] = ()
    """Leftover folders that do not belong in site-packages."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all plugins, sorted."""
        return tuple(sorted({*self.found, *self.conflicts}))

    def including(self, plugins: Mapping[str, FoundPlugin]) -> Discovery:
        """Return a discovery with the plugins of another source, which come first by name."""
        conflicts = {name: found for name, found in self.conflicts.items() if name not in plugins}
        return replace(self, found={**self.found, **plugins}, conflicts=conflicts)

    def claimants(self, name: str) -> tuple[FoundPlugin, ...]:
        """Return every entry point called `name`."""
        only_claimant = self.found.get(name)
        return self.conflicts.get(name, ()) if only_claimant is None else (only_claimant,)


def discover() -> Discovery:
    """Return the plugins installed on this Python's path, without importing them."""
    problems: list[str] = []
    leftover_remarks: list[InstallRemark] = []
    entry_points = list(_iterate_entry_points(problems, leftover_remarks))
    discovery = group_by_name(entry_points, tuple(problems))
    all_plugins = [claimant for name in discovery.names for claimant in discovery.claimants(name)]
    remarks = (*leftover_remarks, *overlaps_of(all_plugins))
    return replace(discovery, clashes=clashes_of(all_plugins), remarks=remarks)


def group_by_name(entries: Iterable[EntryPoint], problems: tuple[str, ...] = ()) -> Discovery:
    """Return `entries` by name: duplicates merged, several providers of a name as a conflict."""
    by_name: dict[str, dict[tuple[str, str], FoundPlugin]] = {}
    for entry_point in entries:
        found = _found_plugin(entry_point)
        claim_key = (canonicalize_name(found.distribution), found.value)
        by_name.setdefault(found.name, {}).setdefault(claim_key, found)
    return Discovery(
        found={
            name: found
            for name, claims_by_key in sorted(by_name.items())
            for found in claims_by_key.values()
            if len(claims_by_key) == 1
        },
        conflicts={
            name: tuple(claims_by_key[claim_key] for claim_key in sorted(claims_by_key))
            for name, claims_by_key in sorted(by_name.items())
            if len(claims_by_key) > 1
        },
        problems=problems,
    )


def _found_plugin(entry_point: EntryPoint) -> FoundPlugin:
    return FoundPlugin(
        name=entry_point.name,
        value="".join(entry_point.value.split()),
        distribution=_read_field(entry_point, "name") or UNNAMED_DISTRIBUTION,
        version=_read_field(entry_point, "version"),
        requires=_requirements_of(entry_point),
        source=EntryPointSource(entry_point),
    )


def _read_field(entry_point: EntryPoint, field_name: str) -> str | None:
    try:
        value = getattr(entry_point.dist, field_name, None)
    except Exception:  # broken metadata: the field is missing or not a string
        return None
    return value if isinstance(value, str) and value else None


def _requirements_of(entry_point: EntryPoint) -> tuple[str, ...]:
    try:
        return tuple(getattr(entry_point.dist, "requires", None) or ())
    except Exception:  # broken metadata
        return ()


def _iterate_entry_points(
    problems: list[str], leftover_remarks: list[InstallRemark]
) -> Iterator[EntryPoint]:
    """Yield the entry points of each installed distribution, the first of its name on the path.

    Broken metadata of one distribution do not hide the others.
    """
    install_place, seen_names = InstalledMetadata(), set[str]()
    for distribution in distributions():
        folder = folder_of(distribution)
        try:
            installed = install_place.installed_folder(folder) if folder else None
            if folder is not None and installed != folder:
                if any(distribution.entry_points.select(group=ENTRY_POINT_GROUP)):
                    leftover_remarks.append(leftover_remark(folder, installed))
                continue
            name = install_place.name_of(distribution)
            if name not in seen_names:
                seen_names.add(name)
                yield from distribution.entry_points.select(group=ENTRY_POINT_GROUP)
        except Exception as error:
            problems.append(f"{folder or distribution}: {type(error).__name__}: {error}")
