"""The command `sgevents init`: writes a first configuration, for the sandbox or for a site."""

from __future__ import annotations

import os
import re
import shlex
import sys
import tempfile
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import click

from sgevents_core.cli.config_text import (
    SANDBOX_PORT,
    Installed,
    Site,
    config_text,
    reference,
    toml_string,
)
from sgevents_core.cli.printing import echo
from sgevents_core.cli.root import config_option
from sgevents_core.errors import ConfigError, ConfigExistsError, ConfigNotWrittenError
from sgevents_core.printable import one_line
from sgevents_core.settings import read_settings

DEFAULT_SCRIPT: Final = "sgevents"
DEFAULT_KEY_ENV: Final = "SGEVENTS_API_KEY"
SANDBOX_KEY: Final = "demo-key"


@click.command()
@config_option
@click.option("--sandbox", is_flag=True, help="For trying it on the sandbox; needs no site.")
@click.option("--url", help="The site, like https://studio.shotgrid.autodesk.com.")
@click.option("--script-name", help="The script to sign in as, as the site's Scripts page has it.")
@click.option("--key-env", metavar="VAR", help="The environment variable that holds the key.")
@click.option("--key-file", metavar="FILE", help="The file that holds the key.")
@click.option("--write-key", is_flag=True, help="Write the key itself; it is asked for.")
@click.option("--force", is_flag=True, help="Replace a configuration that is there.")
def init(
    *,
    config: Path,
    sandbox: bool,
    url: str | None,
    script_name: str | None,
    key_env: str | None,
    key_file: str | None,
    write_key: bool,
    force: bool,
) -> None:
    """Write a first configuration, and say what to do next.

    On a terminal, asks for what the options do not say. The script's key is not written to the file
    unless --write-key is given. Installed plugins are listed; none is enabled.
    """
    if os.path.lexists(config) and not force:
        raise ConfigExistsError(path=config)
    if sum((bool(key_env), bool(key_file), write_key)) > 1:
        raise click.UsageError("give one of --key-env, --key-file and --write-key")
    if sandbox or (not url and _wants_sandbox()):
        site = _sandbox(url)
    else:
        site = Site(_url(url), _script_name(script_name), _key(key_env, key_file, write_key))
    text = config_text(site, _installed())
    read_settings(text, config, secrets_required=False)
    _write(config, text, private=not site.key_place)
    echo(f"Wrote {config}. Next:\n\n{_next_steps(site, config)}")


def _wants_sandbox() -> bool:
    if not sys.stdin.isatty():
        raise click.UsageError("say --sandbox to try it, or --url and --script-name for a site")
    question = "Try it on the sandbox, or connect a site?"
    choice = click.Choice(["sandbox", "site"])
    return str(click.prompt(question, type=choice, default="sandbox")) == "sandbox"


def _sandbox(url: str | None) -> Site:
    address = _usable_url(url or f"http://127.0.0.1:{SANDBOX_PORT}")
    return Site(address, DEFAULT_SCRIPT, toml_string(SANDBOX_KEY), is_sandbox=True)


def _url(url: str | None) -> str:
    if url:
        return _usable_url(url)
    question = "The site's address, like https://studio.shotgrid.autodesk.com"
    return str(click.prompt(question, value_proc=_usable_url))


def _usable_url(text: str) -> str:
    """Return `text` as an address that the settings accept, with https if it has no scheme."""
    text = text.strip()
    url = text if "://" in text else f"https://{text}"
    only_url = config_text(Site(url, DEFAULT_SCRIPT, toml_string(SANDBOX_KEY)), [])
    try:
        return read_settings(only_url, Path("sgevents.toml"), secrets_required=False).site.url
    except ConfigError as error:
        problem = error.problems[0]
        message = f"{problem.message}; {problem.fix}"
        raise click.BadParameter(message, param_hint="--url") from None


def _script_name(name: str | None) -> str:
    if name and name.strip():
        return name.strip()
    if not sys.stdin.isatty():
        raise click.UsageError("--script-name is missing: the script to sign in as")
    return str(click.prompt("The script to sign in as", default=DEFAULT_SCRIPT)).strip()


def _key(env: str | None, file: str | None, write: bool) -> str:
    """Return TOML for the script's key: a reference, or the key itself if `write`."""
    if write:
        return toml_string(_asked_key())
    if file:
        return reference("file", file)
    if env:
        return reference("env", _usable_variable(env))
    if not sys.stdin.isatty():
        return reference("env", DEFAULT_KEY_ENV)
    question = "The environment variable that holds the script's key"
    asked = click.prompt(question, default=DEFAULT_KEY_ENV, value_proc=_usable_variable)
    return reference("env", str(asked))


def _asked_key() -> str:
    if sys.stdin.isatty():
        return str(click.prompt("The script's key", hide_input=True)).strip()
    key = sys.stdin.readline().strip()
    if not key:
        raise click.UsageError("--write-key reads the key from standard input, which is empty")
    return key


def _usable_variable(name: str) -> str:
    """Return `name` if it can name a variable; an error does not show it, as it may be the key."""
    name = name.strip()
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        message = "that is not the name of an environment variable; the key itself does not go here"
        raise click.BadParameter(message, param_hint="--key-env")
    return name


def _installed() -> list[Installed]:
    """Return the installed plugins, by their metadata; none is imported."""
    from sgevents_core.plugins.discovery import discover

    found = [one for _, one in sorted(discover().found.items())]
    return [Installed(one.name, one_line(one.provider)) for one in found]


def _write(path: Path, text: str, *, private: bool) -> None:
    """Write the whole file or nothing; only its owner can read it if it holds a key."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        new = Path(name)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            if not private:
                new.chmod(0o644)
            new.replace(path)
        except BaseException:
            new.unlink(missing_ok=True)
            raise
    except (OSError, UnicodeEncodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error.reason
        raise ConfigNotWrittenError(path=path, reason=reason) from None


def _next_steps(site: Site, config: Path) -> str:
    named = "" if config == Path("sgevents.toml") else f" --config {shlex.quote(str(config))}"
    if site.is_sandbox:
        first = f"sgevents sandbox --port {urlsplit(site.url).port or 80}"
        steps = [f"serve the sandbox, in a terminal of its own:\n       {first}"]
    else:
        steps = [f"give the script's key, kept in {site.key_place}"] if site.key_place else []
    steps += [
        f"enable a plugin in {config}: enabled = true below [plugins.NAME]",
        f"look everything over:\n       sgevents check{named}",
        f"run:\n       sgevents run{named}",
    ]
    return "\n".join(f"  {number}. {step}" for number, step in enumerate(steps, 1))
