"""The requests of commands: each is recorded, then carried out by the daemon or this process."""

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
    from sgevents_core.state.requests import ReplayEvent, RequestAnswer

_POLL_INTERVAL: Final = 0.05
_SITE_REQUEST_KINDS: Final = frozenset({"reset", "parked"})
"""Kinds of requests about the feed that may ask the site."""
_Command = TypeVar("_Command", bound=Callable[..., object])

MAX_PRINTED: Final = 20
"""The most answers printed one by one; more are only counted."""
EXIT_NOT_DONE: Final = 1
"""Exit code if a request was refused or failed."""
EXIT_RECORDED: Final = 3
"""Exit code if a request is still open."""


def _parse_timeout(ctx: click.Context, param: click.Parameter, value: str) -> float:
    """Return the seconds of a duration, given as in the configuration or as a number."""
    from sgevents_core.errors import DurationError
    from sgevents_core.settings import parse_duration

    try:
        return float(value)
    except ValueError:
        pass  # the text may be a duration
    try:
        return parse_duration(value)
    except DurationError as error:
        raise click.BadParameter(str(error), ctx, param) from None


def request_options(command: _Command) -> _Command:
    """Add --timeout and --reason, which every command that requests a change has."""
    timeout = click.option(
        "--timeout",
        metavar="DURATION",
        callback=_parse_timeout,
        default="10s",
        show_default=True,
        help="How long to wait for a running daemon, then exit with 3. The request is "
        "carried out all the same.",
    )
    reason = click.option(
        "--reason",
        metavar="TEXT",
        default="",
        help="Why, for others: kept with who asked, shown by `sgevents requests`.",
    )
    return timeout(reason(command))


@dataclass(frozen=True, kw_only=True)
class NewRequest:
    """One request to make.

    Args:
        kind: The kind; see `state.requests.Request`.
        plugin: The plugin concerned; empty for the feed.
        label: The subject of the request, printed before the answer.
        detail: Further values.
        events: The events to replay.
    """

    kind: str
    plugin: str
    label: str
    detail: Mapping[str, Any] = field(default_factory=dict)
    events: Sequence[ReplayEvent] = ()


def load_state_settings(
    config: Path, read: Callable[..., Settings] = read_without_secrets
) -> Settings:
    """Return the settings, if something has run on their state.

    Args:
        config: The configuration file.
        read: Reads the file; by default, secrets may be missing, since operators rarely have them
            in their shell.

    Raises:
        ConfigError: The configuration is wrong.
        NothingRunYet: There is no state.
    """

    settings = read(config)
    if not open_state(settings.state.path).is_made():
        raise NothingRunYet(path=str(settings.state.path))
    return settings


def make_requests(
    settings: Settings, new_requests: Sequence[NewRequest], timeout: float, reason: str = ""
) -> int:
    """Make requests, wait for the answers and print them; return the exit code.

    A running daemon carries them out while this process waits. Without a daemon this process
    carries them out, however long that takes, unless they need a secret that this shell does not
    have.

    Args:
        settings: The configuration.
        new_requests: The requests.
        timeout: The longest wait for a running daemon, in seconds.
        reason: The reason given by the person who asks; empty if none.
    """

    _check_daemon(settings.state.path)
    with closing(open_state(settings.state.path).requests()) as requests:
        detail = {"reason": reason} if reason else {}
        request_numbers = requests.ask_all(
            [
                (request.kind, request.plugin, {**request.detail, **detail}, request.events)
                for request in new_requests
            ],
            requesting_person(),
        )
        requests_by_number = dict(zip(request_numbers, new_requests, strict=True))
        _wait_for_answers(settings, requests, requests_by_number, time.monotonic() + timeout)
        if len(requests_by_number) > MAX_PRINTED:
            return _print_summary(requests, requests_by_number)
        return max(
            (
                _print_answer(requests, number, request)
                for number, request in requests_by_number.items()
            ),
            default=0,
        )


def requesting_person() -> str:
    """Return the person who asks, for people: `anna@host`."""
    try:
        user_name = getpass.getuser()
    except (OSError, KeyError):  # a user without a name
        user_name = f"user {os.getuid()}"
    return f"{user_name}@{socket.gethostname()}"


def _wait_for_answers(
    settings: Settings,
    requests: Requests,
    by_number: Mapping[int, NewRequest],
    deadline: float,
) -> None:
    """Wait until all requests are answered or time is up; carry them out if no daemon runs."""
    unanswered = dict(by_number)
    while unanswered := {number: by_number[number] for number in requests.unanswered(unanswered)}:
        if not _is_daemon_there(settings):
            missing_secret = _missing_secret(settings, unanswered.values())
            if missing_secret:
                echo_line(f"Not done here, since {missing_secret} is not available.", err=True)
                return
            if _carry_out(settings, {request.plugin for request in unanswered.values()}):
                return
        elif time.monotonic() > deadline:
            return
        time.sleep(_POLL_INTERVAL)


