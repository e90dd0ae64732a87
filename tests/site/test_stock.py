"""Another module of the client's name, or one too old: told with who brought it, no traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from waiting import PATIENCE

MODERN = """
class ShotgunError(Exception): pass
class Fault(ShotgunError): pass
class AuthenticationFault(Fault): pass
class Shotgun: pass
"""
IMPORT = "import sgevents_core.site.stock_client"
CATCH = f"""
from sgevents_core.errors import StockClientError
try:
    {IMPORT}
except StockClientError as error:
    print(error)
"""


def another(folder: Path, name: str, text: str) -> Path:
    """Put a module of the client's name on a path, and return its file."""
    file = folder / "shotgun_api3" / "__init__.py" if name == "package" else folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(textwrap.dedent(text))
    return file


def distributed(folder: Path, name: str, version: str) -> None:
    """Say that an installed distribution has brought the module."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "RECORD").write_text(f"shotgun_api3/__init__.py,,\n{info.name}/METADATA,,\n")


def python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python with a folder before all others on its path."""
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    return subprocess.run(
        [sys.executable, *arguments],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("package", "from .lib.httplib2 import Http", "importing it raised ModuleNotFoundError"),
        ("package", "print 'for Python 2'", "importing it raised SyntaxError"),
        ("package", "raise RuntimeError('too\\nold')", "RuntimeError: too old"),
        ("package", "", "it has no AuthenticationFault, Fault, Shotgun, ShotgunError"),
        ("shotgun_api3.py", f"{MODERN}", "its version is unknown"),
        ("package", f"__version__ = '3.8.4'\n{MODERN}", "its version is 3.8.4"),
        ("package", f"__version__ = '4.0'\n{MODERN}", "its Shotgun has no _call_rpc"),
    ],
)
def test_a_copy_that_cannot_be_used(tmp_path: Path, name: str, text: str, told: str) -> None:
    """The error names what is wrong, the file, and what to do."""
    file = another(tmp_path, name, text)
    ran = python(tmp_path, "-c", CATCH)
    assert ran.returncode == 0, ran.stderr
    assert told in ran.stdout
    assert f"{file}, a copy that no installed distribution lists" in ran.stdout
    assert "pip install" in ran.stdout


def test_the_distribution_that_brought_it_is_named(tmp_path: Path) -> None:
    """Whatever is installed that brought the file is named with its version."""
    another(tmp_path, "package", "from .lib import Http")
    distributed(tmp_path, "sg-python-api", "1.2")
    distributed(tmp_path, "studio-client", "0.3")
    ran = python(tmp_path, "-c", CATCH)
    assert "belongs to sg-python-api 1.2 and studio-client 0.3" in ran.stdout


HIDE = """
from importlib.machinery import PathFinder
found = PathFinder.find_spec
def hide(name, *more):
    return None if name == "shotgun_api3" else found(name, *more)
PathFinder.find_spec = hide
"""


def test_no_client_at_all(tmp_path: Path) -> None:
    """Where nothing has the name, that is told."""
    ran = python(tmp_path, "-c", f"{HIDE}{CATCH}")
    assert ran.returncode == 0, ran.stderr
    assert "ModuleNotFoundError" in ran.stdout
    assert "No module of that name is on the path" in ran.stdout


def test_commands_tell_it_and_no_traceback(tmp_path: Path) -> None:
    """`run` ends with the message; `check` has it among its findings."""
    file = another(tmp_path, "package", "__version__ = '3.3'\n" + MODERN)
    distributed(tmp_path, "sg-python-api", "3.3")
    config = tmp_path / "sgevents.toml"
    config.write_text(
        '[site]\nurl = "http://127.0.0.1:1"\nscript_name = "s"\napi_key = "demo-key"\n'
    )
    ran = python(tmp_path, "-m", "sgevents_core", "run", "-c", str(config))
    assert ran.returncode == 2
    assert "its version is 3.3" in ran.stderr
    assert "sg-python-api 3.3" in ran.stderr
    assert "Traceback" not in ran.stderr
    checked = python(tmp_path, "-m", "sgevents_core", "check", "--json", "-c", str(config))
    (found,) = [one for one in json.loads(checked.stdout)["findings"] if one["area"] == "site"]
    assert "sg-python-api 3.3" in found["message"]
    assert str(file) in found["message"]
    assert "pip install" in found["fix"]


def test_process_without_files_is_not_blamed_on_the_client(tmp_path: Path) -> None:
    """The client is fine if this process cannot open its files; the limit is what helps."""
    raises = "import errno\nraise OSError(errno.EMFILE, 'Too many open files')"
    another(tmp_path, "shotgun_api3.py", raises)
    catch = CATCH.replace("StockClientError", "NoMoreFilesError")
    run = python(tmp_path, "-c", catch)
    assert run.stdout.startswith("This process cannot open another file: Too many open files."), run
    assert "LimitNOFILE=" in run.stdout
