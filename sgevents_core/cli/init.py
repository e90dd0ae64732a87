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
    ListedPlugin,
    SiteChoice,
    config_text,
    secret_reference,
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
@click.option("--write-key", is_flag=True, help="Write the key itself, after asking for it.")
@click.option("--force", is_flag=True, help="Replace an existing configuration.")
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
        site_choice = _sandbox_site(url)
    else:
        site_choice = SiteChoice(
            _site_url(url), _script_name(script_name), _key_value(key_env, key_file, write_key)
        )
    config_content = config_text(site_choice, _installed_plugins())
    read_settings(config_content, config, secrets_required=False)
    write_config(config, config_content, is_private=not site_choice.key_place)
    echo(f"Wrote {config}. Next:\n\n{_next_steps(site_choice, config)}")


def _wants_sandbox() -> bool:
    if not sys.stdin.isatty():
        raise click.UsageError("give --sandbox to try it, or --url and --script-name for a site")
    question = "Try it on the sandbox, or connect a site?"
    site_or_sandbox = click.Choice(["sandbox", "site"])
    return str(click.prompt(question, type=site_or_sandbox, default="sandbox")) == "sandbox"


def _sandbox_site(url: str | None) -> SiteChoice:
    site_url = _usable_url(url or f"http://127.0.0.1:{SANDBOX_PORT}")
    return SiteChoice(site_url, DEFAULT_SCRIPT, toml_string(SANDBOX_KEY), is_sandbox=True)


def _site_url(url: str | None) -> str:
    if url:
        return _usable_url(url)
    question = "The site's address, like https://studio.shotgrid.autodesk.com"
    return str(click.prompt(question, value_proc=_usable_url))


def _usable_url(url_text: str) -> str:
    """Return `url_text` as an address that the settings accept, with https if it has no scheme."""
    url_text = url_text.strip()
    url = url_text if "://" in url_text else f"https://{url_text}"
    only_url = config_text(SiteChoice(url, DEFAULT_SCRIPT, toml_string(SANDBOX_KEY)), [])
    try:
        return read_settings(only_url, Path("sgevents.toml"), secrets_required=False).site.url
    except ConfigError as error:
        first_problem = error.problems[0]
        message = f"{first_problem.message}; {first_problem.fix}"
        raise click.BadParameter(message, param_hint="--url") from None


def _script_name(script_name: str | None) -> str:
    if script_name and script_name.strip():
        return script_name.strip()
    if not sys.stdin.isatty():
        raise click.UsageError("--script-name is missing: the script to sign in as")
    return str(click.prompt("The script to sign in as", default=DEFAULT_SCRIPT)).strip()


def _key_value(key_variable: str | None, key_file: str | None, writes_key: bool) -> str:
    """Return TOML for the script's key: a reference, or the key itself if `writes_key`."""
    if writes_key:
        return toml_string(_read_key())
    if key_file:
        return secret_reference("file", key_file)
    if key_variable:
        return secret_reference("env", _usable_variable(key_variable))
    if not sys.stdin.isatty():
        return secret_reference("env", DEFAULT_KEY_ENV)
    question = "The environment variable that holds the script's key"
    chosen_variable = click.prompt(question, default=DEFAULT_KEY_ENV, value_proc=_usable_variable)
    return secret_reference("env", str(chosen_variable))


def _read_key() -> str:
    if sys.stdin.isatty():
        return str(click.prompt("The script's key", hide_input=True)).strip()
    script_key = sys.stdin.readline().strip()
    if not script_key:
        raise click.UsageError("--write-key reads the key from standard input, which is empty")
    return script_key


def _usable_variable(variable_name: str) -> str:
    """Return a variable's name if it is valid; an error never shows it, since it may be the key."""
    variable_name = variable_name.strip()
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", variable_name):
        message = "that is not the name of an environment variable; the key itself does not go here"
        raise click.BadParameter(message, param_hint="--key-env")
    return variable_name


def _installed_plugins() -> list[ListedPlugin]:
    """Return the installed plugins, by their metadata; none is imported."""
    from sgevents_core.plugins.discovery import discover

    plugins = [plugin for _, plugin in sorted(discover().found.items())]
    return [ListedPlugin(plugin.name, one_line(plugin.provider)) for plugin in plugins]


def write_config(path: Path, config_content: str, *, is_private: bool) -> None:
    """Write the whole file or nothing; only its owner can read it if it holds a key."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, draft_name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        draft_file = Path(draft_name)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as opened_file:
                opened_file.write(config_content)
            if not is_private:
                draft_file.chmod(0o644)
            draft_file.replace(path)
        except BaseException:
            draft_file.unlink(missing_ok=True)
            raise
    except (OSError, UnicodeEncodeError) as error:
        error_text = error.strerror if isinstance(error, OSError) else error.reason
        raise ConfigNotWrittenError(path=path, reason=error_text) from None


def _next_steps(choice: SiteChoice, config: Path) -> str:
    option_text = "" if config == Path("sgevents.toml") else f" --config {shlex.quote(str(config))}"
    if choice.is_sandbox:
        sandbox_command = f"sgevents sandbox --port {urlsplit(choice.url).port or 80}"
        next_steps = [f"serve the sandbox, in a terminal of its own:\n       {sandbox_command}"]
    else:
        next_steps = (
            [f"give the script's key, kept in {choice.key_place}"] if choice.key_place else []
        )
    next_steps += [
        f"enable a plugin in {config}: enabled = true below [plugins.NAME]",
        f"check everything:\n       sgevents check{option_text}",
        f"run:\n       sgevents run{option_text}",
    ]
    return "\n".join(f"  {number}. {step}" for number, step in enumerate(next_steps, 1))
