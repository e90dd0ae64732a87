"""Commands that plugins add to `sgevents`: who may, what goes wrong, when plugins are imported."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from installed_packages import Packages

from sgevents_core.cli.plugin_commands import config_from_arguments
from sgevents_core.cli.root import sgevents

SITE = '[site]\nurl = "http://127.0.0.1:1"\nscript_name = "s"\napi_key = "demo-key"\n'
GREETER = """
    import click
    from sgevents_core import hookimpl

    @hookimpl
    def register_commands(group):
        @group.command()
        @click.argument("name")
        def greet(name):
            "Say hello."
            click.echo(f"hello {name}")

        @group.group()
        def more(): "More of it."

        @more.command()
        @click.option("--config", "file")
        def where(file):
            click.echo(f"at {file}")

        group.add_command(click.Command("run", callback=lambda: click.echo("mine")))
"""
RIVAL = """
    import click
    from sgevents_core import hookimpl

    @hookimpl
    def register_commands(group):
        group.add_command(click.Command("greet", callback=lambda: click.echo("rival")))
        group.add_command(click.Command("wave", callback=lambda: click.echo("waves")))
"""


class Told(NamedTuple):
    """What a command printed, and its exit code."""

    output: str
    errors: str
    code: object


@pytest.fixture
def config(packages: Packages, tmp_path: Path) -> Path:
    """Install plugins and return a configuration that enables some of them."""
    texts = {"greeter": GREETER, "rival": RIVAL, "trap": "raise SystemExit"}
    texts["angry"] = (
        "from sgevents_core import hookimpl\n@hookimpl\ndef register_commands(group): 1/0"
    )
    texts["bad"] = "raise OSError('no luck')"
    for name, text in texts.items():
        packages.install_module(name, text)
    file = tmp_path / "sgevents.toml"
    enabled = [f"[plugins.{name}]\nenabled = true\n" for name in texts if name != "trap"]
    file.write_text(SITE + "".join(enabled), encoding="utf-8")
    return file


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> Told:
    """Run `sgevents` with arguments."""
    with pytest.raises(SystemExit) as ended:
        sgevents.main(list(arguments), prog_name="sgevents")
    return Told(*capsys.readouterr(), ended.value.code)


def test_a_command_of_a_plugin_is_called_like_any_other(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It takes --config as all do; a group of commands works as well."""
    assert run(capsys, "greet", "ada", "--config", str(config)) == ("hello ada\n", "", 0)
    assert run(capsys, "greet", "-c", str(config), "bo").output == "hello bo\n"
    assert run(capsys, "wave", f"--config={config}").output == "waves\n"
    own = run(capsys, "more", "where", "--config", str(config))
    assert own.output == f"at {config}\n"
    assert "--config" in run(capsys, "greet", "--config", str(config), "--help").output


def test_the_configuration_may_come_from_the_environment_or_the_folder(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for every command."""
    monkeypatch.setenv("SGEVENTS_CONFIG", str(config))
    assert run(capsys, "greet", "ada").output == "hello ada\n"
    monkeypatch.delenv("SGEVENTS_CONFIG")
    monkeypatch.chdir(config.parent)
    assert run(capsys, "greet", "ada").output == "hello ada\n"


def test_help_lists_them_and_says_what_is_missing(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that raises, one that is broken, names that are taken; disabled ones stay alone."""
    monkeypatch.setenv("SGEVENTS_CONFIG", str(config))
    monkeypatch.setenv("COLUMNS", "200")
    shown = run(capsys, "--help").output
    assert "Commands of plugins:\n  greet  Say hello.\n  more   More of it.\n  wave" in shown
    told = " ".join(shown.split())
    assert "Commands of angry are missing: register_commands raised ZeroDivisionError" in told
    assert "Commands of bad are missing, if it has any: it is broken: importing bad" in told
    assert "run of greeter is left out: sgevents has a command of that name" in told
    assert "greet of rival is left out: another plugin has it already" in told
    assert "trap" not in sys.modules


def test_nothing_is_imported_for_commands_of_sgevents(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They cannot be replaced, nor made slower or broken."""
    monkeypatch.setenv("SGEVENTS_CONFIG", str(config))
    assert "Usage: sgevents run" in run(capsys, "run", "--help").output
    assert run(capsys, "status").code == 0
    assert {"greeter", "rival", "angry"}.isdisjoint(sys.modules)


def test_an_unknown_command_says_what_may_be_meant_and_missing(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Commands of plugins are among the suggestions."""
    monkeypatch.setenv("SGEVENTS_CONFIG", str(config))
    told = run(capsys, "gret")
    assert told.code == 2
    assert "No such command 'gret'. Did you mean greet?" in told.errors
    assert "Commands of angry are missing" in told.errors
    config.write_text("[sit]")
    told = run(capsys, "greet")
    assert told.code == 2
    assert "Commands of plugins are not known, as the configuration has 2 problems" in told.errors


def test_without_a_configuration_there_are_none(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A typing error in an empty folder is a typing error, and no more."""
    monkeypatch.chdir(tmp_path)
    told = run(capsys, "explian")
    assert "No such command 'explian'. Did you mean explain?" in told.errors
    assert "configuration" not in told.errors
    assert "Commands of plugins" not in run(capsys, "--help").output


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], "sgevents.toml"),
        (["--config", "a"], "a"),
        (["x", "-c", "a", "y"], "a"),
        (["--config=a"], "a"),
        (["--config"], "sgevents.toml"),
        (["--", "--config", "a"], "sgevents.toml"),
    ],
)
def test_the_configuration_is_found_before_the_command_is_known(
    arguments: list[str], named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its options are not known yet."""
    monkeypatch.delenv("SGEVENTS_CONFIG", raising=False)
    assert config_from_arguments(arguments) == Path(named)
