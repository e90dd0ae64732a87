"""The requests of commands: each is recorded, then carried out by the daemon or right here."""

from __future__ import annotations

import getpass
import logging
import os
import socket
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from sgevents_core.cli.printing import echo_line, read_without_secrets
from sgevents_core.errors import DaemonTooOld, NothingRunYet, StateInUse
from sgevents_core.state.opening import open_state, open_storage

if TYPE_CHECKING:
    from sgevents_core.settings import Settings
    from sgevents_core.state.protocols import Requests
    from sgevents_core.state.requests import Replayed, RequestAnswer

_LOOK_EVERY: Final = 0.05
_ASKING_THE_SITE: Final = frozenset({"reset", "parked"})
"""Kinds of requests about the feed that may ask the site."""
_F = TypeVar("_F", bound=Callable[..., object])

MOST_PRINTED: Final = 20
"""The most answers printed one by one; more are only counted."""
NOT_DONE: Final = 1
"""Exit code if something was refused or failed."""
NOTED: Final = 3
"""Exit code if something is still to be done."""


def _seconds(ctx: click.Context, param: click.Parameter, value: str) -> float:
    """Return the seconds of a duration, given as in the configuration or as a number."""
    from sgevents_core.errors import DurationError
    from sgevents_core.settings import parse_duration

    try:
        return float(value)
    except ValueError:
        pass  # it may be a duration instead
    try:
        return parse_duration(value)
    except DurationError as error:
        raise click.BadParameter(str(error), ctx, param) from None


def request_options(command: _F) -> _F:
    """Add --timeout and --reason, which every command that requests a change has."""
    timeout = click.option(
        "--timeout",
        metavar="DURATION",
        callback=_seconds,
        default="10s",
        show_default=True,
        help="How long to wait for a running daemon, then exit with 3. It is done all the same.",
    )
    reason = click.option(
        "--reason",
        metavar="TEXT",
        default="",
        help="Why, for others: kept with who asked, shown by `sgevents requests`.",
    )
    return timeout(reason(command))


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """One request to make.

    Args:
        kind: Its kind; see `journal.requests.Request`.
        plugin: The plugin concerned; empty for the feed.
        label: What it is about, printed before the answer.
        detail: Further values.
        events: The events to replay.
    """

    kind: str
    plugin: str
    label: str
    detail: Mapping[str, Any] = field(default_factory=dict)
    events: Sequence[Replayed] = ()


def load(config: Path, read: Callable[..., Settings] = read_without_secrets) -> Settings:
    """Return the settings, if something has run on their state.

    Args:
        config: The configuration file.
        read: How to read it; by default, secrets may be missing, since operators rarely have them
            in their shell.

    Raises:
        ConfigError: The configuration is wrong.
        NothingRunYet: There is no state.
    """

    settings = read(config)
    if not open_state(settings.state.path).is_made():
        raise NothingRunYet(path=str(settings.state.path))
    return settings


def ask(settings: Settings, wanted: Sequence[Wanted], timeout: float, reason: str = "") -> int:
    """Make requests, wait for the answers and print them; return the exit code.

    A running daemon carries them out while this waits. Without a daemon they are carried out here,
    however long that takes, unless that needs a secret that this shell does not have.

    Args:
        settings: The configuration.
        wanted: The requests.
        timeout: The longest wait for a running daemon, in seconds.
        reason: The reason given by the person who asks; empty if none.
    """

    _check_daemon(settings.state.path)
    with closing(open_state(settings.state.path).requests()) as requests:
        why = {"reason": reason} if reason else {}
        numbers = requests.ask_all(
            [(one.kind, one.plugin, {**one.detail, **why}, one.events) for one in wanted],
            asked_by(),
        )
        asked = dict(zip(numbers, wanted, strict=True))
        _wait(settings, requests, asked, time.monotonic() + timeout)
        if len(asked) > MOST_PRINTED:
            return _summarise(requests, asked)
        return max((_print(requests, number, one) for number, one in asked.items()), default=0)


