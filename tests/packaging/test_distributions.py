"""The wheels and the sdist as built: what is in them, and what they say about themselves."""

from __future__ import annotations

import email.message
import email.parser
import subprocess
import sys
import tarfile
import zipfile
from configparser import ConfigParser
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]


def build(source: Path, folder: Path) -> Path:
    """Build the sdist of `source`, and the wheel from that sdist, into `folder`."""
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), "."]
    run = subprocess.run(command, cwd=source, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="session")
def core(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of sgevents-core; its sdist lies beside it."""
    return build(ROOT, tmp_path_factory.mktemp("core"))


@pytest.fixture(scope="session")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of sgevents-plugins-example; its sdist lies beside it."""
    return build(ROOT / "sgevents_plugins_example", tmp_path_factory.mktemp("example"))


def sources(package: Path) -> set[str]:
    """The files of a package that are meant to be shipped, relative to the folder above it."""
    return {
        file.relative_to(package.parent).as_posix()
        for file in package.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }


def inside(wheel: Path, name: str) -> str:
    """The text of a file of the wheel's `.dist-info`."""
    with zipfile.ZipFile(wheel) as files:
        entry = next(entry for entry in files.namelist() if entry.endswith(f".dist-info/{name}"))
        return files.read(entry).decode()


def metadata(wheel: Path) -> email.message.Message:
    """What the wheel says about itself."""
    return email.parser.Parser().parsestr(inside(wheel, "METADATA"))


def entry_points(wheel: Path, group: str) -> dict[str, str]:
    """The wheel's entry points in a group."""
    parser = ConfigParser(delimiters="=")
    parser.read_string(inside(wheel, "entry_points.txt"))
    return dict(parser[group])


def test_wheel_of_the_core_holds_the_package_alone(core: Path) -> None:
    """The core's wheel holds every file of the package, SQL and py.typed too, and no other."""
    with zipfile.ZipFile(core) as files:
        shipped = {name for name in files.namelist() if ".dist-info/" not in name}
    assert shipped == sources(ROOT / "sgevents_core")
    assert "sgevents_core/py.typed" in shipped


def test_wheel_of_the_examples_holds_package_and_tests_alone(example: Path) -> None:
    """It holds every file of the package, py.typed too, and the tests, for `plugins new`."""
    with zipfile.ZipFile(example) as files:
        shipped = {name for name in files.namelist() if ".dist-info/" not in name}
    package = ROOT / "sgevents_plugins_example" / "sgevents_plugins_example"
    tests = {path.name for path in (package.parent / "tests").glob("*.py")}
    shipped_tests = {f"sgevents_plugins_example/example_tests/{name}" for name in tests}
    assert shipped == sources(package) | shipped_tests
    assert "sgevents_plugins_example/py.typed" in shipped
    licence = (ROOT / "LICENSE").read_text()
    assert inside(example, "licenses/LICENSE") == licence


def test_core_describes_itself(core: Path) -> None:
    """The core's metadata gives name, licence, Pythons and the README."""
    about = metadata(core)
    assert about["Name"] == "sgevents-core"
    assert about["Requires-Python"] == ">=3.10"
    assert about["License-Expression"] == "MIT"
    assert about["License-File"] == "LICENSE"
    assert "The sgevents authors" in inside(core, "licenses/LICENSE")
    assert str(about.get_payload()).startswith("# sgevents")
    pythons = {text for text in about.get_all("Classifier", []) if ":: 3." in text}
    assert pythons == {f"Programming Language :: Python :: 3.{minor}" for minor in range(10, 15)}


BOUND_ABOVE = {"importlib-metadata": "<10.2", "nats-py": "<3"}
"""Newer versions bring a package that nobody answers for, or may lack what is reached for in them;
see the page on decisions.
"""


def test_core_has_lower_bounds_and_upper_ones_with_a_reason(core: Path) -> None:
    """Every dependency says from which version on it works; one says up to which, and why."""
    requirements = [Requirement(text) for text in metadata(core).get_all("Requires-Dist", [])]
    names = {requirement.name for requirement in requirements}
    assert {"shotgun-api3", "pluggy", "importlib-metadata", "tomli"} <= {
        name.replace("_", "-") for name in names
    }
    for requirement in requirements:
        limits = sorted(str(limit) for limit in requirement.specifier)
        above = [limit for limit in limits if not limit.startswith(">=")]
        assert len(limits) == len(above) + 1, requirement
        assert above == [limit for name, limit in BOUND_ABOVE.items() if name == requirement.name]


def test_core_brings_the_command(core: Path) -> None:
    """Installing the core brings the command `sgevents`."""
    assert entry_points(core, "console_scripts") == {"sgevents": "sgevents_core.cli:main"}


def test_core_is_importable_with_nothing_beside_it(core: Path) -> None:
    """The wheel alone, no dependency installed, is imported and tells its version."""
    script = f"""
import sys
sys.path.append({str(core)!r})
sys.argv = ["sgevents", "--version"]
import sgevents_core.cli
sgevents_core.cli.main()
"""
    command = [sys.executable, "-I", "-S", "-c", script]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.stdout == f"sgevents {metadata(core)['Version']}\n", run.stderr


def test_sdist_of_the_core_is_enough_to_build_test_and_document(core: Path) -> None:
    """The sdist holds sources, tests, docs and chores, and nothing that a build left behind."""
    with tarfile.open(next(core.parent.glob("*.tar.gz"))) as files:
        names = {name.partition("/")[2] for name in files.getnames()}
    assert {
        *("pyproject.toml", "noxfile.py", "README.md", "LICENSE", "CHANGELOG.md"),
        *(".ci/run", "docs/conf.py", "docs/index.md", "tests/packaging/test_distributions.py"),
        "sgevents_plugins_example/pyproject.toml",
        *sources(ROOT / "sgevents_core"),
    } <= names
    left_behind = ("__pycache__", ".nox/", ".git/", "_build/", ".pyc", "_cache/")
    assert [name for name in names if any(trace in name for trace in left_behind)] == []


def test_examples_are_modules_of_their_wheel(example: Path) -> None:
    """Every plugin that the example declares is a module or a package that its wheel holds."""
    plugins = entry_points(example, "sgevents.plugins")
    assert {"event-log", "shot-status", "status-rules"} <= set(plugins)
    with zipfile.ZipFile(example) as files:
        names = set(files.namelist())
    for module in (value.replace(".", "/") for value in plugins.values()):
        assert {f"{module}.py", f"{module}/__init__.py"} & names, module


def test_examples_need_the_core_alone(example: Path) -> None:
    """The example depends on nothing but the core; one plugin needs an extra of its own."""
    about = metadata(example)
    required = about.get_all("Requires-Dist") or []
    assert [name for name in required if "extra" not in name] == ["sgevents-core>=0.1"]
    assert [name for name in required if "extra" in name] == ["apprise>=1.9; extra == 'notify'"]
    assert about["License-Expression"] == "MIT"
