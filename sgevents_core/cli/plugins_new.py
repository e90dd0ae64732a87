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

TEMPLATE_FILES: Final = {
    "pyproject.toml": "pyproject.toml.txt",
    "README.md": "README.md.txt",
    ".gitignore": "gitignore.txt",
    "${package}/__init__.py": "init.py.txt",
    "${package}/plugin.py": "plugin.py.txt",
    "${package}/py.typed": "",
    "tests/test_plugin.py": "test_plugin.py.txt",
}
"""File of the package -> its template; empty files have none."""

_EXAMPLE_REQUIREMENTS: Final = {
    "hypothesis": ("dev = [", "hypothesis>=6.100"),
    "apprise": ("\ndependencies = [", "apprise>=1.9"),
}
"""What some examples import -> the list of `pyproject.toml` that it belongs to, and its entry."""

RESERVED_NAMES: Final = frozenset({"sgevents", "test", "tests"})
_NAME_PATTERN: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_AUTHOR_PATTERN: Final = re.compile(r"(?P<name>[^<>]+?)\s*(?:<(?P<email>[^<>@\s]+@[^<>@\s]+)>)?")


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
@click.option("--example", metavar="EXAMPLE", help="Start from this example plugin.")
def new(
    *,
    name: str,
    directory: Path,
    author: str | None,
    description: str | None,
    example: str | None,
) -> None:
    """Write a plugin package called NAME.

    It has a plugin to start from, tests, and all that pip needs: it builds, its tests pass, its
    types check and it can be installed as it is. NAME is the name of both the plugin and its
    distribution; begin it with your studio's name, so that it is unique.

    With --example, its code and tests are those of a plugin of sgevents-plugins-example, such as
    status-rules, renamed.
    """
    package_folder = package_name(name)
    plugin_folder = directory / name
    summary_line = _summary(description, name)
    template_values = {
        "name": name,
        "package": package_folder,
        "core": ".".join(__version__.split(".")[:2]),
        "authors": _authors(author),
        "summary": summary_line,
        "description": toml_string(summary_line),
        "docstring": summary_line.replace("\\", "\\\\").replace('"', '\\"'),
    }
    write_package(plugin_folder, _package_texts(template_values, example))
    echo(f"""\
{plugin_folder} is a plugin package now. Next:

    cd {plugin_folder}
    pip install -e ".[dev]"
    pytest

and, to run it, in sgevents.toml:

    [plugins.{name}]
    enabled = true
""")


def package_name(name: str) -> str:
    """Return the name of the import package for a plugin called `name`.

    Raises:
        PluginNameError: The name is not valid.
    """
    if _NAME_PATTERN.fullmatch(name) is None:
        raise PluginNameError(
            name=name,
            reason="a name has lower-case letters, digits and single hyphens, a letter first",
            advice=_better_name(name),
        )
    package_identifier = name.replace("-", "_")
    name_trouble = _name_conflict(package_identifier)
    if name_trouble:
        name_advice = f"Put your studio's name before it, such as studio-{name}"
        raise PluginNameError(name=name, reason=name_trouble, advice=name_advice)
    return package_identifier


def _better_name(name: str) -> str:
    spaced_name = re.sub(r"([a-z0-9])([A-Z])", r"\1-\2", name).lower()
    slug = re.sub(r"[^a-z0-9]+", "-", spaced_name).strip("-0123456789")
    return f"Call it {slug}" if _NAME_PATTERN.fullmatch(slug) else "Call it studio-status, say"


def _name_conflict(package_identifier: str) -> str:
    """Return why a package cannot have this name; empty if it can."""
    if keyword.iskeyword(package_identifier):
        return f"{package_identifier} is a Python keyword and cannot be imported"
    if package_identifier in sys.stdlib_module_names:
        return f"{package_identifier} is a module of Python's standard library, which it would hide"
    if package_identifier in RESERVED_NAMES:
        return f"{package_identifier} is reserved"
    module_spec = importlib.util.find_spec(package_identifier)
    if module_spec is not None and module_spec.origin is not None:
        return f"a package {package_identifier} is installed already ({module_spec.origin})"
    return ""