def asked_by() -> str:
    """Return the person who asks, for people: `anna@host`."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a user without a name
        user = f"user {os.getuid()}"
    return f"{user}@{socket.gethostname()}"


def _wait(
    settings: Settings, requests: Requests, asked: Mapping[int, Wanted], until: float
) -> None:
    """Wait until all are answered or time is up; carry out requests if no daemon runs."""
    from sgevents_core.state import lock

    waiting = dict(asked)
    while waiting := {number: asked[number] for number in requests.unanswered(waiting)}:
        if lock.holder(settings.state.path) is None:
            missing = _missing_secret(settings, waiting.values())
            if missing:
                echo_line(f"Not done here, since {missing} is not there.", err=True)
                return
            if _carry_out(settings, {one.plugin for one in waiting.values()}):
                return
        elif time.monotonic() > until:
            return
        time.sleep(_LOOK_EVERY)


def _missing_secret(settings: Settings, wanted: Iterable[Wanted]) -> str:
    """Return where a secret that the requests need is missing; empty if none is.

    Calling a plugin needs its settings and the keys of the site; requests about the feed may read
    the site. All others change only the state.
    """
    from sgevents_core.settings import secrets_in
    from sgevents_core.state.requests import CALLING

    held: list[Any] = []
    for one in wanted:
        table = settings.plugins.get(one.plugin)
        if one.kind in CALLING and table is not None:
            held += [settings.site.api_key, table.api_key, table.settings]
        elif one.kind in _ASKING_THE_SITE:
            held.append(settings.site.api_key)
    return next((str(one.source) for one in secrets_in(held) if not one.is_there), "")


def _carry_out(settings: Settings, plugins: set[str]) -> bool:
    """Carry out the open requests about some plugins; return False if a daemon has started."""
    from sgevents_core.requests.without_daemon import carry_out_alone

    with _plugins_heard(settings):
        for plugin in sorted(plugins):
            try:
                carry_out_alone(settings, plugin, " ".join(["sgevents", *sys.argv[1:2]]))
            except StateInUse:
                return False
    return True


@contextmanager
def _plugins_heard(settings: Settings) -> Iterator[None]:
    """Send log messages of plugins to the log file if there is one, otherwise to the terminal.

    The command itself prints the answers.
    """
    from sgevents_core.observe.logs import configured_log
    from sgevents_core.observe.redaction import Redactor

    ours = [logging.getLogger(f"sgevents.{name}") for name in ("requests", "feed")]
    for logger in ours if settings.log.file is None else ():
        logger.setLevel(logging.CRITICAL + 1)
    try:
        with configured_log(settings.log, Redactor.of(settings), plugin_names=settings.plugins):
            yield
    finally:
        for logger in ours:
            logger.setLevel(logging.NOTSET)


def _summarise(requests: Requests, asked: Mapping[int, Wanted]) -> int:
    """Print the answers to very many requests: a count per label, and the first failures."""
    counts: dict[tuple[str, str], int] = {}
    codes = {"done": 0, "noted": NOTED}
    failed = 0
    for number, one in asked.items():
        answer = requests.answer_of(number)
        outcome: str = "noted" if answer is None else answer.outcome
        counts[one.label, outcome] = counts.get((one.label, outcome), 0) + 1
        if outcome not in codes and failed < MOST_PRINTED:
            failed += 1
            _print(requests, number, one)
    for (label, outcome), count in counts.items():
        echo_line(f"{label}: {count} {outcome}")
    return max(codes.get(outcome, NOT_DONE) for _, outcome in counts)


def _print(requests: Requests, number: int, wanted: Wanted) -> int:
    answer = requests.answer_of(number)
    if answer is None:
        echo_line(f"{wanted.label}: noted as request {number}; the daemon will carry it out")
        return NOTED
    echo_line(f"{wanted.label}: {_said(answer)}", err=answer.outcome != "done")
    return 0 if answer.outcome == "done" else NOT_DONE


def _said(answer: RequestAnswer) -> str:
    return f"refused: {answer.text}" if answer.outcome == "refused" else answer.text


def _check_daemon(folder: Path) -> None:
    """Refuse to upgrade a state under a daemon that does not know the newer schema."""
    from sgevents_core.state import lock

    holder = lock.holder(folder)
    if holder is None:
        return
    if open_storage(folder).is_outdated():
        raise DaemonTooOld(pid=holder.get("pid", "?"), host=holder.get("host", "?"))
