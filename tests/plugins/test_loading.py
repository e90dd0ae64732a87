"""Loading: statuses, what a broken plugin costs, and that nothing else is imported."""

from __future__ import annotations

import sys

import pytest
from installed_packages import NO_CONTEXT, Packages

from sgevents_core import Event
from sgevents_core.errors import PluginError
from sgevents_core.plugins.loading import Loaded
from sgevents_core.plugins.plugin_status import PluginStatus
from sgevents_core.settings import GroupSettings, PluginSettings

FINE = """
    from sgevents_core import hookimpl

    @hookimpl
    def on_new(event):
        return "fine"
"""


def status_of(loaded: Loaded, name: str) -> PluginStatus:
    """Return the status of the plugin called `name`."""
    (status,) = [status for status in loaded.statuses if status.name == name]
    return status


def test_an_enabled_plugin_is_loaded(packages: Packages) -> None:
    """It is registered with its callbacks, and its status says where it comes from."""
    packages.install("fine-dist", {"fine": "fine_plugin"}, {"fine_plugin.py": FINE}, version="1.2")
    loaded = packages.load("fine")
    assert status_of(loaded, "fine") == PluginStatus(
        name="fine",
        status="enabled",
        distribution="fine-dist",
        version="1.2",
        group="default",
        lane="default",
        order=1,
        callbacks=1,
    )
    (plugin,) = loaded.plugins
    assert plugin.plugin is sys.modules["fine_plugin"]
    (callback,) = plugin.callbacks
    assert (callback.plugin, callback.name, callback.hook) == (
        "fine",
        "fine_plugin:on_new",
        "on_new",
    )
    assert callback.where == "fine_plugin.py:4"
    assert callback.function(Event({}), NO_CONTEXT) == "fine"
    assert loaded.registry.has_plugin("fine")
    assert loaded.callbacks == plugin.callbacks


def test_an_instance_is_a_plugin_as_well(packages: Packages) -> None:
    """The entry point names it in its module."""
    packages.install(
        "d",
        {"counter": "pkg.counting:counter"},
        {
            "pkg/__init__.py": "",
            "pkg/counting.py": """
                from sgevents_core import hookimpl

                class Counter:
                    count = 0

                    @hookimpl
                    def on_event(self, event):
                        self.count += 1

                counter = Counter()
            """,
        },
    )
    (plugin,) = packages.load("counter").plugins
    plugin.callbacks[0].function(Event({}), NO_CONTEXT)
    assert vars(plugin.plugin)["count"] == 1
    assert plugin.callbacks[0].name == "pkg.counting:Counter.on_event"
    assert plugin.callbacks[0].where == "pkg/counting.py:7"


def test_nothing_that_is_not_enabled_is_imported(packages: Packages) -> None:
    """Neither what the configuration does not name nor what it disables."""
    for name in ("unnamed", "off"):
        packages.install_module(name, "raise SystemExit(1)")
    loaded = packages.load(tables={"off": PluginSettings(enabled=False, group="g")})
    assert {"unnamed", "off"}.isdisjoint(sys.modules)
    assert [
        (s.name, s.status, s.group) for s in loaded.statuses if s.name in {"unnamed", "off"}
    ] == [
        ("off", "disabled", "g"),
        ("unnamed", "disabled", None),
    ]
    assert status_of(loaded, "unnamed").fix == "To enable it: enabled = true in [plugins.unnamed]."


