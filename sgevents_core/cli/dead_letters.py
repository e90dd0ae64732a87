"""`sgevents dead-letters`: events that callbacks failed on for good, to read, retry or dismiss."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sgevents_core.cli.asking import NOT_DONE, Wanted, ask, load, request_options
from sgevents_core.cli.printing import cell, echo, echo_json, echo_line
from sgevents_core.cli.root import config_option
from sgevents_core.cli.tables import print_table
from sgevents_core.errors import LettersNotNamed, NoSuchLetter

if TYPE_CHECKING:
    from sgevents_core.journal.letters import Letter
    from sgevents_core.settings import Settings

_plugin_option = click.option("--plugin", metavar="NAME", help="Only those of this plugin.")
_event_option = click.option(
    "--event", type=int, metavar="ID", help="Only those for the event of this id."
)
_json_option = click.option("--json", "as_json", is_flag=True, help="As JSON, for scripts.")
_all_option = click.option("--all", "all_", is_flag=True, help="All there are.")


@click.group("dead-letters")
def dead_letters() -> None:
    """List, retry or dismiss events that callbacks failed on.

    A dead letter is kept, with its event, until it is retried or dismissed.
    """


@dead_letters.command("list")
@_plugin_option
@_event_option
@_json_option
@config_option
def list_letters(plugin: str | None, event: int | None, as_json: bool, config: Path) -> None:
    """List the dead letters, oldest first."""
    letters = _find(load(config), plugin, event)
    if as_json:
        echo_json([_as_json(letter) for letter in letters])
    elif not letters:
        echo("There are no dead letters.")
    else:
        _print_table(letters)


@dead_letters.command("show")
@click.argument("number", type=int)
@_json_option
@config_option
def show(number: int, as_json: bool, config: Path) -> None:
    """Show a dead letter: the error, where it was raised, the event."""
    (letter,) = _named(load(config), [number])
    if as_json:
        echo_json(_as_json(letter, whole=True))
        return
    failure = letter.failure
    became = "" if letter.dead else f", {failure.outcome}"
    echo_line(f"dead letter {letter.number}{became}: {failure.error}")
    echo_line(f"plugin {failure.plugin}, callback {failure.callback}")
    echo(f"event {failure.event_id}, attempt {failure.attempt}, {_when(failure.at)}")
    echo(f"\n{failure.traceback.rstrip() or '(no traceback)'}\n")
    echo_json(_event(letter))


@dead_letters.command("retry")
@click.argument("numbers", type=int, nargs=-1)
@_plugin_option
@_event_option
@_all_option
@request_options
@config_option
@click.pass_context
def retry(
    ctx: click.Context,
    *,
    numbers: tuple[int, ...],
    plugin: str | None,
    event: int | None,
    all_: bool,
    timeout: float,
    reason: str,
    config: Path,
) -> None:
    """Call the callbacks of dead letters once more, each for its event.

    NUMBERS name the letters; or say --plugin, --event or --all. One that is handled now is no dead
    letter any more; one that fails again stays, with the new error. Events that plugins wait for
    are not held up, and no plugin moves.
    """
    ctx.exit(
        _ask(load(config), "retry", _chosen(config, numbers, plugin, event, all_), timeout, reason)
    )


@dead_letters.command("dismiss")
@click.argument("numbers", type=int, nargs=-1)
@_plugin_option
@_event_option
@_all_option
@request_options
@config_option
@click.pass_context
def dismiss(
    ctx: click.Context,
    *,
    numbers: tuple[int, ...],
    plugin: str | None,
    event: int | None,
    all_: bool,
    timeout: float,
    reason: str,
    config: Path,
) -> None:
    """Drop dead letters for good.

    Their events will never be handled by the callbacks that failed on them.

    NUMBERS name the letters; or say --plugin, --event or --all.
    """
    ctx.exit(
        _ask(
            load(config), "dismiss", _chosen(config, numbers, plugin, event, all_), timeout, reason
        )
    )


def _ask(
    settings: Settings, kind: str, letters: Sequence[Letter], timeout: float, reason: str
) -> int:
    if not letters:
        echo("There are no such dead letters.")
        return NOT_DONE
    wanted = [
        Wanted(
            kind=kind,
            plugin=letter.failure.plugin,
            label=letter.failure.plugin,
            detail={"letter": letter.number},
        )
        for letter in letters
    ]
    return ask(settings, wanted, timeout, reason)


def _chosen(
    config: Path, numbers: tuple[int, ...], plugin: str | None, event: int | None, all_: bool
) -> list[Letter]:
    """Return the letters a command is about: those named, or those an option names."""
    settings = load(config)
    if bool(numbers) == (all_ or plugin is not None or event is not None):
        raise LettersNotNamed
    return _named(settings, numbers) if numbers else _find(settings, plugin, event)


def _find(settings: Settings, plugin: str | None, event: int | None) -> list[Letter]:
    from sgevents_core.journal.letters import Letters  # noqa: PLC0415 - heavy

    with closing(Letters(settings.state.path)) as letters:
        return letters.find(plugin, event)


def _named(settings: Settings, numbers: Sequence[int]) -> list[Letter]:
    from sgevents_core.journal.letters import Letters  # noqa: PLC0415 - heavy

    found = []
    with closing(Letters(settings.state.path)) as letters:
        for number in dict.fromkeys(numbers):
            letter = letters.get(number)
            if letter is None:
                raise NoSuchLetter(number=number)
            found.append(letter)
    return found


def _event(letter: Letter) -> Any:
    return json.loads(letter.body) if letter.body else None


def _as_json(letter: Letter, *, whole: bool = False) -> dict[str, Any]:
    failure = letter.failure
    told: dict[str, Any] = {
        "number": letter.number,
        "plugin": failure.plugin,
        "callback": failure.callback,
        "event_id": failure.event_id,
        "attempts": failure.attempt,
        "error": failure.error,
        "at": failure.at,
        "state": "dead" if letter.dead else failure.outcome,
    }
    return {**told, "traceback": failure.traceback, "event": _event(letter)} if whole else told


def _print_table(letters: Sequence[Letter]) -> None:
    from rich.table import Table  # noqa: PLC0415 - slow to import, and not for --json

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("number", "event", "attempts"):
        table.add_column(title, justify="right", no_wrap=True)
    for title in ("plugin", "callback", "when", "error"):
        table.add_column(title, no_wrap=title != "error")
    for letter in letters:
        failure = letter.failure
        cells = (letter.number, failure.event_id, failure.attempt, failure.plugin)
        words = (failure.callback, _when(failure.at), failure.error)
        table.add_row(*(cell(one) for one in (*cells, *words)))
    print_table(table)


def _when(at: float) -> str:
    return f"{datetime.fromtimestamp(at).astimezone():%Y-%m-%d %H:%M:%S}"
