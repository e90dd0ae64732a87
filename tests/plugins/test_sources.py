"""Plugins of another source than installed packages: loose files that register in their own way."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from installed_packages import NO_CONTEXT, Packages, settings_for

from sgevents_core import Event
from sgevents_core.markers import Match, Matched
from sgevents_core.observe.redaction import Redactor
from sgevents_core.plugins.callback import Credentials
from sgevents_core.plugins.discovery import FoundPlugin, discover
from sgevents_core.plugins.fingerprints import fingerprint_of
from sgevents_core.plugins.guarding import run_guarded
from sgevents_core.plugins.loading import load
from sgevents_core.plugins.members import Implementation, Members
from sgevents_core.plugins.registrar import CallbackRegistrar
from sgevents_core.plugins.sources import ImportedPlugin
from sgevents_core.settings import PluginSettings, Secret, Settings

LOOSE = """
def tell(event):
    return f"told {event.id}"

def register_all(register):
    register("studio", "studio-s3cret", tell, "Studio_*")
"""


@dataclass(frozen=True)
class LooseFile:
    """The source of one file in a folder, which nobody installed."""

    path: Path
    metadata_folder: Path | None = None

    def files(self, plugin: FoundPlugin) -> Iterator[Path]:
        """Yield the file."""
        yield self.path

    def import_plugin(self, plugin: FoundPlugin) -> ImportedPlugin:
        """Run the file; its `register_all` registers callbacks, each with a script of its own."""
        spec = importlib.util.spec_from_file_location(plugin.value, self.path)
        assert spec is not None
        loader = spec.loader
        assert loader is not None
        module = importlib.util.module_from_spec(spec)
        run_guarded(f"importing {self.path}", lambda: loader.exec_module(module))

        def register(registrar: CallbackRegistrar) -> None:
            def register_one(
                script_name: str, api_key: str, callback: Callable[..., Any], event_type: str
            ) -> None:
                registrar.add_callback(
                    callback,
                    Matched(Match(event_type=(event_type,)), "pause"),
                    source_line=str(self.path),
                    credentials=Credentials(script_name, Secret(api_key)),
                )

            module.register_all(register_one)

        hook = "register_callbacks"
        registering = Implementation(
            hook=hook, attribute=hook, function=register, matched=Matched(Match())
        )
        return ImportedPlugin(module, Members(implementations=(registering,)))


def loose(path: Path, text: str = LOOSE) -> FoundPlugin:
    """Write a loose file; return it as a plugin that was found."""
    path.write_text(text, encoding="utf-8")
    return FoundPlugin(
        name=f"loose:{path.stem}",
        value=path.stem,
        distribution=str(path.parent),
        version=None,
        source=LooseFile(path),
    )


def enabling(*names: str, **table: Any) -> Settings:
    """Return settings that enable plugins with one table."""
    return settings_for(tables={name: PluginSettings(enabled=True, **table) for name in names})


def test_a_plugin_of_another_source_is_a_plugin_like_any_other(
    packages: Packages, tmp_path: Path
) -> None:
    """It stands in the same order, with its status; its callbacks keep their policy and filter."""
    packages.install_module("packed", "from sgevents_core import hookimpl\n")
    found = loose(tmp_path / "tells.py")
    discovery = discover().including({found.name: found})
    loaded = load(enabling("packed", found.name), discovery)
    assert [(one.name, one.status, one.order) for one in loaded.statuses[:2]] == [
        ("loose:tells", "enabled", 1),
        ("packed", "enabled", 2),
    ]
    (callback,) = loaded.callbacks
    assert (callback.plugin, callback.name) == ("loose:tells", "tells:tell")
    assert callback.on_error == "pause"
    assert callback.accepts_type("Studio_Ping")
    assert not callback.accepts_type("Shotgun_Task_New")
    assert callback.function(Event({"id": 3}), NO_CONTEXT) == "told 3"


def test_credentials_of_a_callback_are_its_own_and_secret(
    packages: Packages, tmp_path: Path
) -> None:
    """Its key is kept out of texts, and with `ignore_own` it ignores what its own script did."""
    found = loose(tmp_path / "tells.py")
    settings = enabling(found.name, ignore_own=True, script_name="rollup")
    redact = Redactor.of(settings)
    (callback,) = load(settings, discover().including({found.name: found})).callbacks
    assert callback.credentials == Credentials("studio", Secret("studio-s3cret"))
    assert callback.match.not_script == "studio"
    assert "s3cret" not in redact("the key studio-s3cret was refused")


def test_a_file_that_fails_is_reported_and_the_others_run(
    packages: Packages, tmp_path: Path
) -> None:
    """Broken, with its reason, and nothing of it is registered."""
    fine, bad = loose(tmp_path / "fine.py"), loose(tmp_path / "bad.py", "raise ValueError('no')\n")
    discovery = discover().including({one.name: one for one in (fine, bad)})
    loaded = load(enabling("loose:bad", "loose:fine"), discovery)
    assert [plugin.name for plugin in loaded.plugins] == ["loose:fine"]
    (broken,) = [one for one in loaded.statuses if one.status == "broken"]
    assert broken.name == "loose:bad"
    assert "ValueError: no" in broken.reason


def test_the_mark_follows_the_sources_files(tmp_path: Path) -> None:
    """A change of the file, and of nothing else, makes it another plugin to try again."""
    table = PluginSettings(enabled=True)
    found = loose(tmp_path / "tells.py")
    before = fingerprint_of(found, table)
    (tmp_path / "other.py").write_text("", encoding="utf-8")
    assert fingerprint_of(found, table) == before
    assert fingerprint_of(loose(tmp_path / "tells.py", LOOSE + "\n"), table) != before
