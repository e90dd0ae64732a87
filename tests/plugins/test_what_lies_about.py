"""Metadata that belong to nothing installed, and files that two distributions ship."""

from __future__ import annotations

import base64
import hashlib
import shutil
from pathlib import Path

import pytest
from installed_packages import Packages

from sgevents_core.plugins.discovery import discover
from sgevents_core.plugins.plugin_status import PluginStatus

PLUGIN = "from sgevents_core import hookimpl\n@hookimpl\ndef on_new(event): ...\n"


def record(info: Path, modules: dict[str, str]) -> None:
    """Write RECORD as pip does, for modules with a text."""
    rows = []
    for name, module_text in modules.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(module_text.encode()).digest()).decode()
        rows.append(f"{name},sha256={digest.rstrip('=')},{len(module_text)}")
    (info / "RECORD").write_text("\n".join([*rows, f"{info.name}/RECORD,,"]), "utf-8")


def install(packages: Packages, distribution: str, version: str, text: str = PLUGIN) -> Path:
    """Install a distribution `distribution` whose plugin and module are called `status`."""
    modules = {"status.py": text}
    info = packages.install(distribution, {"status": "status"}, modules, version=version)
    record(info, modules)
    return info


def of(packages: Packages, *names: str) -> dict[str, PluginStatus]:
    """Return the statuses of plugins, all of them enabled."""
    return {
        status.name: status for status in packages.load(*names).statuses if status.name in names
    }


@pytest.mark.parametrize("order", [("1.0", "1.2"), ("1.2", "1.0")])
def test_of_two_versions_the_installed_one_is_found(
    packages: Packages, order: tuple[str, str]
) -> None:
    """That is the one whose files are there, also after a downgrade, whatever comes first."""
    first = install(packages, "studio-status", order[0], "# old\n" + PLUGIN)
    install(packages, "studio-status", order[1])
    discovery = discover()
    assert discovery.found["status"].version == order[1]
    assert discovery.conflicts == {}
    (remark,) = [
        install_remark
        for install_remark in discovery.remarks
        if "studio-status" in install_remark.text
    ]
    assert str(first) in remark.text
    assert f"installed is {order[1]}" in remark.text
    assert remark.fix == "remove that folder"


def test_without_hashes_the_newer_version_is_taken(packages: Packages) -> None:
    """And one without any metadata is none, however new it calls itself."""
    for version in ("1.10", "1.9"):
        packages.install("studio-status", {"status": "status"}, {}, version=version)
    empty = packages.install("studio_status", {"status": "status"}, {}, version="7.0")
    (empty / "METADATA").unlink()
    discovery = discover()
    assert discovery.found["status"].version == "1.10"
    assert len(discovery.remarks) == 2


@pytest.mark.parametrize("name", ["Studio.Status", "studio_status", "STUDIO-status"])
def test_names_that_differ_in_writing_are_one(packages: Packages, name: str) -> None:
    """Case, dots, dashes and underscores do not make another distribution."""
    install(packages, "studio-status", "1.0", "# old\n")
    install(packages, name, "2.0")
    discovery = discover()
    assert discovery.found["status"].version == "2.0"
    assert discovery.conflicts == {}


def test_what_pip_has_put_aside_is_not_installed(packages: Packages) -> None:
    """Beside what is, or alone: then there is no such plugin."""
    info = install(packages, "studio-status", "1.0")
    aside = packages.folder / "~tudio_status-0.9.dist-info"
    shutil.copytree(info, aside)
    metadata_text = (aside / "METADATA").read_text("utf-8").replace("1.0", "0.9")
    (aside / "METADATA").write_text(metadata_text, "utf-8")
    discovery = discover()
    assert discovery.found["status"].version == "1.0"
    (remark,) = discovery.remarks
    assert str(aside) in remark.text
    shutil.rmtree(info)
    discovery = discover()
    assert "status" not in discovery.names
    assert "which is not installed" in discovery.remarks[0].text


def test_plugin_of_an_older_version_that_is_gone_is_no_plugin(packages: Packages) -> None:
    """The version that is installed has none of that name any more."""
    old = packages.install("studio-status", {"gone": "status"}, {}, version="1.0")
    new = packages.install("studio-status", {}, {"status.py": PLUGIN}, version="2.0")
    record(old, {"status.py": "# old"})
    record(new, {"status.py": (packages.folder / "status.py").read_text()})
    assert "gone" not in discover().names


