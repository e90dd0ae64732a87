"""`sgevents dead-letters`: events that callbacks failed on for good, to read, retry or dismiss."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, cast

import click

from sgevents_core.cli.completing import complete_plugin_name
from sgevents_core.cli.new_requests import (
    EXIT_NOT_DONE,
    NewRequest,
    load_state_settings,
    make_requests,
    request_options,
)
from sgevents_core.cli.printing import cell, echo, echo_json, echo_line, iso, redacted
from sgevents_core.cli.root import config_option
from sgevents_core.cli.tables import new_table, print_table
from sgevents_core.errors import LettersNotNamed, NoSuchLetter
from sgevents_core.printable import counted, lines
from sgevents_core.state.opening import open_state

if TYPE_CHECKING:
    from sgevents_core.settings import Settings
    from sgevents_core.state.letters import Letter, LetterChoice, LetterGroup
    from sgevents_core.state.protocols import Letters

_DEFAULT_LIMIT: Final = 50
"""The most dead letters, or groups of them, listed by default."""
_MAX_TABLE_ROWS: Final = 1_000
"""The most dead letters in a table; more follow as plain lines, as they come."""
_Command = TypeVar("_Command", bound=Callable[..., object])
_json_option = click.option("--json", "as_json", is_flag=True, help="As JSON, for scripts.")
_all_option = click.option("--all", "all_", is_flag=True, help="All there are.")


def _choosing(command: _Command) -> _Command:
    """Add the options that choose dead letters; the command takes `chosen`."""

    @functools.wraps(command)
    def with_filter(
        *args: Any,
        plugin: str | None,
        callback: str | None,
        error: str | None,
        event: int | None,
        **other_arguments: Any,
    ) -> object:
        from sgevents_core.state.letters import LetterChoice

        return command(
            *args, chosen=LetterChoice(plugin, callback, error, event), **other_arguments
        )

    options = (
        click.option(
            "--plugin",
            metavar="NAME",
            shell_complete=complete_plugin_name,
            help="Only those of this plugin.",
        ),
        click.option("--callback", metavar="NAME", help="Only those of this callback."),
        click.option(
            "--error",
            metavar="TEXT",
            help="Only those whose error contains TEXT; # stands for any number, … for any text.",
        ),
        click.option(
            "--event",
            type=int,
            metavar="ID",
            help="Only those for the event of this id, alone or in a batch.",
        ),
    )
    decorated: Any = with_filter
    for option in reversed(options):
        decorated = option(decorated)
    return cast("_Command", decorated)


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
    help=f"So many at most, by default {_DEFAULT_LIMIT}.",
)
@click.option("--after", type=int, default=0, metavar="NUMBER", help="Those behind this one.")
@_all_option
@_json_option
@config_option
def list_letters(
    *,
    chosen: LetterChoice,
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

    max_count = limit or (-1 if all_ or as_json else _DEFAULT_LIMIT)
    with closing(open_state(load_state_settings(config).state.path).letters()) as letters:
        if groups:
            _show_groups(letters.groups(chosen), max_count, as_json=as_json)
        elif as_json:
            matching_letters = (
                _as_json(letter) for letter in letters.listed(chosen, after, max_count)
            )
            _write_json("dead_letters", matching_letters)
        else:
            _show_page(letters, chosen, after, max_count)


@dead_letters.command("show")
@click.argument("number", type=int)
@_json_option
@config_option
def show(number: int, as_json: bool, config: Path) -> None:
    """Show a dead letter: the error, where it was raised, the event."""
    settings = load_state_settings(config)
    (letter,) = _letters_with_numbers(settings, [number])
    with closing(open_state(settings.state.path).letters()) as letters:
        batch = letters.events_of(letter.number)
    if as_json:
        batch_fields = {"events": [_decoded_row(event.body) for event in batch] or None}
        echo_json({"version": 1, **_as_json(letter, whole=True), **batch_fields})
        return
    failure = letter.failure
    outcome_text = "" if letter.dead else f", {failure.outcome}"
    echo_line(f"dead letter {letter.number}{outcome_text}: {failure.error}")
    echo_line(f"plugin {failure.plugin}, callback {failure.callback}")
    event_text = f"event {failure.event_id}"
    if batch:
        ids = ", ".join(str(event.event_id) for event in batch)
        event_text = f"a batch of {counted(len(batch), 'event')} ({ids})"
    echo_line(f"{event_text}, attempt {failure.attempt}, {_local_time(failure.at)}")
    traceback_text = failure.traceback.rstrip() or "(no traceback)"
    echo(f"\n    {lines(redacted(traceback_text), indent='    ')}\n")
    for row in [event.body for event in batch] or [letter.body]:
        echo_json(_decoded_row(row))


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
    chosen: LetterChoice,
    all_: bool,
    timeout: float,
    reason: str,
    config: Path,
) -> None:
    """Call the callbacks of dead letters once more, with their events.

    A batch is called whole.

    Give the NUMBERS of the letters, or --plugin, --callback, --error, --event or --all. A letter
    whose callback succeeds is settled; one that fails again stays, with the new error. New events
    are not held up, and no plugin's position changes.
    """
    settings = load_state_settings(config)
    letters = _chosen_letters(settings, numbers, chosen, all_=all_)
    ctx.exit(_make_requests(settings, _letter_requests("retry", letters), timeout, reason))


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
    chosen: LetterChoice,
    all_: bool,
    timeout: float,
    reason: str,
    config: Path,
) -> None:
    """Drop dead letters for good.

    The callbacks that failed on their events will never be called for them again.

    Give the NUMBERS of the letters, or --plugin, --callback, --error, --event or --all.
    """
    settings = load_state_settings(config)
    letters = _chosen_letters(settings, numbers, chosen, all_=all_)
    ctx.exit(_make_requests(settings, _letter_requests("dismiss", letters), timeout, reason))


def _make_requests(
    settings: Settings, new_requests: Sequence[NewRequest], timeout: float, reason: str
) -> int:
    if not new_requests:
        echo("There are no such dead letters.")
        return EXIT_NOT_DONE
    return make_requests(settings, new_requests, timeout, reason)


def _letter_requests(
    request_kind: Literal["retry", "dismiss"], letters: Sequence[Letter]
) -> list[NewRequest]:
    from sgevents_core.state.letters import letter_requests

    return [
        NewRequest(kind=request_kind, plugin=plugin, label=plugin, detail=request_detail)
        for plugin, request_detail in letter_requests(request_kind, letters)
    ]


def _chosen_letters(
    settings: Settings, numbers: tuple[int, ...], chosen: LetterChoice, *, all_: bool
) -> list[Letter]:
    """Return the letters that a command is about, by number or by option."""

    if bool(numbers) == (all_ or any(condition is not None for condition in chosen)):
        raise LettersNotNamed
    if numbers:
        return _letters_with_numbers(settings, numbers)
    with closing(open_state(settings.state.path).letters()) as letters:
        return list(letters.listed(chosen))


def _letters_with_numbers(settings: Settings, numbers: Sequence[int]) -> list[Letter]:

    named_letters = []
    with closing(open_state(settings.state.path).letters()) as letters:
        for letter_number in dict.fromkeys(numbers):
            letter = letters.get(letter_number)
            if letter is None:
                raise NoSuchLetter(number=letter_number)
            named_letters.append(letter)
    return named_letters


def _decoded_row(body: bytes) -> Any:
    from sgevents_core.site.bodies import decoded_row

    return decoded_row(body) if body else None


def _as_json(letter: Letter, *, whole: bool = False) -> dict[str, Any]:
    letter_failure = letter.failure
    letter_fields: dict[str, Any] = {
        "number": letter.number,
        "plugin": letter_failure.plugin,
        "callback": letter_failure.callback,
        "event_id": letter_failure.event_id,
        "event_ids": [*letter.batch] or [letter_failure.event_id],
        "attempts": letter_failure.attempt,
        "error": letter_failure.error,
        "at": iso(letter_failure.at),
        "state": "dead" if letter.dead else letter_failure.outcome,
    }
    if not whole:
        return letter_fields
    return {
        **letter_fields,
        "traceback": letter_failure.traceback or None,
        "event": _decoded_row(letter.body),
    }


def _write_json(name: str, json_values: Iterable[Any]) -> None:
    """Write a JSON object with a list of values, one per line, as they come."""
    echo(f'{{"version": 1, "{name}": [', nl=False)
    separator = "\n"
    for json_value in json_values:
        echo(separator, nl=False)
        echo_json(json_value, indent=None, nl=False)
        separator = ",\n"
    echo("]}" if separator == "\n" else "\n]}")


def _show_page(letters: Letters, chosen: LetterChoice, after: int, max_count: int) -> None:
    matching_letters = letters.listed(chosen, after, max_count)
    shown_letters = list(islice(matching_letters, _MAX_TABLE_ROWS))
    if not shown_letters:
        echo("There are no dead letters." if not after else "There are no more dead letters.")
        return
    _print_table(shown_letters)
    last_number = shown_letters[-1].number
    for letter in matching_letters:  # too many letters to find the widest cell first
        echo_line("  ".join(str(value) for value in _cells(letter)))
        last_number = letter.number
    letters_left = letters.count(chosen, last_number)
    if letters_left:
        echo(
            f"{letters_left} more: --after {last_number} continues, --all shows all of "
            "them, --groups groups them"
        )


def _show_groups(groups: Sequence[LetterGroup], max_count: int, *, as_json: bool) -> None:
    shown_groups = groups if max_count < 0 else groups[:max_count]
    if as_json:
        _write_json("groups", map(_group_json, shown_groups))
    elif not shown_groups:
        echo("There are no dead letters.")
    else:
        _print_groups(shown_groups)
        if len(shown_groups) < len(groups):
            echo(f"{counted(len(groups) - len(shown_groups), 'more group')}: --all shows them")


def _group_json(group: LetterGroup) -> dict[str, Any]:
    return {**group._asdict(), "since": iso(group.since), "until": iso(group.until)}


def _print_groups(groups: Sequence[LetterGroup]) -> None:
    titles = ("letters", "first", "plugin", "callback", "until", "error")
    table = new_table(*titles, numbers=("letters", "first"), sentences="error")
    for group in groups:
        cells = (group.letters, group.first, group.plugin, group.callback)
        table.add_row(*(cell(value) for value in (*cells, _local_time(group.until), group.error)))
    print_table(table)


def _print_table(letters: Sequence[Letter]) -> None:
    numbers = ("number", "event", "attempts")
    titles = (*numbers, "plugin", "callback", "when", "error")
    table = new_table(*titles, numbers=numbers, sentences="error")
    for letter in letters:
        table.add_row(*(cell(value) for value in _cells(letter)))
    print_table(table)


def _cells(letter: Letter) -> tuple[object, ...]:
    letter_failure = letter.failure
    numbers = (letter.number, _events_text(letter), letter_failure.attempt)
    return (
        *numbers,
        letter_failure.plugin,
        letter_failure.callback,
        _local_time(letter_failure.at),
        letter_failure.error,
    )


def _events_text(letter: Letter) -> str:
    """Return the id of a letter's event; of a batch the first and the last, and how many."""
    if len(letter.batch) < 2:
        return str(letter.failure.event_id)
    return f"{letter.batch[0]}-{letter.batch[-1]} ({len(letter.batch)})"


def _local_time(timestamp: float) -> str:
    return f"{datetime.fromtimestamp(timestamp).astimezone():%Y-%m-%d %H:%M:%S}"
