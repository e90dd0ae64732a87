"""Rules about the web pages that span several values: who may come in, and under which names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from sgevents_core.settings.console_settings import ConsoleAccess, ConsoleSettings
from sgevents_core.settings.diagnostics import Diagnostics
from sgevents_core.settings.model import Settings
from sgevents_core.settings.spelling import nearest_name, toml_string

_HOST_NAME: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\]")
_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADERS_OF_BROWSERS: Final = ("accept", "content-", "if-", "sec-", "hx-", "access-control-")
_HEADERS_OF_CALLERS: Final = frozenset(
    [
        "authorization",
        "cookie",
        "connection",
        "date",
        "expect",
        "forwarded",
        "from",
        "host",
        "keep-alive",
        "origin",
        "pragma",
        "range",
        "referer",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
        "via",
        "x-form-token",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-port",
        "x-forwarded-proto",
        "x-real-ip",
        "x-sg-signature",
    ]
)


def check_console(settings: Settings, diagnostics: Diagnostics) -> None:
    """Record every broken rule of the tables about the console."""
    _check_certificate(settings.console, diagnostics)
    _check_hosts(settings.console.hosts, diagnostics)
    if settings.console_access is not None:
        _check_console_access(settings.console_access, diagnostics)


def _check_certificate(console: ConsoleSettings, diagnostics: Diagnostics) -> None:
    keys = {"certificate": console.certificate, "certificate_key": console.certificate_key}
    given = [key for key, value in keys.items() if value is not None]
    missing = [key for key in keys if key not in given]
    if len(given) == 1 and diagnostics.are_valid(("console", missing[0])):
        message = f"{given[0]} needs {missing[0]}"
        fix = f'add {missing[0]} = "FILE", or leave {given[0]} out'
        diagnostics.add_problem(("console", given[0]), message, fix)


def _check_hosts(hosts: Sequence[str], diagnostics: Diagnostics) -> None:
    for index, host in enumerate(hosts):
        if _HOST_NAME.fullmatch(host) is None:
            message = f"{toml_string(host)} is no name that a browser could call"
            fix = 'write each name in full, without scheme and port, such as "console.example"'
            diagnostics.add_problem(("console", "hosts", index), message, fix)


def _check_proxy_header(header: str, diagnostics: Diagnostics) -> None:
    """Check that a header can only come from the proxy: callers set many others themselves."""
    fix = 'use one that only the proxy sets, such as header = "X-Remote-User"'
    key_path = ("console", "access", "header")
    if _HEADER_NAME.fullmatch(header) is None:
        diagnostics.add_problem(key_path, f"{toml_string(header)} is no name of a header", fix)
    elif header.lower() in _HEADERS_OF_CALLERS or header.lower().startswith(_HEADERS_OF_BROWSERS):
        diagnostics.add_problem(key_path, f"callers themselves say what is in {header}", fix)


def _check_console_access(access: ConsoleAccess, diagnostics: Diagnostics) -> None:
    key_path = ("console", "access")
    if access.header is not None and diagnostics.are_valid((*key_path, "header")):
        _check_proxy_header(access.header, diagnostics)
    if access.header is not None and access.users:
        message = "users and header exclude each other"
        fix = "leave out users if a proxy says who people are, otherwise header and from"
        diagnostics.add_problem((*key_path, "header"), message, fix)
    elif access.header is not None and not access.proxies:
        message = "header needs from, the addresses of the proxy that sets it"
        if diagnostics.are_valid((*key_path, "from")):
            diagnostics.add_problem((*key_path, "header"), message, 'add from = ["ADDRESS"]')
    elif access.header is None and access.proxies:
        message = "from needs header, in which the proxy names the person"
        diagnostics.add_problem((*key_path, "from"), message, 'add header = "X-Remote-User"')
    elif access.header is None and not access.users:
        if diagnostics.are_valid((*key_path, "users")):
            fix = "list users with hashes of their passwords, or header and from of a proxy"
            diagnostics.add_problem(key_path, "nobody could come in", fix)
    else:
        _check_operators(access, diagnostics)


def _check_operators(access: ConsoleAccess, diagnostics: Diagnostics) -> None:
    for name in access.operators if access.users else ():
        if name not in access.users:
            similar = nearest_name(name, access.users)
            fix = f"did you mean {similar}?" if similar else "add the user, or leave the name out"
            message = f"operators names {toml_string(name)}, who is not one of the users"
            diagnostics.add_problem(("console", "access", "operators"), message, fix)
