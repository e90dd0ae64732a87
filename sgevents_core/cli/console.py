"""`sgevents console`: the web pages, in a process of their own."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from sgevents_core.cli.printing import echo, echo_line, read_without_secrets
from sgevents_core.errors import ConsoleNotInstalledError

if TYPE_CHECKING:
    from sgevents_core.console.serving import ConsoleStart
    from sgevents_core.settings import ListenAddress, Settings

_EXTRA_MODULES: Final = frozenset(
    {"argon2", "h11", "itsdangerous", "jinja2", "starlette", "uvicorn"}
)


@click.command()
@click.option(
    "--config",
    "-c",
    "configs",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="SGEVENTS_CONFIG",
    multiple=True,
    help="A configuration file; once for each site. [console] of the first counts.  "
    "[default: sgevents.toml]",
)
@click.option("--listen", metavar="HOST:PORT", help="Listen there instead of as [console] says.")
@click.option("--with-daemon", "daemon_pid", type=int, hidden=True, help="End with that process.")
@click.option("--hash-password", is_flag=True, help="Ask for a password, print its hash, and end.")
def console(
    *, configs: tuple[Path, ...], listen: str | None, daemon_pid: int | None, hash_password: bool
) -> None:
    """Serve web pages that show what the daemons do, and take people's requests.

    It only reads the states and records requests, so it also works while a daemon is down. On this
    machine, it prints an address with a token; for others, see [console.access]. Ctrl-C or SIGTERM
    ends it.
    """
    if daemon_pid is not None:
        from sgevents_core.children.death_signal import end_with_daemon

        end_with_daemon(daemon_pid)
    check_installed()
    if hash_password:
        _print_hash()
        return
    from sgevents_core.cli.new_requests import requesting_person
    from sgevents_core.console.serving import prepare_console

    all_settings = [read_without_secrets(path) for path in configs or (Path("sgevents.toml"),)]
    start = prepare_console(all_settings, requesting_person(), _parse_listen(listen))
    _serve(start, all_settings)


def _serve(start: ConsoleStart, all_settings: Sequence[Settings]) -> None:
    from msgspec.structs import replace

    from sgevents_core.console.serving import serve_console
    from sgevents_core.observe.logs import configured_log
    from sgevents_core.observe.redaction import Redactor

    settings = all_settings[0]
    log_settings = replace(settings.log, file=None)  # the daemon rotates that file
    for one in all_settings:
        secret = one.console.webhook_secret
        if secret is not None and not secret.is_there:
            warning = f"{one.path}: console.webhook_secret: {secret.source} is not there"
            echo_line(f"Warning: {warning}, so its webhooks are not taken", err=True)
    with configured_log(log_settings, Redactor.of(settings)):
        serve_console(start, on_started=lambda: _greet(start, settings))


def _greet(start: ConsoleStart, settings: Settings) -> None:
    from sgevents_core.console.serving import write_token_file

    if not start.token:
        echo_line(f"The console is at {start.address}")
        if start.is_open:
            warning = "Everybody who can connect from this machine may change everything"
            echo_line(f'Warning: {warning}: access = "open" in [console].', err=True)
        return
    token_file = None
    if not sys.stdout.isatty():  # what is not a terminal may be a log
        token_file = write_token_file(settings.state.path, start.token)
    if token_file is None:
        sys.stdout.write(f"The console is at {start.address}/enter?token={start.token}\n")
        sys.stdout.flush()
    else:
        echo_line(f"The console is at {start.address}")
        echo_line(f"The token to sign in is in {token_file}")


def _parse_listen(text: str | None) -> ListenAddress | None:
    from sgevents_core.settings.diagnostics import Diagnostics, InvalidValueError, ReadingContext
    from sgevents_core.settings.listen_address import read_listen_address

    if text is None:
        return None
    context = ReadingContext(("listen",), Path(), Diagnostics(), references_required=False)
    try:
        return read_listen_address(text, context)
    except InvalidValueError as error:
        raise click.BadParameter(f"{error.message}; {error.fix}", param_hint="--listen") from None


def _print_hash() -> None:
    from sgevents_core.console.passwords import hash_password

    password = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    echo(hash_password(password))


def check_installed() -> None:
    """Check that the packages of the extra `console` are installed.

    Raises:
        ConsoleNotInstalledError: One is missing.
    """
    try:
        import sgevents_core.console.serving  # noqa: F401 - to see whether it can be imported
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module not in _EXTRA_MODULES:
            raise
        raise ConsoleNotInstalledError(module=module) from None
