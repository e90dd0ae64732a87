"""The installed plugins, read from the metadata of distributions; nothing is imported."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from importlib_metadata import distributions
from packaging.utils import canonicalize_name

from sgevents_core.plugins.clashes import clashes_of, overlaps_of
from sgevents_core.plugins.installed import InstallPlace, Remark, folder_of, left_over

if TYPE_CHECKING:
    from importlib_metadata import EntryPoint

GROUP: Final = "sgevents.plugins"
"""The group of entry points that are plugins."""
NAMELESS: Final = "(a distribution without a name)"


@dataclass(frozen=True, kw_only=True)
class FoundPlugin:
    """One entry point that a distribution provides."""

    name: str
    value: str
    """What it refers to: `package.module` or `package.module:instance`."""
    distribution: str
    version: str | None
    requires: tuple[str, ...] = ()
    """The distribution's requirements, as in its metadata."""
    entry_point: EntryPoint = field(compare=False, repr=False)

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
    """By name, without names that several distributions claim."""
    conflicts: dict[str, tuple[FoundPlugin, ...]] = field(default_factory=dict)
    """By name, the entry points that claim it, by distribution."""
    problems: tuple[str, ...] = ()
    """Distributions whose metadata cannot be read, each with the reason."""
    clashes: dict[str, str] = field(default_factory=dict)
    """By name, why a plugin cannot run because another distribution contains its module as well."""
    remarks: tuple[Remark, ...] = ()
    """What should not be among the packages."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all plugins, sorted."""
        return tuple(sorted({*self.found, *self.conflicts}))

    def claimants(self, name: str) -> tuple[FoundPlugin, ...]:
        """Return every entry point called `name`."""
        found = self.found.get(name)
        return self.conflicts.get(name, ()) if found is None else (found,)


def discover() -> Discovery:
    """Return the plugins installed on this Python's path, without importing them."""
    problems: list[str] = []
    leftovers: list[Remark] = []
    found = list(_entries(problems, leftovers))
    discovery = sorted_out(found, tuple(problems))
    every = [one for name in discovery.names for one in discovery.claimants(name)]
    remarks = (*leftovers, *overlaps_of(every))
    return replace(discovery, clashes=clashes_of(every), remarks=remarks)


def sorted_out(entries: Iterable[EntryPoint], problems: tuple[str, ...] = ()) -> Discovery:
    """Return `entries` by name: duplicates merged, several providers of a name as a conflict."""
    by_name: dict[str, dict[tuple[str, str], FoundPlugin]] = {}
    for entry in entries:
        found = _described(entry)
        same = (canonicalize_name(found.distribution), found.value)
        by_name.setdefault(found.name, {}).setdefault(same, found)
    return Discovery(
        found={
            name: found
            for name, claims in sorted(by_name.items())
            for found in claims.values()
            if len(claims) == 1
        },
        conflicts={
            name: tuple(claims[same] for same in sorted(claims))
            for name, claims in sorted(by_name.items())
            if len(claims) > 1
        },
        problems=problems,
    )


def _described(entry: EntryPoint) -> FoundPlugin:
    return FoundPlugin(
        name=entry.name,
        value="".join(entry.value.split()),
        distribution=_read(entry, "name") or NAMELESS,
        version=_read(entry, "version"),
        requires=_requires(entry),
        entry_point=entry,
    )


def _read(entry: EntryPoint, field_name: str) -> str | None:
    try:
        value = getattr(entry.dist, field_name, None)
    except Exception:  # broken metadata: the field is missing or not a text
        return None
    return value if isinstance(value, str) and value else None


def _requires(entry: EntryPoint) -> tuple[str, ...]:
    try:
        return tuple(getattr(entry.dist, "requires", None) or ())
    except Exception:  # broken metadata
        return ()


def _entries(problems: list[str], leftovers: list[Remark]) -> Iterator[EntryPoint]:
    """Yield the entry points of each installed distribution, the first of its name on the path.

    Broken metadata of one distribution do not hide the others.
    """
    place, seen = InstallPlace(), set[str]()
    for distribution in distributions():
        folder = folder_of(distribution)
        try:
            installed = place.instead_of(folder) if folder else None
            if folder is not None and installed != folder:
                if any(distribution.entry_points.select(group=GROUP)):
                    leftovers.append(left_over(folder, installed))
                continue
            name = place.name_of(distribution)
            if name not in seen:
                seen.add(name)
                yield from distribution.entry_points.select(group=GROUP)
        except Exception as error:
            problems.append(f"{folder or distribution}: {type(error).__name__}: {error}")