def _authors(author: str | None) -> str:
    """Return the line of `pyproject.toml` with the author; empty if there is none."""
    if author is None:
        return ""
    author_match = _AUTHOR_PATTERN.fullmatch(author.strip())
    if author_match is None or not author.isprintable():
        raise AuthorError(author=author)
    email_field = f", email = {toml_string(author_match['email'])}" if author_match["email"] else ""
    return f"authors = [{{ name = {toml_string(author_match['name'])}{email_field} }}]\n"


def _summary(description: str | None, name: str) -> str:
    printable_text = "".join(
        character if character.isprintable() else " " for character in description or ""
    )
    return " ".join(printable_text.split()) or f"The sgevents plugin {name}."


def _package_texts(template_values: dict[str, str], example_name: str | None) -> dict[str, str]:
    """Return all files of a new package: path -> text.

    Raises:
        ExamplesMissingError: The distribution of the examples is not installed.
        UnknownExampleError: It has no such plugin.
    """
    file_texts = {
        _fill_template(relative_path, template_values): file_text
        for relative_path, file_text in _file_texts(template_values).items()
    }
    if example_name is None:
        return file_texts
    from sgevents_core.cli.example_package import example_texts, find_example

    package_folder = template_values["package"]
    texts = example_texts(find_example(example_name), template_values["name"], package_folder)
    del file_texts[f"{package_folder}/plugin.py"], file_texts["tests/test_plugin.py"]
    file_texts["README.md"] = _example_readme(template_values, example_name)
    for tool_name, (list_start, requirement) in _EXAMPLE_REQUIREMENTS.items():
        if any(
            f"import {tool_name}" in text or f"from {tool_name}" in text for text in texts.values()
        ):
            file_texts["pyproject.toml"] = file_texts["pyproject.toml"].replace(
                list_start, f'{list_start}"{requirement}", '
            )
    return {**file_texts, **texts}


def _example_readme(template_values: dict[str, str], example_name: str) -> str:
    name, summary = template_values["name"], template_values["summary"]
    return f"""\
# {name}

{summary}
It began as the example `{example_name}` of sgevents.

    pip install -e ".[dev]"
    pytest

To run it, enable it in `sgevents.toml`:

```toml
[plugins.{name}]
enabled = true
```
"""


def _file_texts(template_values: dict[str, str]) -> dict[str, str]:
    template_folder = resources.files("sgevents_core.cli") / "plugin_template"
    return {
        path: _fill_template((template_folder / template_name).read_text("utf-8"), template_values)
        if template_name
        else ""
        for path, template_name in TEMPLATE_FILES.items()
    }


def _fill_template(template_text: str, template_values: dict[str, str]) -> str:
    return Template(template_text).substitute(template_values)


def write_package(plugin_folder: Path, file_texts: dict[str, str]) -> None:
    """Write all files, or nothing.

    Raises:
        PluginFolderExistsError: The folder already exists.
        PluginFolderError: The folder cannot be written.
    """
    if os.path.lexists(plugin_folder):
        raise PluginFolderExistsError(path=plugin_folder)
    draft: Path | None = None
    try:
        plugin_folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{plugin_folder.name}-", dir=plugin_folder.parent))
        draft.chmod(0o755)
        for relative_path, file_text in file_texts.items():
            file_path = draft / relative_path
            file_path.parent.mkdir(parents=True, exist_ok=True)
            file_path.write_text(file_text, "utf-8")
        draft.rename(plugin_folder)
    except OSError as error:
        if draft is not None:
            shutil.rmtree(draft, ignore_errors=True)
        raise PluginFolderError(path=plugin_folder, reason=error.strerror or str(error)) from None
