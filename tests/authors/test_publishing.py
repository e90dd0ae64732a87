"""A plugin's way from nothing to a studio's daemon, over a private index, and back."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from author_workshop import Workshop
from package_index import PackageIndex
from waiting import PATIENCE, wait_until

from sgevents_core.sandbox import Sandbox

NAME = "studio-version-status"
CONFIG = """
[site]
url = "{url}"
script_name = "sgevents"
api_key = "demo-key"

[feed]
start = 1

[plugins.{name}]
enabled = true
distribution = "{name}"
version = ">=1.0,<2"

[plugins.{name}.settings]
status = "apr"
"""
IMPOSTOR = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "{name}"
version = "{version}"

[tool.hatch.build.targets.wheel]
only-include = ["impostor.py"]
"""


@pytest.fixture(scope="module")
def private(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PackageIndex]:
    """The studio's index."""
    with PackageIndex(tmp_path_factory.mktemp("private")) as index:
        yield index


@pytest.fixture(scope="module")
def package(workshop: Workshop) -> Path:
    """The package as `sgevents plugins new` writes it."""
    workshop.sgevents("plugins", "new", NAME, "--author", "Ada Park <ada@studio.example>")
    return workshop.folder / NAME


@pytest.fixture(scope="module")
def published(workshop: Workshop, private: PackageIndex, package: Path) -> Path:
    """The built files of two releases: 1.0.0, and 1.1.0 that also logs a greeting."""
    dist = workshop.build(package)
    workshop.upload(dist, private)
    for file in dist.iterdir():
        file.unlink()
    replace(package / "pyproject.toml", 'version = "1.0.0"', 'version = "1.1.0"')
    plugin = package / "studio_version_status" / "plugin.py"
    replace(plugin, '"sg_status_list": ctx.settings.status', '"description": "by 1.1"')
    workshop.upload(workshop.build(package), private)
    return dist


@pytest.fixture(scope="module")
def public(workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PackageIndex]:
    """A public index with impostors and a library that a studio needs."""
    folder = tmp_path_factory.mktemp("public")
    with PackageIndex(folder / "packages") as index:
        for name, version in ((NAME, "1.1.0"), (NAME, "99.0"), ("wanted-library", "1.0")):
            source = folder / f"{name}-{version}"
            source.mkdir()
            (source / "impostor.py").write_text("")
            project = IMPOSTOR.format(name=name, version=version)
            (source / "pyproject.toml").write_text(project)
            workshop.upload(workshop.build(source, "--wheel"), index)
        yield index


@pytest.fixture
def lock(published: Path, tmp_path: Path) -> Path:
    """Requirements that name the release of the private index by its hashes."""
    files = sorted(published.iterdir())
    hashes = [f"--hash=sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}" for file in files]
    lock = tmp_path / "requirements.txt"
    lock.write_text(f"{NAME}==1.1.0 {' '.join(hashes)}\n")
    return lock


def replace(file: Path, old: str, new: str) -> None:
    """Change a text in a file."""
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def listed(workshop: Workshop, folder: Path) -> tuple[str, str]:
    """Return status and version of the plugin, as `sgevents plugins list` prints them."""
    statuses = json.loads(workshop.sgevents("plugins", "list", "--json", cwd=folder))["plugins"]
    (status_found,) = (status for status in statuses if status["name"] == NAME)
    return status_found["status"], status_found["version"]


