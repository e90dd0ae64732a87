"""An environment as a plugin's author has it: sgevents installed, pip, and the tools."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Mapping
from pathlib import Path

from package_index import PASSWORD, USER, PackageIndex
from packaging import __version__ as packaging_version
from packaging.version import Version

READS_ALL_METADATA = Version("26.0")
"""The `packaging` with which twine reads what the newest hatchling writes; others may be tested."""
ROOT = Path(__file__).resolve().parents[2]
HATCHLING = [sys.executable, "-m", "hatchling", "build", "-t", "wheel"]


def wheel_of_core(folder: Path) -> Path:
    """Build the wheel of sgevents-core into a folder."""
    run([*HATCHLING, "-d", str(folder)], cwd=ROOT)
    (wheel,) = folder.glob("sgevents_core-*.whl")
    return wheel


def run(
    command: list[str], *, cwd: Path, fails: bool = False, env: Mapping[str, str] | None = None
) -> str:
    """Run a command and return all that it printed.

    Args:
        command: The command.
        cwd: Where.
        fails: Whether it has to fail rather than to succeed.
        env: Variables beside those there are, less what is set for Python and pip.
    """
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PIP_")}
    kept.pop("PYTHONPATH", None)
    done = subprocess.run(
        command,
        cwd=cwd,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**kept, "PIP_CONFIG_FILE": os.devnull, "NO_COLOR": "1", **(env or {})},
    )
    assert (done.returncode != 0) is fails, f"{command}\n{done.stdout}"
    return done.stdout


class Workshop:
    """A virtual environment with sgevents-core in it, as its wheel.

    What sgevents needs, pip and the tools are those of the environment that runs the tests.

    Args:
        folder: Where it is made.
        core: The wheel.
    """

    def __init__(self, folder: Path, core: Path) -> None:
        self.folder = folder
        venv.create(folder / "venv", with_pip=False)
        self.bin = folder / "venv" / "bin"
        self.packages = next((folder / "venv").glob("lib/python*/site-packages"))
        places = dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib"))
        (self.packages / "tools.pth").write_text("\n".join(places))
        self.pip("install", "--no-deps", "--no-index", "--force-reinstall", str(core))

    def python(self, *arguments: str, cwd: Path | None = None, fails: bool = False) -> str:
        """Run its Python; return the output."""
        command = [str(self.bin / "python"), *arguments]
        return run(command, cwd=cwd or self.folder, fails=fails)

    def sgevents(self, *arguments: str, cwd: Path | None = None, fails: bool = False) -> str:
        """Run the command `sgevents`; return the output."""
        return run([str(self.bin / "sgevents"), *arguments], cwd=cwd or self.folder, fails=fails)

    def pip(self, *arguments: str, fails: bool = False) -> str:
        """Run pip with only the given settings."""
        return self.python("-m", "pip", "--disable-pip-version-check", *arguments, fails=fails)

    def build(self, package: Path, *options: str) -> Path:
        """Build a package as its author does; return the folder with the built files."""
        make_readable(package / "pyproject.toml")
        self.python("-m", "build", "--no-isolation", *options, str(package))
        return package / "dist"

    def upload(self, dist: Path, index: PackageIndex) -> None:
        """Upload the built files to an index."""
        files = [str(file) for file in sorted(dist.iterdir())]
        options = ["--non-interactive", "--repository-url", index.url, "-u", USER, "-p", PASSWORD]
        self.python("-m", "twine", "upload", *options, *files)


def make_readable(project: Path) -> None:
    """Build a project with metadata that an older twine can read, if one is tested."""
    text = project.read_text("utf-8")
    is_old = Version(packaging_version) < READS_ALL_METADATA
    if is_old and "core-metadata-version" not in text:
        line = 'core-metadata-version = "2.4"\n'
        wheel = "[tool.hatch.build.targets.wheel]\n"
        text = text.replace(wheel, wheel + line)
        project.write_text(f"{text}\n[tool.hatch.build.targets.sdist]\n{line}", "utf-8")
