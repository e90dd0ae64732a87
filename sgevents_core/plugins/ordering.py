"""The order of plugins: groups as configured, plugins within a group by code point of the name.

Classic plugins go by the names of their files, `a-b.py` before `a.py`, as in the classic daemon.

Pure: names in, names out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from sgevents_core.settings.model import DEFAULT_GROUP


def group_order(configured_groups: Sequence[str], used_groups: Iterable[str]) -> tuple[str, ...]:
    """Return all groups in their order.

    Args:
        configured_groups: The groups in the configuration, in its order.
        used_groups: The groups of the plugins, in any order; those not listed follow the listed
            ones, by code point, and `default` comes last unless it is listed.
    """
    listed_groups = tuple(dict.fromkeys(configured_groups))
    unlisted_groups = sorted({*used_groups, DEFAULT_GROUP} - {*listed_groups, DEFAULT_GROUP})
    last_group = () if DEFAULT_GROUP in listed_groups else (DEFAULT_GROUP,)
    return (*listed_groups, *unlisted_groups, *last_group)


def call_order(
    configured_groups: Sequence[str],
    groups_by_plugin: Mapping[str, str],
    file_names: Mapping[str, str] = MappingProxyType({}),
) -> tuple[str, ...]:
    """Return the names of plugins in the order in which they are called.

    Args:
        configured_groups: The groups in the configuration, in its order.
        groups_by_plugin: Plugin name -> its group.
        file_names: Plugin name -> the name of its file, for those that are sorted by it.
    """
    group_positions = {
        group: position
        for position, group in enumerate(group_order(configured_groups, groups_by_plugin.values()))
    }
    return tuple(
        sorted(
            groups_by_plugin,
            key=lambda name: (
                group_positions[groups_by_plugin[name]],
                file_names.get(name, name),
                name,
            ),
        )
    )
