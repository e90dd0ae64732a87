"""Discovery: what is installed, from metadata alone."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import pytest
from installed_packages import Packages

from sgevents_core.plugins.discovery import UNNAMED_DISTRIBUTION, discover

TRAP = "raise SystemExit('imported')"


def test_plugins_are_found_with_their_distribution(packages: Packages) -> None:
    """Name, value, distribution and version are known, and nothing was imported."""
    packages.install(
        "Studio.SG-Status", {"sg_status": "studio_status.plugin : rollup"}, {}, version="1.2.3"
    )
    packages.install("other", {"other": "other_plugin"}, {"other_plugin.py": TRAP})
    found_plugins = discover().found
    assert {"other", "sg_status"} <= set(found_plugins)
    status = found_plugins["sg_status"]
    assert (status.name, status.value) == ("sg_status", "studio_status.plugin:rollup")
    assert (status.distribution, status.version) == ("Studio.SG-Status", "1.2.3")
    assert status.is_from("studio-sg_status")
    assert "other_plugin" not in sys.modules


def test_other_groups_of_entry_points_are_left_alone(packages: Packages) -> None:
    """Only the group sgevents.plugins counts."""
    info = packages.install("tool", {}, {})
    (info / "entry_points.txt").write_text("[console_scripts]\ntool = tool:main\n")
    assert "tool" not in discover().found


def test_two_distributions_that_claim_a_name_are_a_conflict(packages: Packages) -> None:
    """Both are named, and the name is not among those found."""
    packages.install("b-dist", {"status": "b"}, {})
    packages.install("a-dist", {"status": "a", "fine": "a"}, {})
    discovery = discover()
    assert [claimant.distribution for claimant in discovery.conflicts["status"]] == [
        "a-dist",
        "b-dist",
    ]
    assert "status" not in discovery.found
    assert "fine" in discovery.found
    assert {"fine", "status"} <= set(discovery.names)
    assert list(discovery.names) == sorted(discovery.names)


def test_one_distribution_can_be_in_conflict_with_itself(packages: Packages) -> None:
    """A name that is listed twice with different values is no plugin."""
    info = packages.install("a-dist", {}, {})
    (info / "entry_points.txt").write_text("[sgevents.plugins]\nx = a\nx = b\n")
    assert [claimant.value for claimant in discover().conflicts["x"]] == ["a", "b"]


def test_the_same_distribution_seen_twice_is_one(
    packages: Packages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On two places of the path, and on a path that lists a place twice."""
    second = tmp_path / "second"
    second.mkdir()
    packages.install("a-dist", {"status": "a"}, {})
    packages.install("A_dist", {"status": "a"}, {}, version="0.9", folder=second)
    monkeypatch.syspath_prepend(str(second))
    monkeypatch.syspath_prepend(str(packages.folder))
    discovery = discover()
    assert discovery.conflicts == {}
    assert discovery.found["status"].version == "1.0"


def test_identical_entries_of_one_distribution_collapse(packages: Packages) -> None:
    """Spaces in the value do not make another."""
    info = packages.install("a-dist", {}, {})
    (info / "entry_points.txt").write_text("[sgevents.plugins]\nx = a:b\nx = a : b\n")
    assert discover().found["x"].value == "a:b"


@pytest.mark.parametrize(
    "broken", [b"[sgevents.plugins]\n\xff\xfe = x\n", b"[a]\nno equals sign\n"]
)
def test_a_distribution_with_broken_entry_points_hides_no_other(
    packages: Packages, broken: bytes
) -> None:
    """It is told as a problem; plugins of all others are found, each once."""
    bad = packages.install("bad", {}, {})
    (bad / "entry_points.txt").write_bytes(broken)
    packages.install("good-dist", {"good": "good"}, {}, version="2.0")
    discovery = discover()
    assert discovery.found["good"].provider == "good-dist 2.0"
    assert discovery.conflicts == {}
    assert len(discovery.problems) == 1
    assert str(bad) in discovery.problems[0]


@pytest.mark.parametrize("metadata", [None, b"", b"Name: \xff\xfe\n", b"nothing at all"])
def test_broken_metadata_leaves_the_plugin_without_a_provider(
    packages: Packages, metadata: bytes | None
) -> None:
    """Its entry points can be read, so it is found; who provides it is not known."""
    info = packages.install("bad", {"status": "bad"}, {})
    if metadata is None:
        (info / "METADATA").unlink()
    else:
        (info / "METADATA").write_bytes(metadata)
    status_plugin = discover().found["status"]
    assert (status_plugin.distribution, status_plugin.version, status_plugin.requires) == (
        UNNAMED_DISTRIBUTION,
        None,
        (),
    )


def test_places_on_the_path_that_are_not_folders_do_not_matter(
    packages: Packages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when distributions are read one by one."""
    archive = tmp_path / "some.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("x.py", "")
    for path_entry in (str(archive), str(tmp_path / "missing"), ""):
        monkeypatch.syspath_prepend(path_entry)
    bad = packages.install("bad", {}, {})
    (bad / "entry_points.txt").write_text("[x]\nbroken\n")
    packages.install("good-dist", {"good": "good"}, {})
    assert "good" in discover().found