@pytest.mark.parametrize(
    ("plugin_source", "reason"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero at {file}:1"),
        ("\nraise SystemExit('enough')", "SystemExit: enough at {file}:2"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt at {file}:1"),
        ("class Odd(BaseException): pass\nraise Odd('x')", "Odd: x at {file}:2"),
        ("import no_such_module", "No module named 'no_such_module' at {file}:1"),
        ("def broken(:\n", "SyntaxError: invalid syntax at {file}:1"),
        (
            "class Mute(Exception):\n    def __str__(self): raise ValueError\nraise Mute",
            "Mute: <exception str() failed> at {file}:3",
        ),
        ("def again(): again()\nagain()", "RecursionError: maximum recursion depth"),
    ],
)
def test_a_plugin_whose_import_raises_is_broken_and_the_others_run(
    packages: Packages, plugin_source: str, reason: str
) -> None:
    """Whatever it raises, the status has it, with file and line and a short traceback."""
    packages.install_module("bad", plugin_source)
    packages.install_module("fine", FINE)
    loaded = packages.load("bad", "fine")
    bad = status_of(loaded, "bad")
    assert (bad.status, bad.order, bad.callbacks) == ("broken", None, None)
    assert bad.reason.startswith("importing bad raised ")
    assert reason.format(file=packages.folder / "bad.py") in bad.reason
    assert bad.traceback.count("\n") < 40
    assert "importlib" not in bad.traceback
    assert bad.fix
    assert [plugin.name for plugin in loaded.plugins] == ["fine"]
    assert status_of(loaded, "fine").order == 1


def test_the_traceback_shows_the_plugin_and_what_it_called(packages: Packages) -> None:
    """It starts in the plugin, not in what imports it."""
    packages.install_module("bad", "import json\njson.loads('{')")
    bad = status_of(packages.load("bad"), "bad")
    lines = bad.traceback.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[1] == f'  File "{packages.folder / "bad.py"}", line 2, in <module>'
    assert "json.decoder.JSONDecodeError" in bad.traceback


def test_the_traceback_shows_nothing_of_what_went_wrong_before(packages: Packages) -> None:
    """What was being handled when the plugin was loaded is none of its own; what it handles is."""
    packages.install_module("bad", "raise OSError('no luck')")
    handling = "try:\n    1 / 0\nexcept ZeroDivisionError:\n    raise OSError('no luck')"
    packages.install_module("handles", handling)
    try:
        int("a problem of the configuration")
    except ValueError:
        loaded = packages.load("bad", "handles")
    assert "a problem of the configuration" not in status_of(loaded, "bad").traceback
    assert "division by zero" in status_of(loaded, "handles").traceback


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("bad:missing", "the entry point bad of d 1.0 names bad:missing, and bad has no missing."),
        ("no.such", "the entry point bad of d 1.0 names no.such, and there is no module no."),
        ("bad:Plugin", "the entry point bad:Plugin is the class Plugin"),
    ],
)
def test_an_entry_point_that_names_no_module_or_instance_is_broken(
    packages: Packages, value: str, reason: str
) -> None:
    """A class is refused too: who should make the instance?"""
    packages.install("d", {"bad": value}, {"bad.py": "class Plugin: pass"})
    bad = status_of(packages.load("bad"), "bad")
    assert bad.status == "broken"
    assert reason in bad.reason


def test_a_module_that_lacks_another_is_not_the_fault_of_its_entry_point(
    packages: Packages,
) -> None:
    """What its code looks for in vain is told with the line that does."""
    for name, code in (("lacking", "import not_there"), ("asking", "import json; json.nothing")):
        packages.install_module(name, code)
        reason = status_of(packages.load(name), name).reason
        assert f"importing {name} raised " in reason
        assert reason.endswith(f"{name}.py:1.")


def test_an_entry_point_that_is_no_reference_at_all_is_told(packages: Packages) -> None:
    """By its own status; some importlib-metadata do not even list it, then the file is named."""
    info = packages.install("odd-dist", {"odd": "not a reference!"}, {})
    packages.install_module("fine", FINE)
    loaded = packages.load("odd", "fine")
    odd = status_of(loaded, "odd")
    assert odd.status == "broken" or str(info) in odd.reason
    assert [plugin.name for plugin in loaded.plugins] == ["fine"]


