"""`sgevents migrate plugin`: drafts a package from a classic plugin."""

from __future__ import annotations

import re
from pathlib import Path

import click

from sgevents_core import __version__
from sgevents_core.cli.plugins_new import package_name, write_package
from sgevents_core.cli.printing import echo, echo_line
from sgevents_core.errors import PluginNameError
from sgevents_core.printable import counted


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--name", help="The plugin's name; by default, that of the file.")
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    show_default="the current folder",
    help="Where the package's folder is made.",
)
def migrate_plugin(file: Path, name: str | None, output: Path) -> None:
    """Draft a package from the classic plugin FILE.

    The callbacks are taken over as they are, with hooks that have their filters, an entry point and
    tests to fill in. It runs before any edit; what could not be translated is marked. FILE is not
    executed, and stays as it is.
    """
    from sgevents_core.migrating.drafting import DraftNames, draft_package

    plugin_name, package = (name, package_name(name)) if name else _name_of(file)
    core = ".".join(__version__.split(".")[:2])
    drafted = draft_package(file, DraftNames(plugin_name, package, core))
    folder = output / plugin_name
    write_package(folder, dict(drafted.files))
    for reason in drafted.reasons:
        echo_line(
            f"It registers its callbacks as before, because hooks cannot be drafted: {reason}."
        )
    marks = counted(drafted.marks, "line")
    echo(f"""\
{folder} is a plugin package now; {marks} with TRANSLATE ask for a look. Next:

    cd {folder}
    pip install -e ".[dev]"
    pytest

and read README.md there: it says what sgevents.toml needs.
""")


def _name_of(file: Path) -> tuple[str, str]:
    """Return a name for the plugin in a file, and its import package.

    Raises:
        PluginNameError: The file's name cannot be turned into a valid one.
    """
    spaced = re.sub(r"([a-z0-9])([A-Z])", r"\1-\2", file.stem).lower()
    slug = re.sub(r"[^a-z0-9]+", "-", spaced).strip("-0123456789") or "plugin"
    try:
        return slug, package_name(slug)
    except PluginNameError:
        return f"studio-{slug}", package_name(f"studio-{slug}")
