"""`sgevents plugins new`: writes a plugin package that builds, tests and installs as it is."""

from __future__ import annotations

import importlib.util
import keyword
import os
import re
import shutil
import sys
import tempfile
from importlib import resources
from pathlib import Path
from string import Template
from typing import Final

import click

from sgevents_core import __version__
from sgevents_core.cli.config_text import toml_string
from sgevents_core.cli.printing import echo
from sgevents_core.errors import (
    AuthorError,
    PluginFolderError,
    PluginFolderExistsError,
    PluginNameError,
)

FILES: Final = {
    "pyproject.toml": "pyproject.toml.txt",
    "README.md": "README.md.txt",
    ".gitignore": "gitignore.txt",
    "${package}/__init__.py": "init.py.txt",
    "${package}/plugin.py": "plugin.py.txt",
    "${package}/py.typed": "",
    "tests/test_plugin.py": "test_plugin.py.txt",
}
"""File of the package -> its template; an empty file has none."""

RESERVED: Final = frozenset({"sgevents", "test", "tests"})
_NAME: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_AUTHOR: Final = re.compile(r"(?P<name>[^<>]+?)\s*(?:<(?P<email>[^<>@\s]+@[^<>@\s]+)>)?")


@click.command()
@click.argument("name")
@click.option(
    "--directory",
    "-d",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    show_default="the current folder",
    help="Where the package's folder is made.",
)
@click.option("--author", metavar="'NAME <MAIL>'", help="Who writes it, for its metadata.")
@click.option("--description", help="What it does, in one line.")
def new(name: str, directory: Path, author: str | None, description: str | None) -> None:
    """Write a plugin package called NAME.

    It has a plugin to start from, tests, and all that pip needs: it builds, its tests pass, its
    types check and it can be installed as it is. NAME is the name of both the plugin and its
    distribution; begin it with your studio's name, so that it is unique.
    """
    package = package_name(name)
    folder = directory / name
    summary = _summary(description, name)
    values = {
        "name": name,
        "package": package,
        "core": ".".join(__version__.split(".")[:2]),
        "authors": _authors(author),
        "summary": summary,
        "description": toml_string(summary),
        "docstring": summary.replace("\\", "\\\\").replace('"', '\\"'),
    }
    _write(folder, {_filled(path, values): text for path, text in _texts(values).items()})
    echo(f"""\
{folder} is a plugin package now. Next:

    cd {folder}
    pip install -e ".[dev]"
    pytest

and, to run it, in sgevents.toml:

    [plugins.{name}]
    enabled = true
""")


def package_name(name: str) -> str:
    """Return the name of the import package for a plugin called `name`.

    Raises:
        PluginNameError: It is not a valid name.
    """
    if _NAME.fullmatch(name) is None:
        raise PluginNameError(
            name=name,
            reason="a name has lower-case letters, digits and single hyphens, a letter first",
            advice=_better(name),
        )
    package = name.replace("-", "_")
    trouble = _taken_by(package)
    if trouble:
        advice = f"Put your studio's name before it, such as studio-{name}"
        raise PluginNameError(name=name, reason=trouble, advice=advice)
    return package


def _better(name: str) -> str:
    spaced = re.sub(r"([a-z0-9])([A-Z])", r"\1-\2", name).lower()
    slug = re.sub(r"[^a-z0-9]+", "-", spaced).strip("-0123456789")
    return f"Call it {slug}" if _NAME.fullmatch(slug) else "Call it studio-status, say"


def _taken_by(package: str) -> str:
    """Return what prevents a package of this name; empty if nothing does."""
    if keyword.iskeyword(package):
        return f"{package} is a word of Python's own, and cannot be imported"
    if package in sys.stdlib_module_names:
        return f"{package} is a module of Python's own, and it would hide that one"
    if package in RESERVED:
        return f"{package} has a meaning of its own"
    spec = importlib.util.find_spec(package)
    if spec is not None and spec.origin is not None:
        return f"a package {package} is installed already ({spec.origin})"
    return ""


def _authors(author: str | None) -> str:
    """Return the line of `pyproject.toml` with the author; empty if there is none."""
    if author is None:
        return ""
    found = _AUTHOR.fullmatch(author.strip())
    if found is None or not author.isprintable():
        raise AuthorError(author=author)
    email = f", email = {toml_string(found['email'])}" if found["email"] else ""
    return f"authors = [{{ name = {toml_string(found['name'])}{email} }}]\n"


def _summary(description: str | None, name: str) -> str:
    printable = "".join(char if char.isprintable() else " " for char in description or "")
    return " ".join(printable.split()) or f"The sgevents plugin {name}."


def _texts(values: dict[str, str]) -> dict[str, str]:
    folder = resources.files("sgevents_core.cli") / "plugin_template"
    return {
        path: _filled((folder / template).read_text("utf-8"), values) if template else ""
        for path, template in FILES.items()
    }


def _filled(text: str, values: dict[str, str]) -> str:
    return Template(text).substitute(values)


def _write(folder: Path, texts: dict[str, str]) -> None:
    """Write all files, or nothing.

    Raises:
        PluginFolderExistsError: The folder exists already.
        PluginFolderError: It cannot be written.
    """
    if os.path.lexists(folder):
        raise PluginFolderExistsError(path=folder)
    draft: Path | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        draft.chmod(0o755)
        for path, text in texts.items():
            file = draft / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, "utf-8")
        draft.rename(folder)
    except OSError as error:
        if draft is not None:
            shutil.rmtree(draft, ignore_errors=True)
        raise PluginFolderError(path=folder, reason=error.strerror or str(error)) from None