def test_a_plugin_that_fails_half_way_leaves_nothing_registered(packages: Packages) -> None:
    """Its hooks and its first registrations are gone with it."""
    packages.install_module(
        "bad",
        """
        from sgevents_core import hookimpl

        @hookimpl
        def on_new(event): ...

        @hookimpl
        def register_callbacks(registrar):
            registrar.register(lambda event: None)
            exit("now")
        """,
    )
    loaded = packages.load("bad")
    bad = status_of(loaded, "bad")
    assert bad.reason.startswith("register_callbacks raised SystemExit: now at ")
    assert "registrar.py" not in bad.traceback
    assert loaded.plugins == ()
    assert loaded.callbacks == ()
    assert not loaded.registry.has_plugin("bad")
    assert loaded.registry.hook.on_new.get_hookimpls() == []


def test_strict_wants_every_enabled_plugin(packages: Packages) -> None:
    """The error names all that cannot be used, and not those that are disabled."""
    packages.install_module("bad", "1 / 0")
    packages.install_module("off", "1 / 0")
    packages.install_module("fine", FINE)
    with pytest.raises(PluginError, match="2 plugins cannot be used") as caught:
        packages.load("bad", "fine", "gone", strict=True)
    assert "bad: broken: importing bad raised ZeroDivisionError" in str(caught.value)
    assert "gone: not installed: " in str(caught.value)
    assert "off" not in str(caught.value)
    assert packages.load("fine", strict=True).plugins[0].name == "fine"


def test_a_name_that_nobody_provides_is_not_installed(packages: Packages) -> None:
    """With the name that was probably meant."""
    packages.install_module("shot_rollup", FINE)
    missing = status_of(packages.load("shot_rolup"), "shot_rolup")
    assert missing.status == "not installed"
    assert missing.reason.endswith(" (did you mean shot_rollup?)")
    off = packages.load(tables={"gone": PluginSettings()})
    assert status_of(off, "gone").status == "disabled"


def test_two_claims_are_a_conflict_that_names_both(packages: Packages) -> None:
    """Neither is imported; all others run."""
    packages.install("a-dist", {"status": "a_status"}, {"a_status.py": FINE}, version="1.1")
    packages.install("b-dist", {"status": "b_status"}, {"b_status.py": FINE}, version="2")
    packages.install_module("fine", FINE)
    loaded = packages.load("status", "fine")
    conflict = status_of(loaded, "status")
    assert conflict.status == "conflict"
    assert "a-dist 1.1 (a_status) and b-dist 2 (b_status)" in conflict.reason
    assert 'distribution = "a-dist" in [plugins.status]' in conflict.fix
    assert {"a_status", "b_status"}.isdisjoint(sys.modules)
    assert status_of(loaded, "fine").status == "enabled"
    assert status_of(packages.load("fine"), "status").status == "conflict"


def test_the_configuration_can_choose_between_two_claims(packages: Packages) -> None:
    """By the distribution's name, however it is spelled; the other is not imported."""
    packages.install("a-dist", {"status": "a_status"}, {"a_status.py": FINE})
    packages.install("b-dist", {"status": "b_status"}, {"b_status.py": FINE})
    table = PluginSettings(enabled=True, distribution="B_Dist")
    loaded = packages.load(tables={"status": table})
    assert status_of(loaded, "status").distribution == "b-dist"
    assert "a_status" not in sys.modules


def test_a_provider_that_the_configuration_does_not_want_is_refused(packages: Packages) -> None:
    """Another package that claims the name is not imported, also where it is the only one."""
    packages.install("impostor", {"status": "bad_status"}, {"bad_status.py": FINE})
    table = PluginSettings(enabled=True, distribution="studio-sg-status")
    refused = status_of(packages.load(tables={"status": table}), "status")
    assert refused.status == "conflict"
    assert "provided by impostor 1.0" in refused.reason
    assert "studio-sg-status" in refused.reason
    assert "bad_status" not in sys.modules


