"""Draft `sgevents.toml` from the classic configuration, with comments where a person decides."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

from sgevents_core.migrating.config_values import (
    ClassicPath,
    Draft,
    SecretPlace,
    duration_text,
    free_group,
    leading_number,
    site_url,
    toml_text,
)
from sgevents_core.migrating.ini_file import IniFile, IniOption
from sgevents_core.printable import one_line

DECIDE: Final = "DECIDE"
"""Marks the comments that ask a person for a decision."""
_KEY_VARIABLE: Final = "SGEVENTS_API_KEY"
_PASSWORD_VARIABLE: Final = "SGEVENTS_SMTP_PASSWORD"  # noqa: S105 - the name of a variable
_PROXY_VARIABLE: Final = "SGEVENTS_HTTP_PROXY"
_FETCH_INTERVAL: Final = 5.0
_BATCH_SIZE: Final = 500
_PAGE_SIZES: Final = (2, 5000)
_LEVELS: Final = ((50, "critical"), (40, "error"), (30, "warning"), (20, "info"), (0, "debug"))
_TRUE: Final = frozenset({"1", "yes", "true", "on"})
_FALSE: Final = frozenset({"0", "no", "false", "off"})
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HANDLED_ELSEWHERE: Final = {
    ("daemon", "pidfile"): "one daemon for each state is enforced by a lock",
    ("daemon", "conn_retry_sleep"): "it tries again for as long as it takes",
    ("daemon", "max_conn_retries"): "it tries again for as long as it takes",
    ("shotgun", "use_session_uuid"): "",
    ("daemon", "timing_log"): "",
}
"""Options without a counterpart -> the reason; those without a reason are handled in code."""


def draft_of(
    ini: IniFile,
    syspath: Sequence[Path] = (),
    on_files: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> Draft:
    """Return the configuration equivalent to an ini file of the classic daemon.

    Args:
        ini: The ini file.
        syspath: Folders in which plugins find modules.
        on_files: The decisions left to a person about the plugin files of a group, in sentences.
    """
    return _Drafting(ini, syspath, on_files).draft()


class _Drafting:
    """Makes one draft.

    Args:
        ini: The ini file.
        syspath: Folders in which plugins find modules.
        on_files: The decisions left to a person about the plugin files of a group.
    """

    def __init__(
        self, ini: IniFile, syspath: Sequence[Path], on_files: Mapping[str, Sequence[str]]
    ) -> None:
        self._ini = ini
        self._on_files = on_files
        self._syspath = syspath
        self._draft = Draft()
        self._used: set[tuple[str, str]] = set()
        self._comments: list[tuple[IniOption, list[str]]] = []

    def draft(self) -> Draft:
        """Return the draft."""
        draft = self._draft
        draft.id_file = self._path_at(("daemon", "eventidfile"))
        draft.pid_file = self._path_at(("daemon", "pidfile"))
        sections = [
            self._site(),
            self._feed(),
            ["[state]", 'path = "state"'],
            self._log(),
            self._classic(),
            self._smtp(),
            *self._folders(),
            self._rest(),
        ]
        head = (
            f"# Made by `sgevents migrate` from {one_line(self._ini.path)}.\n"
            f"# Lines with {DECIDE} ask for a decision; `sgevents check` looks it all over.\n"
        )
        body = "\n\n".join("\n".join(section) for section in sections if section)
        draft.text = self._without_secrets(f"{head}\n{body}\n")
        return draft

    def _without_secrets(self, text: str) -> str:
        """Return the text with the ini file's secrets removed, wherever they occur in it."""
        lines = [line for line in text.split("\n") if not self._draft.is_secret(line)]
        return "\n".join(lines)

    # Reading options

    def _get(self, section: str, *names: str) -> IniOption | None:
        """Return the first of several options that is set and not empty."""
        given_option = None
        for name in names:
            option = self._ini.options.get((section, name))
            if option is not None:
                self._used.add(option.key)
                if given_option is None and not option.is_empty:
                    given_option = option
        return given_option

    def _path_at(self, key: tuple[str, str]) -> Path | None:
        option = self._get(*key)
        if option is None or option.missing:
            return None
        return self._full(option.value)

    def _full(self, written: str) -> Path:
        return (self._ini.path.parent / Path(written)).absolute()

    # Writing lines

    def _decide(self, sentence: str) -> str:
        self._draft.decisions.append(sentence)
        return f"# {DECIDE}: {one_line(sentence)}"

    def _above(self, option: IniOption) -> Iterator[str]:
        """Yield the informative comments above an option."""
        yield from (f"# {one_line(comment)}" for comment in option.comments)

    def _reference(self, variable: str) -> str:
        if variable not in self._draft.variables:
            self._draft.variables.append(variable)
        return f"{{ env = {toml_text(variable)} }}"

    def _text_lines(
        self, key: str, option: IniOption, made: Callable[[str], str] = str
    ) -> list[str]:
        """Return the lines for a string that may come from an environment variable."""
        lines = list(self._above(option))
        variable = option.only_variable
        if variable is not None and _VARIABLE.fullmatch(variable):
            return [*lines, f"{key} = {self._reference(variable)}"]
        if option.missing:
            lines.append(self._decide(self._unset(option)))
            return [*lines, f'# {key} = ""']
        return [*lines, f"{key} = {toml_text(made(option.value))}"]

    def _unset(self, option: IniOption) -> str:
        names = " and ".join(option.missing)
        return f"{option.name} (line {option.line}) needs {names}, which is not set here"

    def _secret_lines(self, key: str, option: IniOption, variable: str) -> list[str]:
        """Return the lines for a secret, whose value is never written."""
        lines = list(self._above(option))
        named = option.only_variable
        if named is not None and _VARIABLE.fullmatch(named):
            return [*lines, f"{key} = {self._reference(named)}"]
        self._draft.secrets.append(SecretPlace(option, variable))
        lines.append(
            self._decide(
                f"{option.name} stands in line {option.line} of {self._ini.path.name}: put it into"
                f" the environment variable {variable}"
            )
        )
        return [*lines, f"{key} = {self._reference(variable)}"]

    # Sections

    def _site(self) -> list[str]:
        lines = ["[site]"]
        server = self._get("shotgun", "server", "url")
        if server is None:
            lines += [self._decide("the site's address is missing"), '# url = "https://"']
        else:
            lines += self._text_lines("url", server, site_url)
        name = self._get("shotgun", "name", "script_name")
        if name is None:
            lines += [self._decide("the script to sign in as is missing"), '# script_name = ""']
        else:
            lines += self._text_lines("script_name", name)
        key = self._get("shotgun", "key", "api_key")
        if key is None:
            lines += [self._decide(f"the script's key is missing: {_KEY_VARIABLE} holds it here")]
            lines += [f"api_key = {self._reference(_KEY_VARIABLE)}"]
        else:
            lines += self._secret_lines("api_key", key, _KEY_VARIABLE)
        return lines + self._proxy() + self._session()

    def _proxy(self) -> list[str]:
        proxy = self._get("shotgun", "proxy_server", "http_proxy")
        if proxy is None:
            return []
        if "@" in proxy.value:
            return self._secret_lines("http_proxy", proxy, _PROXY_VARIABLE)
        return self._text_lines("http_proxy", proxy)

    def _session(self) -> list[str]:
        """Note an option that turned off passing on an event's session: sgevents always does."""
        option = self._get("shotgun", "use_session_uuid")
        if option is None or option.value.lower() not in _FALSE:
            return []
        sentence = (
            f"use_session_uuid is off (line {option.line}); here what a plugin writes always"
            " carries the event's session, so that people see it at once on the site"
        )
        return [self._decide(sentence)]

    def _feed(self) -> list[str]:
        lines: list[str] = []
        interval = self._get("daemon", "fetch_interval")
        if interval is not None and (seconds := leading_number(interval.value)) is not None:
            lines += self._above(interval)
            if seconds != _FETCH_INTERVAL and seconds > 0:
                lines.append(f'poll_interval = "{duration_text(seconds)}"')
        size = self._get("daemon", "max_event_batch_size")
        if size is not None and (rows := leading_number(size.value)) is not None:
            lines += self._above(size)
            if rows != _BATCH_SIZE:
                low, high = _PAGE_SIZES
                lines.append(f"page_size = {min(max(int(rows), low), high)}")
        return ["[feed]", *lines] if lines else []

    def _log(self) -> list[str]:
        lines: list[str] = []
        level = self._get("daemon", "logging")
        if level is not None:
            lines += self._above(level)
            number = leading_number(level.value)
            known = 20.0 if number is None else number
            word = next(word for least, word in _LEVELS if known >= least)
            if word != "info":
                lines.append(f'level = "{word}"')
        lines += self._log_file()
        timing = self._get("daemon", "timing_log")
        if timing is not None and timing.value == "on":
            lines += [
                *self._above(timing),
                '# timing_log was on: at level = "debug" each call is logged with its time.',
            ]
        return ["[log]", *lines] if lines else []

    def _log_file(self) -> list[str]:
        folder, name = self._get("daemon", "logpath"), self._get("daemon", "logfile")
        mode = self._get("daemon", "logmode")
        place_option = folder or name
        lines: list[str] = []
        if place_option is not None and not place_option.missing:
            log_folder = self._full(
                place_option.value if folder else str(Path(place_option.value).parent)
            )
            lines += [
                *self._above(place_option),
                "# Not the file of the classic daemon: both may run.",
            ]
            lines.append(f"file = {toml_text(str(log_folder / 'sgevents.log'))}")
        elif place_option is not None:
            lines.append(self._decide(self._unset(place_option)))
        if mode is not None and mode.value == "1" and any(line[:4] == "file" for line in lines):
            lines += [*self._above(mode), "per_plugin = true"]
        return lines

    def _classic(self) -> list[str]:
        if not self._syspath:
            return []
        folders = ", ".join(toml_text(str(folder)) for folder in self._syspath)
        return ["[classic]", f"syspath = [{folders}]"]

    def _smtp(self) -> list[str]:
        enabled = self._get("emails", "enabled")
        options = [self._get("emails", name) for name in _MAIL_OPTIONS]
        server, sender, recipients, subject, port, username, password, tls = options
        if server is None or (enabled is not None and enabled.value.lower() in _FALSE):
            return []
        lines = ["[classic.smtp]", *self._text_of_mails("server", server)]
        if port is not None and (number := leading_number(port.value)) is not None:
            lines += [*self._above(port), f"port = {int(number)}"]
        if sender is not None:
            lines += self._text_of_mails("sender", sender)
        else:
            lines.append(self._decide("the sender of mails is missing: sender"))
        if recipients is not None and recipients.missing:
            lines += [self._decide(self._unset(recipients)), "# recipients = []"]
        elif recipients is not None:
            addresses = [
                address.strip() for address in recipients.value.split(",") if address.strip()
            ]
            shown = ", ".join(map(toml_text, addresses))
            lines += [*self._above(recipients), f"recipients = [{shown}]"]
        if subject is not None:
            lines += self._text_of_mails("subject", subject)
        if username is not None:
            lines += self._text_lines("username", username)
        if password is not None:
            lines += self._secret_lines("password", password, _PASSWORD_VARIABLE)
        if tls is not None and tls.value.lower() in _TRUE:
            lines += [*self._above(tls), "tls = true"]
        return lines

    def _text_of_mails(self, key: str, option: IniOption) -> list[str]:
        """Return the lines for a string that must be written in the configuration itself."""
        if option.missing:
            return [self._decide(self._unset(option)), f'# {key} = ""']
        return [*self._above(option), f"{key} = {toml_text(option.value)}"]

    def _folders(self) -> Iterator[list[str]]:
        paths = self._get("plugins", "paths")
        if paths is None:
            yield [self._decide("no folder of plugins is given: [[classic.paths]] path")]
            return
        if paths.missing:
            yield [self._decide(self._unset(paths)), "# [[classic.paths]]", '# path = ""']
            return
        groups: set[str] = set()
        written = [
            written_path.strip() for written_path in paths.value.split(",") if written_path.strip()
        ]
        for number, written_path in enumerate(dict.fromkeys(written)):
            path = self._full(written_path)
            group = free_group(path, groups)
            groups.add(group)
            self._draft.folders.append(ClassicPath(written_path, path, group))
            lines = list(self._above(paths)) if not number else []
            if not path.is_dir():
                lines.append(self._decide(f"{path} is no folder"))
            if not Path(written_path).is_absolute():
                sentence = f"{written_path} is relative: is {path} meant?"
                lines.append(self._decide(sentence))
            lines += ["[[classic.paths]]", f"path = {toml_text(str(path))}"]
            lines.append(f"group = {toml_text(group)}")
            on_files = self._on_files.get(group, ())
            yield [*lines, *(f"# {DECIDE}: {one_line(sentence)}" for sentence in on_files)]

    def _rest(self) -> list[str]:
        """Return comment lines about options that have no counterpart in sgevents."""
        lines: list[str] = []
        for option in self._ini.options.values():
            if option.key in _HANDLED_ELSEWHERE:
                lines += self._above(option)
                continue
            if option.key in self._used:
                continue
            where = f"[{option.section}] {option.name} (line {option.line})"
            lines += [
                *self._above(option),
                self._decide(f"{where} is nothing that the classic daemon has: what was it for?"),
            ]
        for line in self._ini.left_out:
            lines.append(f"# The comment in line {line} seems to hold a key, and is left out.")
        return lines


_MAIL_OPTIONS: Final = (
    "server",
    "from",
    "to",
    "subject",
    "port",
    "username",
    "password",
    "usetls",
)
