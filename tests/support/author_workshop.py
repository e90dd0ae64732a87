"""The environment of a plugin author: sgevents installed, pip, and the tools."""

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

NEWEST_METADATA_VERSION = Version("26.0")
"""The `packaging` with which twine reads what the newest hatchling writes; others may be tested."""
PROJECT_ROOT = Path(__file__).resolve().parents[2]
BUILD_WHEEL_COMMAND = [sys.executable, "-m", "hatchling", "build", "-t", "wheel"]


def build_core_wheel(folder: Path) -> Path:
    """Build the wheel of sgevents-core into a folder."""
    run_command([*BUILD_WHEEL_COMMAND, "-d", str(folder)], cwd=PROJECT_ROOT)
    (core_wheel,) = folder.glob("sgevents_core-*.whl")
    return core_wheel


def run_command(
    command: list[str],
    *,
    cwd: Path,
    fails: bool = False,
    extra_environment: Mapping[str, str] | None = None,
) -> str:
    """Run a command and return its output.

    Args:
        command: The command.
        cwd: The folder in which it runs.
        fails: Whether it must fail.
        extra_environment: Variables besides those of this process, of which Python's and pip's are
            left out.
    """
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PIP_")}
    environment.pop("PYTHONPATH", None)
    completed = subprocess.run(
        command,
        cwd=cwd,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={
            **environment,
            "PIP_CONFIG_FILE": os.devnull,
            "NO_COLOR": "1",
            **(extra_environment or {}),
        },
    )
    assert (completed.returncode != 0) is fails, f"{command}\n{completed.stdout}"
    return completed.stdout


class Workshop:
    """A virtual environment with the wheel of sgevents-core.

    Dependencies, pip and tools are those of the environment that runs the tests.

    Args:
        folder: The folder in which it is created.
        core_wheel: The wheel.
    """

    def __init__(self, folder: Path, core_wheel: Path) -> None:
        self.folder = folder
        venv.create(folder / "venv", with_pip=False)
        self.scripts_folder = folder / "venv" / "bin"
        self.packages_folder = next((folder / "venv").glob("lib/python*/site-packages"))
        package_paths = dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib"))
        (self.packages_folder / "tools.pth").write_text("\n".join(package_paths))
        self.pip("install", "--no-deps", "--no-index", "--force-reinstall", str(core_wheel))

    def python(
        self, *arguments: str, cwd: Path | None = None, fails: bool = False, **environment: str
    ) -> str:
        """Run its Python, with more variables in its environment; return the output."""
        command = [str(self.scripts_folder / "python"), *arguments]
        return run_command(
            command, cwd=cwd or self.folder, fails=fails, extra_environment=environment
        )

    def sgevents(self, *arguments: str, cwd: Path | None = None, fails: bool = False) -> str:
        """Run the command `sgevents`; return the output."""
        return run_command(
            [str(self.scripts_folder / "sgevents"), *arguments], cwd=cwd or self.folder, fails=fails
        )

    def pip(self, *arguments: str, fails: bool = False) -> str:
        """Run pip with only the given settings."""
        return self.python("-m", "pip", "--disable-pip-version-check", *arguments, fails=fails)

    def build(self, package: Path, *options: str) -> Path:
        """Build a package as its author does; return the folder with the built files."""
        limit_metadata_version(package / "pyproject.toml")
        self.python("-m", "build", "--no-isolation", *options, str(package))
        return package / "dist"

    def upload(self, built_folder: Path, index: PackageIndex) -> None:
        """Upload the built files to an index."""
        built_files = [str(file) for file in sorted(built_folder.iterdir())]
        options = ["--non-interactive", "--repository-url", index.url, "-u", USER, "-p", PASSWORD]
        self.python("-m", "twine", "upload", *options, *built_files)


def limit_metadata_version(project_file: Path) -> None:
    """Build a project with metadata that an older twine can read, if one is tested."""
    project_text = project_file.read_text("utf-8")
    is_old_packaging = Version(packaging_version) < NEWEST_METADATA_VERSION
    if is_old_packaging and "core-metadata-version" not in project_text:
        version_line = 'core-metadata-version = "2.4"\n'
        wheel_table = "[tool.hatch.build.targets.wheel]\n"
        project_text = project_text.replace(wheel_table, wheel_table + version_line)
        project_file.write_text(
            f"{project_text}\n[tool.hatch.build.targets.sdist]\n{version_line}", "utf-8"
        )