@pytest.mark.parametrize(
    ("requirement", "is_met"),
    [
        ("sgevents-core>=99", False),
        ("SGEvents_Core<0.0.1", False),
        ("sgevents-core", True),
        ("sgevents-core>=0.0.1; python_version >= '3'", True),
        ("sgevents-core>=99; python_version < '3'", True),
        ("sgevents-core>=99; extra == 'future'", True),
        ("other>=99", True),
        ("not a requirement", True),
    ],
)
def test_a_plugin_that_needs_another_core_is_incompatible(
    packages: Packages, requirement: str, is_met: bool
) -> None:
    """That is known from its metadata: it is not imported."""
    packages.install("d", {"p": "wants_core"}, {"wants_core.py": FINE}, requires=[requirement])
    status = status_of(packages.load("p"), "p")
    assert status.status == ("enabled" if is_met else "incompatible")
    assert ("wants_core" in sys.modules) is is_met
    if not is_met:
        assert status.reason.startswith("d 1.0 needs sgevents-core ")
        assert "d" in status.fix


@pytest.mark.parametrize(
    ("wanted_version", "is_met"),
    [(">=1,<2", True), ("==1.0", True), ("<1", False), ("rubbish", False)],
)
def test_a_version_that_the_configuration_does_not_want_is_incompatible(
    packages: Packages, wanted_version: str, is_met: bool
) -> None:
    """It is not imported."""
    packages.install("d", {"p": "versioned"}, {"versioned.py": FINE})
    table = PluginSettings(enabled=True, version=wanted_version)
    status = status_of(packages.load(tables={"p": table}), "p")
    assert status.status == ("enabled" if is_met else "incompatible")
    assert ("versioned" in sys.modules) is is_met


def test_a_disabled_plugin_that_would_not_fit_says_so(packages: Packages) -> None:
    """Before anybody enables it."""
    packages.install("d", {"p": "x"}, {}, requires=["sgevents-core>=99"])
    status = status_of(packages.load(), "p")
    assert (status.status, status.distribution) == ("disabled", "d")
    assert "needs sgevents-core >=99" in status.reason


def test_groups_have_lanes(packages: Packages) -> None:
    """A plugin is in the lane of its group; a group that names none is in the default lane."""
    for name in ("a", "b", "c"):
        packages.install_module(f"lane_{name}", FINE)
    loaded = packages.load(
        "lane_c",
        groups=[GroupSettings(name="slow", lane="render"), GroupSettings(name="quick")],
        tables={
            "lane_a": PluginSettings(enabled=True, group="quick"),
            "lane_b": PluginSettings(enabled=True, group="slow"),
        },
    )
    assert [(p.name, p.group, p.lane) for p in loaded.plugins] == [
        ("lane_b", "slow", "render"),
        ("lane_a", "quick", "default"),
        ("lane_c", "default", "default"),
    ]


def test_one_module_can_be_two_plugins(packages: Packages) -> None:
    """Two names for one module are two plugins, each with its callbacks."""
    packages.install("d", {"one": "shared", "two": "shared"}, {"shared.py": FINE})
    loaded = packages.load("one", "two")
    assert [callback.plugin for callback in loaded.callbacks] == ["one", "two"]


def test_plugins_that_are_equal_or_cannot_be_compared_are_told_apart(packages: Packages) -> None:
    """Which object a plugin is decides, not what its == says."""
    packages.install(
        "d",
        {"one": "equal:one", "two": "equal:two"},
        {
            "equal.py": """
                from sgevents_core import hookimpl

                class Plugin:
                    def __eq__(self, other): raise RuntimeError("not comparable")

                    @property
                    def on_change(self): raise RuntimeError("not to be asked")

                    @hookimpl
                    def on_new(self, event): ...

                one, two = Plugin(), Plugin()
            """
        },
    )
    assert [plugin.name for plugin in packages.load("one", "two").plugins] == ["one", "two"]