def _is_daemon_there(settings: Settings) -> bool:
    """Return whether a daemon carries requests out: here, or on a host that shares the state."""
    from sgevents_core.state import lock

    if lock.find_holder(settings.state.path) is not None:
        return True
    leases = open_state(settings.state.path).leases()
    if leases is None:
        return False
    from sgevents_core.hosts.leases import HOST_PREFIX

    return any(key.startswith(HOST_PREFIX) for key in leases.read_all())


def _missing_secret(settings: Settings, new_requests: Iterable[NewRequest]) -> str:
    """Return where a secret that the requests need is missing; empty if none is.

    Calling a plugin needs its settings and the keys of the site; requests about the feed may read
    the site. All others change only the state.
    """
    from sgevents_core.settings import secrets_in
    from sgevents_core.state.requests import CALLING_KINDS

    secret_holders: list[Any] = []
    for request in new_requests:
        table = settings.plugins.get(request.plugin)
        if request.kind in CALLING_KINDS and table is not None:
            secret_holders += [settings.site.api_key, table.api_key, table.settings]
        elif request.kind in _SITE_REQUEST_KINDS:
            secret_holders.append(settings.site.api_key)
    return next(
        (str(request.source) for request in secrets_in(secret_holders) if not request.is_there), ""
    )


def _carry_out(settings: Settings, plugin_names: set[str]) -> bool:
    """Carry out the open requests about some plugins; return False if a daemon has started."""
    from sgevents_core.requests.without_daemon import carry_out_here

    with _plugin_log(settings):
        for plugin_name in sorted(plugin_names):
            try:
                carry_out_here(settings, plugin_name, " ".join(["sgevents", *sys.argv[1:2]]))
            except StateInUse:
                return False
    return True


@contextmanager
def _plugin_log(settings: Settings) -> Iterator[None]:
    """Send log messages of plugins to the log file if there is one, otherwise to the terminal.

    The command itself prints the answers.
    """
    from sgevents_core.observe.logs import configured_log
    from sgevents_core.observe.redaction import Redactor

    own_loggers = [logging.getLogger(f"sgevents.{name}") for name in ("requests", "feed")]
    for logger in own_loggers if settings.log.file is None else ():
        logger.setLevel(logging.CRITICAL + 1)
    try:
        with configured_log(settings.log, Redactor.of(settings), plugin_names=settings.plugins):
            yield
    finally:
        for logger in own_loggers:
            logger.setLevel(logging.NOTSET)


def _print_summary(requests: Requests, requests_by_number: Mapping[int, NewRequest]) -> int:
    """Print the answers to very many requests: a count per label, and the first failures."""
    counts: dict[tuple[str, str], int] = {}
    exit_codes = {"done": 0, "noted": EXIT_RECORDED}
    failed_count = 0
    for number, request in requests_by_number.items():
        answer = requests.answer_of(number)
        outcome_name: str = "noted" if answer is None else answer.outcome
        counts[request.label, outcome_name] = counts.get((request.label, outcome_name), 0) + 1
        if outcome_name not in exit_codes and failed_count < MAX_PRINTED:
            failed_count += 1
            _print_answer(requests, number, request)
    for (label, outcome_name), outcome_count in counts.items():
        echo_line(f"{label}: {outcome_count} {outcome_name}")
    return max(exit_codes.get(outcome_name, EXIT_NOT_DONE) for _, outcome_name in counts)


def _print_answer(requests: Requests, number: int, new_request: NewRequest) -> int:
    answer = requests.answer_of(number)
    if answer is None:
        echo_line(f"{new_request.label}: noted as request {number}; the daemon will carry it out")
        return EXIT_RECORDED
    echo_line(f"{new_request.label}: {_answer_text(answer)}", err=answer.outcome != "done")
    return 0 if answer.outcome == "done" else EXIT_NOT_DONE


def _answer_text(answer: RequestAnswer) -> str:
    return f"refused: {answer.text}" if answer.outcome == "refused" else answer.text


def _check_daemon(folder: Path) -> None:
    """Refuse to upgrade a state under a daemon that does not know the newer schema."""
    from sgevents_core.state import lock

    lock_holder = lock.find_holder(folder)
    if lock_holder is None:
        return
    if open_storage(folder).is_outdated():
        raise DaemonTooOld(pid=lock_holder.get("pid", "?"), host=lock_holder.get("host", "?"))
