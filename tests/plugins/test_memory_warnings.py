"""Plugins that seem to keep objects in memory are named where several workers run them."""

from __future__ import annotations

from collections import Counter
from types import ModuleType

import pytest

from sgevents_core.plugins.memory_warnings import memory_warnings
from sgevents_core.settings import LaneSettings, PluginSettings

PROCESS = LaneSettings(executor="process")
THREADS = LaneSettings(workers=4, order_by="entity")


class Instance:
    """A plugin that keeps a count."""

    def __init__(self) -> None:
        self.count = 0


def module(**held: object) -> ModuleType:
    """Return a plugin that is a module with these names."""
    made = ModuleType("plugin")
    vars(made).update(held)
    return made


@pytest.mark.parametrize(
    ("plugin", "args", "named"),
    [
        (module(seen=[], TABLE={"a": 1}, __all__=[]), (), "(seen)"),
        (module(COUNTS=Counter()), (), "(COUNTS)"),
        (Instance(), (), "(count)"),
        (module(), ("m:act",), "(args of m:act)"),
        (module(**{name: {} for name in "abcdef"}), (), "(a, b, c, d, e and more)"),
    ],
)
def test_what_it_fills_while_it_runs_is_named(
    plugin: object, args: tuple[str, ...], named: str
) -> None:
    """Empty containers of a module, all that an instance holds, and what callbacks are given."""
    (warning,) = memory_warnings(plugin, args, PluginSettings(), PROCESS)
    assert named in warning
    assert "ctx.store" in warning
    (warning,) = memory_warnings(plugin, args, PluginSettings(), THREADS)
    assert named in warning
    assert "concurrency = 1" in warning


def test_nothing_is_said_where_it_makes_no_difference() -> None:
    """One thread, a plugin that is called by one worker at a time, or nothing in memory."""
    one = PluginSettings(concurrency=1)
    assert memory_warnings(Instance(), (), PluginSettings(), None) == []
    assert memory_warnings(Instance(), (), PluginSettings(), LaneSettings()) == []
    assert memory_warnings(Instance(), (), one, THREADS) == []
    assert memory_warnings(Instance(), (), one, PROCESS) != []
    assert memory_warnings(module(TABLE={"a": 1}), (), PluginSettings(), PROCESS) == []
