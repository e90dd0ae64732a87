"""`sgevents dead-letters`: events that callbacks failed on for good, to read, retry or dismiss."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import click

from sgevents_core.cli.asking import MOST_PRINTED, NOT_DONE, Wanted, ask, load, request_options
from sgevents_core.cli.printing import cell, echo, echo_json, echo_line, iso, redacted
from sgevents_core.cli.root import config_option
from sgevents_core.cli.tables import print_table
from sgevents_core.errors import LettersNotNamed, NoSuchLetter
from sgevents_core.printable import counted, lines
from sgevents_core.state.opening import open_state

if TYPE_CHECKING:
    from sgevents_core.settings import Settings
    from sgevents_core.state.letters import Chosen, Letter, LetterGroup
    from sgevents_core.state.protocols import Letters

_SHOWN: Final = 50
"""The most dead letters, or groups of them, listed by default."""
_MOST_MEASURED: Final = 1_000
"""The most dead letters in a table; more follow as plain lines, as they come."""
_AT_ONCE: Final = 1_000
"""The most dead letters that one request dismisses."""
_F = TypeVar("_F", bound=Callable[..., object])
_json_option = click.option("--json", "as_json", is_flag=True, help="As JSON, for scripts.")
_all_option = click.option("--all", "all_", is_flag=True, help="All there are.")


def _choosing(command: _F) -> _F:
    """Add the options that choose dead letters; the command takes `chosen`."""

    @functools.wraps(command)
    def chosen(
        *args: Any,
        plugin: str | None,
        callback: str | None,
        error: str | None,
        event: int | None,
        **more: Any,
    ) -> object:
        from sgevents_core.state.letters import Chosen

        return command(*args, chosen=Chosen(plugin, callback, error, event), **more)

    options = (
        click.option("--plugin", metavar="NAME", help="Only those of this plugin."),
        click.option("--callback", metavar="NAME", help="Only those of this callback."),
        click.option(
            "--error",
            metavar="TEXT",
            help="Only those whose error contains TEXT; # in it stands for any number.",
        ),
        click.option(
            "--event", type=int, metavar="ID", help="Only those for the event of this id."
        ),
    )
    wrapped: Any = chosen
    for option in reversed(options):
        wrapped = option(wrapped)
    return cast("_F", wrapped)


@click.group("dead-letters")
def dead_letters() -> None:
    """List, retry or dismiss events that callbacks failed on.

    A dead letter is kept, with its event, until it is retried or dismissed.
    """


@dead_letters.command("list")
@_choosing
@click.option("--groups", is_flag=True, help="One line for each plugin, callback and error.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    metavar="N",
    help=f"So many at most, by default {_SHOWN}.",
)
@click.option("--after", type=int, default=0, metavar="NUMBER", help="Those behind this one.")
@_all_option
@_json_option
@config_option
def list_letters(
    *,
    chosen: Chosen,
    groups: bool,
    limit: int | None,
    after: int,
    all_: bool,
    as_json: bool,
    config: Path,
) -> None:
    """List the dead letters, oldest first.

    Shows the first 50, and how many are left; --after NUMBER continues after that one. JSON has all
    of them, unless --limit is given.
    """

    most = limit or (-1 if all_ or as_json else _SHOWN)
    with closing(open_state(load(config).state.path).letters()) as letters:
        if groups:
            _show_groups(letters.groups(chosen), most, as_json=as_json)
        elif as_json:
            found = (_as_json(letter) for letter in letters.listed(chosen, after, most))
            _write_json("dead_letters", found)
        else:
            _show_page(letters, chosen, after, most)


@dead_letters.command("show")
@click.argument("number", type=int)
@_json_option
@config_option
def show(number: int, as_json: bool, config: Path) -> None:
    """Show a dead letter: the error, where it was raised, the event."""
    (letter,) = _named(load(config), [number])
    if as_json:
        echo_json({"version": 1, **_as_json(letter, whole=True)})
        return
    failure = letter.failure
    became = "" if letter.dead else f", {failure.outcome}"
    echo_line(f"dead letter {letter.number}{became}: {failure.error}")
    echo_line(f"plugin {failure.plugin}, callback {failure.callback}")
    echo(f"event {failure.event_id}, attempt {failure.attempt}, {_when(failure.at)}")
    trace = failure.traceback.rstrip() or "(no traceback)"
    echo(f"\n    {lines(redacted(trace), indent='    ')}\n")
    echo_json(_event(letter))


@dead_letters.command("retry")
@click.argument("numbers", type=int, nargs=-1)
@_choosing
@_all_option
@request_options
@config_option
@click.pass_context
def retry(
    ctx: click.Context,
    *,
    numbers: tuple[int, ...],
    chosen: Chosen,
    all_: bool,
    timeout: float,
    reason: str,
    config: Path,
) -> None:
    """Call the callbacks of dead letters once more, each for its event.

    Give the NUMBERS of the letters, or --plugin, --callback, --error, --event or --all. A letter
    whose callback succeeds is settled; one that fails again stays, with the new error. New events
    are not held up, and no plugin's position changes.
    """
    settings = load(config)
    letters = _meant(settings, numbers, chosen, all_=all_)
    ctx.exit(_ask(settings, [_one("retry", letter) for letter in letters], timeout, reason))


@dead_letters.command("dismiss")
@click.argument("numbers", type=int, nargs=-1)
@_choosing
@_all_option
@request_options
@config_option
@click.pass_context
def dismiss(
    ctx: click.Context,
    *,
    numbers: tuple[int, ...],
    chosen: Chosen,
    all_: bool,
    timeout: float,
    reason: str,
    config: Path,
) -> None:
    """Drop dead letters for good.

    The callbacks that failed on their events will never be called for them again.

    Give the NUMBERS of the letters, or --plugin, --callback, --error, --event or --all.
    """
    settings = load(config)
    letters = _meant(settings, numbers, chosen, all_=all_)
    if len(letters) <= MOST_PRINTED:
        wanted = [_one("dismiss", letter) for letter in letters]
    else:
        wanted = list(_together("dismiss", letters))
    ctx.exit(_ask(settings, wanted, timeout, reason))


def _ask(settings: Settings, wanted: Sequence[Wanted], timeout: float, reason: str) -> int:
    if not wanted:
        echo("There are no such dead letters.")
        return NOT_DONE
    return ask(settings, wanted, timeout, reason)


def _one(kind: str, letter: Letter) -> Wanted:
    plugin = letter.failure.plugin
    return Wanted(kind=kind, plugin=plugin, label=plugin, detail={"letter": letter.number})


def _together(kind: str, letters: Sequence[Letter]) -> Iterator[Wanted]:
    """Yield requests about many letters, one request per plugin."""
    by_plugin: dict[str, list[int]] = {}
    for letter in letters:
        by_plugin.setdefault(letter.failure.plugin, []).append(letter.number)
    for plugin, numbers in by_plugin.items():
        for at in range(0, len(numbers), _AT_ONCE):
            detail = {"letters": numbers[at : at + _AT_ONCE]}
            yield Wanted(kind=kind, plugin=plugin, label=plugin, detail=detail)


def _meant(
    settings: Settings, numbers: tuple[int, ...], chosen: Chosen, *, all_: bool
) -> list[Letter]:
    """Return the letters that a command is about, by number or by option."""

    if bool(numbers) == (all_ or any(one is not None for one in chosen)):
        raise LettersNotNamed
    if numbers:
        return _named(settings, numbers)
    with closing(open_state(settings.state.path).letters()) as letters:
        return list(letters.listed(chosen))


def _named(settings: Settings, numbers: Sequence[int]) -> list[Letter]:

    found = []
    with closing(open_state(settings.state.path).letters()) as letters:
        for number in dict.fromkeys(numbers):
            letter = letters.get(number)
            if letter is None:
                raise NoSuchLetter(number=number)
            found.append(letter)
    return found


def _event(letter: Letter) -> Any:
    from sgevents_core.site.bodies import decoded_row

    return decoded_row(letter.body) if letter.body else None


def _as_json(letter: Letter, *, whole: bool = False) -> dict[str, Any]:
    failure = letter.failure
    told: dict[str, Any] = {
        "number": letter.number,
        "plugin": failure.plugin,
        "callback": failure.callback,
        "event_id": failure.event_id,
        "attempts": failure.attempt,
        "error": failure.error,
        "at": iso(failure.at),
        "state": "dead" if letter.dead else failure.outcome,
    }
    if not whole:
        return told
    return {**told, "traceback": failure.traceback or None, "event": _event(letter)}


def _write_json(name: str, values: Iterable[Any]) -> None:
    """Write a JSON object with a list of values, one per line, as they come."""
    echo(f'{{"version": 1, "{name}": [', nl=False)
    between = "\n"
    for value in values:
        echo(between, nl=False)
        echo_json(value, indent=None, nl=False)
        between = ",\n"
    echo("]}" if between == "\n" else "\n]}")


def _show_page(letters: Letters, chosen: Chosen, after: int, most: int) -> None:
    found = letters.listed(chosen, after, most)
    shown = list(islice(found, _MOST_MEASURED))
    if not shown:
        echo("There are no dead letters." if not after else "There are no more dead letters.")
        return
    _print_table(shown)
    last = shown[-1].number
    for letter in found:  # too many to find the widest cell first
        echo_line("  ".join(str(one) for one in _cells(letter)))
        last = letter.number
    left = letters.count(chosen, last)
    if left:
        echo(
            f"{left} more: --after {last} continues, --all shows all of them, --groups groups them"
        )


def _show_groups(groups: Sequence[LetterGroup], most: int, *, as_json: bool) -> None:
    shown = groups if most < 0 else groups[:most]
    if as_json:
        _write_json("groups", map(_group_json, shown))
    elif not shown:
        echo("There are no dead letters.")
    else:
        _print_groups(shown)
        if len(shown) < len(groups):
            echo(f"{counted(len(groups) - len(shown), 'more group')}: --all shows them")


def _group_json(group: LetterGroup) -> dict[str, Any]:
    return {**group._asdict(), "since": iso(group.since), "until": iso(group.until)}


def _print_groups(groups: Sequence[LetterGroup]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("letters", "first"):
        table.add_column(title, justify="right", no_wrap=True)
    for title in ("plugin", "callback", "until", "error"):
        table.add_column(title, no_wrap=title != "error")
    for group in groups:
        cells = (group.letters, group.first, group.plugin, group.callback)
        table.add_row(*(cell(one) for one in (*cells, _when(group.until), group.error)))
    print_table(table)


def _print_table(letters: Sequence[Letter]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("number", "event", "attempts"):
        table.add_column(title, justify="right", no_wrap=True)
    for title in ("plugin", "callback", "when", "error"):
        table.add_column(title, no_wrap=title != "error")
    for letter in letters:
        table.add_row(*(cell(one) for one in _cells(letter)))
    print_table(table)


def _cells(letter: Letter) -> tuple[object, ...]:
    failure = letter.failure
    numbers = (letter.number, failure.event_id, failure.attempt)
    return (*numbers, failure.plugin, failure.callback, _when(failure.at), failure.error)


def _when(at: float) -> str:
    return f"{datetime.fromtimestamp(at).astimezone():%Y-%m-%d %H:%M:%S}"
