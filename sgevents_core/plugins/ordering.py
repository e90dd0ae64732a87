"""The order of plugins: groups as configured, plugins within a group by code point of the name.

Pure: names in, names out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sgevents_core.settings.model import DEFAULT_GROUP


def group_order(configured: Sequence[str], used: Iterable[str]) -> tuple[str, ...]:
    """Return all groups in their order.

    Args:
        configured: The groups in the configuration, in its order.
        used: The groups of the plugins, in any order; those not listed follow the listed ones, by
            code point, and `default` comes last unless it is listed.
    """
    listed = tuple(dict.fromkeys(configured))
    unlisted = sorted({*used, DEFAULT_GROUP} - {*listed, DEFAULT_GROUP})
    last = () if DEFAULT_GROUP in listed else (DEFAULT_GROUP,)
    return (*listed, *unlisted, *last)


def call_order(configured: Sequence[str], group_of: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of plugins in the order in which they are called.

    Args:
        configured: The groups in the configuration, in its order.
        group_of: Plugin name -> its group.
    """
    places = {
        group: place for place, group in enumerate(group_order(configured, group_of.values()))
    }
    return tuple(sorted(group_of, key=lambda name: (places[group_of[name]], name)))