def test_egg_info_and_editable_installs_are_found(packages: Packages, tmp_path: Path) -> None:
    """As setuptools leaves them: beside the source, or without a RECORD of the module."""
    info = packages.folder / "studio_egg.egg-info"
    info.mkdir()
    (info / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: studio-egg\nVersion: 3.1\n")
    (info / "entry_points.txt").write_text("[sgevents.plugins]\negg = egg_plugin\n")
    (packages.folder / "egg_plugin.py").write_text(PLUGIN)
    editable = packages.install("studio-edit", {"edit": "edit_plugin"}, {}, version="1.0")
    record(editable, {"_studio_edit.pth": str(tmp_path)})
    assert of(packages, "egg")["egg"].version == "3.1"
    assert discover().found["edit"].version == "1.0"


def test_module_of_two_distributions_is_a_conflict_that_names_both(packages: Packages) -> None:
    """The one installed last has overwritten the other's: one would run twice, the other never."""
    for distribution, name in (("studio-a", "alpha"), ("studio-b", "bravo")):
        modules = {"shared_plugin.py": f"# {name}\n{PLUGIN}"}
        info = packages.install(distribution, {name: "shared_plugin"}, modules)
        record(info, modules)
    stands = of(packages, "alpha", "bravo")
    for status in stands.values():
        assert status.status == "conflict"
        assert "studio-a 1.0 and studio-b 1.0 both ship its module shared_plugin" in status.reason
        assert str(packages.folder / "shared_plugin.py") in status.reason
        assert status.fix.startswith("Uninstall one of them")


def test_module_in_two_places_of_the_path_is_a_conflict(
    packages: Packages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first on the path would run for both."""
    second = tmp_path / "second"
    second.mkdir()
    packages.install("studio-a", {"alpha": "pkg.one"}, {"pkg/one.py": PLUGIN})
    packages.install("studio-b", {"bravo": "pkg.one:other"}, {"pkg/one.py": PLUGIN}, folder=second)
    monkeypatch.syspath_prepend(str(second))
    stands = of(packages, "alpha", "bravo")
    assert {plugin_status.status for plugin_status in stands.values()} == {"conflict"}
    for path_entry in (packages.folder, second):
        assert str(path_entry / "pkg" / "one.py") in stands["alpha"].reason


def test_plugins_that_share_what_one_distribution_ships_are_none(packages: Packages) -> None:
    """An entry point into another distribution's module, and two in one module."""
    modules = {"shared_plugin.py": PLUGIN + "other = object()\n"}
    info = packages.install(
        "studio-a", {"alpha": "shared_plugin", "other": "shared_plugin:other"}, modules
    )
    record(info, modules)
    record(packages.install("studio-b", {"bravo": "shared_plugin"}, {}), {"b.py": ""})
    assert {
        plugin_status.status for plugin_status in of(packages, "alpha", "other", "bravo").values()
    } == {"enabled"}


def test_other_files_that_two_ship_are_remarked_where_they_differ(packages: Packages) -> None:
    """One of the plugins runs the other's helper; the same helper twice is harmless."""
    for distribution, name in (("studio-a", "alpha"), ("studio-b", "bravo")):
        modules = {f"{name}_p.py": PLUGIN, "helper.py": f"# {name}\n", "pkg/__init__.py": ""}
        info = packages.install(distribution, {name: f"{name}_p"}, modules)
        record(info, modules)
    (remark,) = discover().remarks
    assert "studio-a 1.0 and studio-b 1.0 ship different files as helper.py" in remark.text
    assert {status.status for status in of(packages, "alpha", "bravo").values()} == {"enabled"}


@pytest.mark.parametrize("record_content", [b"", b"\xff\xfe,x,y\n", b'"', b"\x00\n", b"a\rb,c\n"])
def test_record_that_cannot_be_read_is_no_obstacle(
    packages: Packages, record_content: bytes
) -> None:
    """The plugin is found all the same."""
    info = packages.install("studio-a", {"alpha": "alpha_plugin"}, {"alpha_plugin.py": PLUGIN})
    (info / "RECORD").write_bytes(record_content)
    assert of(packages, "alpha")["alpha"].status == "enabled"


def test_record_that_may_not_be_read_is_no_obstacle(packages: Packages) -> None:
    """Nor one that is a folder."""
    info = packages.install("studio-a", {"alpha": "alpha_plugin"}, {"alpha_plugin.py": PLUGIN})
    (info / "RECORD").mkdir()
    (packages.folder / "gone-1.0.dist-info").symlink_to("nowhere")
    assert of(packages, "alpha")["alpha"].status == "enabled"