@contextmanager
def running(workshop: Workshop, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run the daemon while the block lasts; it is stopped at the end."""
    with (folder / "output.txt").open("wb") as output:
        process = subprocess.Popen(
            [workshop.scripts_folder / "sgevents", "run"], cwd=folder, stdout=output, stderr=output
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(PATIENCE)


def test_from_an_index_into_the_running_daemon_and_back(
    workshop: Workshop, private: PackageIndex, published: Path, tmp_path: Path
) -> None:
    """A plugin is installed, enabled, upgraded and rolled back; no event is handled twice."""
    install = ["install", "--index-url", private.simple]

    def handled(site: Sandbox) -> tuple[str, str | None]:
        """Create a version; return what the plugin did to it."""
        version = site.create("Version", {"code": "fox"}, user="ada")
        status, description = "wtg", None

        def changed() -> bool:
            nonlocal status, description
            fields = ["sg_status_list", "description"]
            (changed_version,) = site.find("Version", [["id", "is", version["id"]]], fields)
            status = changed_version["sg_status_list"]
            description = changed_version["description"]
            return status == "apr" or description is not None

        wait_until(changed, what="the plugin has handled the version")
        return status, description

    with Sandbox() as site:
        (tmp_path / "sgevents.toml").write_text(CONFIG.format(url=site.url, name=NAME))
        workshop.pip(*install, f"{NAME}==1.0.0")
        with running(workshop, tmp_path) as process:
            assert handled(site) == ("apr", None)

            workshop.pip(*install, "--upgrade", NAME)
            assert "1.1.0" in listed(workshop, tmp_path)
            assert handled(site) == ("apr", None), "what is installed is not yet what runs"
            assert NAME in workshop.sgevents("reload", cwd=tmp_path)
            assert handled(site) == ("rev", "by 1.1")

            workshop.pip(*install, f"{NAME}==1.0.0")
            assert NAME in workshop.sgevents("reload", cwd=tmp_path)
            assert handled(site) == ("apr", None)
            assert listed(workshop, tmp_path) == ("enabled", "1.0.0")
            assert process.poll() is None, "it was one daemon all the time"

        descriptions = [row["description"] for row in site.find("Version", (), ["description"])]
        assert descriptions.count("by 1.1") == 1


class TestDependencyConfusion:
    """Somebody has uploaded a package of the same name to a public index."""

    def test_two_indexes_side_by_side_are_the_danger(
        self, workshop: Workshop, private: PackageIndex, public: PackageIndex, published: Path
    ) -> None:
        """With an extra index, pip takes the highest version, wherever it is."""
        both = ["--index-url", private.simple, "--extra-index-url", public.simple]
        output = workshop.pip(
            "install", "--dry-run", "--ignore-installed", "--no-deps", *both, NAME
        )
        assert f"Would install {NAME}-99.0" in output

    def test_hashes_let_nothing_else_in(
        self, workshop: Workshop, private: PackageIndex, public: PackageIndex, lock: Path
    ) -> None:
        """With locked hashes, pip skips the impostor of the same version for the real one."""
        both = ["--index-url", public.simple, "--extra-index-url", private.simple]
        locked = ["--require-hashes", "--no-deps", "-r", str(lock)]
        target = lock.parent / "target"
        workshop.pip("install", "--target", str(target), *both, *locked)
        assert (target / "studio_version_status" / "plugin.py").exists()
        assert not (target / "impostor.py").exists()

    def test_an_impostor_alone_is_refused(
        self, workshop: Workshop, public: PackageIndex, lock: Path
    ) -> None:
        """If only the impostor is available, pip refuses it and installs nothing."""
        locked = ["--require-hashes", "--no-deps", "-r", str(lock)]
        target = lock.parent / "target"
        output = workshop.pip(
            "install", "--target", str(target), "--index-url", public.simple, *locked, fails=True
        )
        assert "DO NOT MATCH THE HASHES" in output
        assert not target.exists()

    def test_an_index_that_proxies_decides_alone(
        self, workshop: Workshop, private: PackageIndex, public: PackageIndex, published: Path
    ) -> None:
        """Packages of the studio's index come from it alone; the others from the public one."""
        with PackageIndex(private.folder, proxied=public) as proxy:
            output = workshop.pip(
                *("install", "--dry-run", "--ignore-installed", "--no-deps"),
                *("--index-url", proxy.simple, NAME, "wanted-library"),
            )
        assert f"Would install {NAME}-1.1.0 wanted-library-1.0" in output
