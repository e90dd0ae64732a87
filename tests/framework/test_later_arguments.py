"""A hook may gain arguments in a later version: plugins written before go on as they were."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from installed_packages import Packages

from sgevents_core import hookspecs
from sgevents_core.hookspecs import hook_arguments
from sgevents_core.plugins import implementing
from sgevents_core.settings import PluginSettings

OLD_PLUGIN = """
    from sgevents_core import hookimpl, match

    @hookimpl
    def startup(ctx):
        return ["startup", ctx]

    @hookimpl
    def plugin_paused(details):
        return ["plugin_paused", details]

    @hookimpl
    @match(entity_type="Shot")
    def on_new(event):
        return ["on_new", event]

    @hookimpl
    def on_change(ctx, event):
        return ["on_change", ctx, event]
"""
NEW_PLUGIN = """
    from sgevents_core import hookimpl

    @hookimpl
    def startup(reason, ctx):
        return ["startup", reason, ctx]

    @hookimpl
    def plugin_paused(lane):
        return ["plugin_paused", lane]
"""
LATER = """
def startup(ctx, reason): "Fires once; a later version says why."
def plugin_paused(lane, details, ctx): "Fires; a later version says the lane, and first."
"""


@pytest.fixture
def _later_version(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let two hooks have an argument more, as a later version might."""
    later = ModuleType("later_hookspecs")
    vars(later).update(vars(hookspecs))
    exec(LATER, vars(later))
    for name in ("startup", "plugin_paused"):
        setattr(later, name, hookspecs.hookspec(getattr(later, name)))
        monkeypatch.setattr(hookspecs, name, getattr(later, name))
    monkeypatch.setattr(implementing, "hookspecs", later)
    hook_arguments.cache_clear()
    yield
    monkeypatch.undo()
    hook_arguments.cache_clear()


@pytest.mark.usefixtures("_later_version")
def test_plugins_of_before_and_of_later_both_get_what_they_name(packages: Packages) -> None:
    """In any order, whatever else the hook has and wherever it stands."""
    packages.install_module("old", OLD_PLUGIN)
    packages.install_module("new", NEW_PLUGIN)
    assert hook_arguments()["plugin_paused"] == ("lane", "details", "ctx")
    loaded = packages.load("old", "new")
    enabled = [status.status for status in loaded.statuses if status.order is not None]
    assert enabled == ["enabled", "enabled"]
    new, old = loaded.plugins
    assert old.hooks["startup"]("ctx", "reload") == ["startup", "ctx"]
    assert old.hooks["plugin_paused"]("lane", "details", "ctx") == ["plugin_paused", "details"]
    assert new.hooks["startup"]("ctx", "reload") == ["startup", "reload", "ctx"]
    assert new.hooks["plugin_paused"]("lane", "details", "ctx") == ["plugin_paused", "lane"]
    event: Any = "event"
    assert [callback.function(event, event) for callback in old.callbacks] == [
        ["on_new", "event"],
        ["on_change", "event", "event"],
    ]


def test_a_plugin_of_later_is_refused_with_the_reason_by_this_version(packages: Packages) -> None:
    """It names an argument that there is not yet."""
    packages.install_module("new", NEW_PLUGIN)
    status = packages.load(tables={"new": PluginSettings(enabled=True)}).statuses[0]
    assert status.status == "broken"
    assert "startup names the argument reason, which startup does not have" in status.reason
