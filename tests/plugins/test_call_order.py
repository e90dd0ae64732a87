"""Twelve plugins of four distributions: the calls come in exactly the order that is promised."""

from __future__ import annotations

import sys

import pytest
from installed_packages import NO_CONTEXT, Packages

from sgevents_core import Event
from sgevents_core.dispatch.plan import Plan
from sgevents_core.settings import GroupSettings, PluginSettings

CALLS = "calls = []\n"

PLAIN = """
    from sgevents_core import hookimpl
    from order_shared import calls

    @hookimpl
    def on_event(event): calls.append("{name}:on_event")

    @hookimpl
    def on_change(event): calls.append("{name}:on_change")

    @hookimpl
    def on_new(event): calls.append("{name}:on_new")
"""

PATTERNS = """
    from sgevents_core import hookimpl, match
    from order_shared import calls

    @hookimpl(specname="on_change")
    @match(attribute="sg_*", entity_type=["Task", "Shot"])
    def zz_first(event, ctx): calls.append("{name}:zz_first")

    @match(event_type="Shotgun_*_Change", project="Demo")
    @hookimpl(specname="on_event")
    def mm_second(ctx, event): calls.append("{name}:mm_second")

    @hookimpl(specname="on_change")
    @match(new_value=["fin", "ip"])
    def aa_third(): calls.append("{name}:aa_third")

    @hookimpl(specname="on_change")
    @match(entity_type="Version")
    def not_this(event): calls.append("{name}:not_this")
"""

STATE = """
    from functools import partial

    from sgevents_core import hookimpl
    from order_shared import calls

    class Counter:
        def __init__(self): self.count = 0
        def __call__(self, event):
            self.count += 1
            calls.append(f"{name}:counter {{self.count}}")

    class Plugin:
        def __init__(self): self.counter = Counter()

        @hookimpl
        def register_callbacks(self, registrar):
            registrar.register(self.add, event_type="*_Change", args=self.counter)
            registrar.register(self.counter)
            registrar.register(partial(self.told, "again"), entity_type="Task")
            registrar.register(self.told, event_type="Shotgun_Task_New", args=None)

        def add(self, event, ctx, counter):
            counter.count += 10
            calls.append(f"{name}:add {{counter.count}}")

        def told(self, word, event, ctx):
            calls.append(f"{name}:{{word}} {{self.counter.count}}")

        @hookimpl
        def on_retirement(self, event): calls.append("{name}:on_retirement")

        @hookimpl
        def on_change(self, event): calls.append("{name}:on_change")

    plugin = Plugin()
"""

KINDS = {"plain": (PLAIN, ""), "patterns": (PATTERNS, ""), "state": (STATE, ":plugin")}
DISTRIBUTIONS = {
    "zebra-tools": {"b": "plain", "Z": "plain", "status": "patterns"},
    "anim-tools": {"a": "state", "é": "plain", "_x": "patterns"},
    "Comp": {"a2": "plain", "A10": "state", "late": "plain"},
    "misc": {"loner": "patterns", "Loner": "state", "0": "plain"},
}
GROUPS = {
    "review": ["status", "b", "a", "A10"],
    "anim": ["Z", "é", "a2"],
    "default": ["loner", "Loner", "0"],
    "background": ["late", "_x"],
}
CALLED = {
    "plain": ["on_event", "on_change"],
    "patterns": ["zz_first", "mm_second", "aa_third"],
    "state": ["on_change", "add 10", "counter 11", "again 11"],
}
ORDER = ["A10", "a", "b", "status", "Z", "a2", "é", "0", "Loner", "loner", "_x", "late"]

CHANGE = Event(
    {
        "id": 1,
        "event_type": "Shotgun_Task_Change",
        "attribute_name": "sg_status_list",
        "entity": {"type": "Task", "id": 45},
        "project": {"type": "Project", "id": 65, "name": "Demo"},
        "meta": {"old_value": "ip", "new_value": "fin"},
    }
)


@pytest.fixture
def site(packages: Packages) -> Packages:
    """Install the four distributions; return the packages."""
    packages.install("order-shared", {}, {"order_shared.py": CALLS})
    for number, (distribution, plugins) in enumerate(DISTRIBUTIONS.items()):
        modules, values = {}, {}
        for plugin_number, (name, kind) in enumerate(plugins.items()):
            source_text, attribute = KINDS[kind]
            module = f"order_{number}_{plugin_number}"
            modules[f"{module}.py"] = source_text.format(name=name)
            values[name] = module + attribute
        packages.install(distribution, values, modules)
    return packages


def test_calls_come_in_exactly_the_expected_order(site: Packages) -> None:
    """By group as configured, plugin name by code point, place in the plugin."""
    kinds = {name: kind for plugins in DISTRIBUTIONS.values() for name, kind in plugins.items()}
    group_of = {name: group for group, names in GROUPS.items() for name in names}
    tables = {
        name: PluginSettings(
            enabled=True, group=None if group_of[name] == "default" else group_of[name]
        )
        for name in sorted(kinds, reverse=True)
    }
    loaded = site.load(groups=[GroupSettings(name=name) for name in GROUPS], tables=tables)
    assert [(s.name, s.status, s.order) for s in loaded.statuses if s.status != "disabled"] == [
        (name, "enabled", place) for place, name in enumerate(ORDER, 1)
    ]
    plan = Plan(loaded.callbacks)
    for _, callback in plan.for_type(CHANGE.event_type):
        if callback.matches(CHANGE):
            callback.function(CHANGE, NO_CONTEXT)
    expected = [f"{name}:{call}" for name in ORDER for call in CALLED[kinds[name]]]
    assert sys.modules["order_shared"].calls == expected
