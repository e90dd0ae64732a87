"""Draft `sgevents.toml` from the classic configuration, with comments where a person decides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

from sgevents_core.migrating.config_lines import DECIDE, ConfigLines
from sgevents_core.migrating.config_values import (
    ClassicPath,
    Draft,
    duration_text,
    free_group,
    leading_number,
    site_url,
    toml_text,
)
from sgevents_core.migrating.ini_file import IniFile, IniOption
from sgevents_core.printable import one_line

_KEY_VARIABLE: Final = "SGEVENTS_API_KEY"
_PASSWORD_VARIABLE: Final = "SGEVENTS_SMTP_PASSWORD"  # noqa: S105 - the name of a variable
_PROXY_VARIABLE: Final = "SGEVENTS_HTTP_PROXY"
_FETCH_INTERVAL: Final = 5.0
_BATCH_SIZE: Final = 500
_PAGE_SIZES: Final = (2, 5000)
_LEVELS: Final = ((50, "critical"), (40, "error"), (30, "warning"), (20, "info"), (0, "debug"))
_TRUE: Final = frozenset({"1", "yes", "true", "on"})
_FALSE: Final = frozenset({"0", "no", "false", "off"})
_HANDLED_ELSEWHERE: Final = {
    ("daemon", "pidfile"): "one daemon for each state is enforced by a lock",
    ("daemon", "conn_retry_sleep"): "it tries again for as long as it takes",
    ("daemon", "max_conn_retries"): "it tries again for as long as it takes",
    ("shotgun", "use_session_uuid"): "",
    ("daemon", "timing_log"): "",
}
"""Options without a counterpart -> the reason; those without a reason are handled in code."""


def draft_of(
    ini_file: IniFile,
    module_folders: Sequence[Path] = (),
    on_files: Mapping[str, Sequence[str]] = MappingProxyType({}),
    on_main_thread: Sequence[str] = (),
) -> Draft:
    """Return the configuration equivalent to an ini file of the classic daemon.

    Args:
        ini_file: The ini file.
        module_folders: Folders in which plugins find modules.
        on_files: The decisions left to a person about the plugin files of a group, in sentences.
        on_main_thread: Why plugins must be called in the main thread, in sentences.
    """
    return _Drafting(ini_file, module_folders, on_files, on_main_thread).draft()


class _Drafting(ConfigLines):
    """Makes one draft.

    Args:
        ini_file: The ini file.
        module_folders: Folders in which plugins find modules.
        on_files: The decisions left to a person about the plugin files of a group.
        on_main_thread: Why plugins must be called in the main thread.
    """

    def __init__(
        self,
        ini_file: IniFile,
        module_folders: Sequence[Path],
        on_files: Mapping[str, Sequence[str]],
        on_main_thread: Sequence[str],
    ) -> None:
        super().__init__(ini_file)
        self._on_files = on_files
        self._on_main_thread = on_main_thread
        self._module_folders = module_folders

    def draft(self) -> Draft:
        """Return the draft."""
        config_draft = self._config_draft
        config_draft.id_file = self._path_at(("daemon", "eventidfile"))
        config_draft.pid_file = self._path_at(("daemon", "pidfile"))
        config_sections = [
            self._site(),
            self._feed(),
            ["[state]", 'path = "state"'],
            self._log(),
            self._classic(),
            self._smtp(),
            *self._folders(),
            self._lanes(),
            self._rest(),
        ]
        head_comment = (
            f"# Made by `sgevents migrate` from {one_line(self._ini_file.path)}.\n"
            f"# Lines with {DECIDE} ask for a decision; `sgevents check` checks the whole file.\n"
        )
        config_body = "\n\n".join(
            "\n".join(config_section) for config_section in config_sections if config_section
        )
        config_draft.text = self._without_secrets(f"{head_comment}\n{config_body}\n")
        return config_draft

    # Sections

    def _site(self) -> list[str]:
        config_lines = ["[site]"]
        server_option = self._get("shotgun", "server", "url")
        if server_option is None:
            config_lines += [self._decide("the site's address is missing"), '# url = "https://"']
        else:
            config_lines += self._text_lines("url", server_option, site_url)
        name_option = self._get("shotgun", "name", "script_name")
        if name_option is None:
            config_lines += [
                self._decide("the script to sign in as is missing"),
                '# script_name = ""',
            ]
        else:
            config_lines += self._text_lines("script_name", name_option)
        key_option = self._get("shotgun", "key", "api_key")
        if key_option is None:
            config_lines += [
                self._decide(f"the script's key is missing: {_KEY_VARIABLE} holds it here")
            ]
            config_lines += [f"api_key = {self._reference(_KEY_VARIABLE)}"]
        else:
            config_lines += self._secret_lines("api_key", key_option, _KEY_VARIABLE)
        return config_lines + self._proxy() + self._session()

    def _proxy(self) -> list[str]:
        proxy_option = self._get("shotgun", "proxy_server", "http_proxy")
        if proxy_option is None:
            return []
        if "@" in proxy_option.value:
            return self._secret_lines("http_proxy", proxy_option, _PROXY_VARIABLE)
        return self._text_lines("http_proxy", proxy_option)

    def _session(self) -> list[str]:
        """Note an option that turned off passing on an event's session: sgevents always does."""
        ini_option = self._get("shotgun", "use_session_uuid")
        if ini_option is None or ini_option.value.lower() not in _FALSE:
            return []
        decision_text = (
            f"use_session_uuid is off (line {ini_option.line}); here what a plugin writes always"
            " carries the event's session, so that people see it at once on the site"
        )
        return [self._decide(decision_text)]

    def _feed(self) -> list[str]:
        config_lines: list[str] = []
        interval_option = self._get("daemon", "fetch_interval")
        if (
            interval_option is not None
            and (interval_seconds := leading_number(interval_option.value)) is not None
        ):
            config_lines += self._above(interval_option)
            if interval_seconds != _FETCH_INTERVAL and interval_seconds > 0:
                config_lines.append(f'poll_interval = "{duration_text(interval_seconds)}"')
        size_option = self._get("daemon", "max_event_batch_size")
        if size_option is not None and (row_count := leading_number(size_option.value)) is not None:
            config_lines += self._above(size_option)
            if row_count != _BATCH_SIZE:
                lowest_size, highest_size = _PAGE_SIZES
                config_lines.append(
                    f"page_size = {min(max(int(row_count), lowest_size), highest_size)}"
                )
        return ["[feed]", *config_lines] if config_lines else []

    def _log(self) -> list[str]:
        config_lines: list[str] = []
        level_option = self._get("daemon", "logging")
        if level_option is not None:
            config_lines += self._above(level_option)
            level_number = leading_number(level_option.value)
            known_level = 20.0 if level_number is None else level_number
            level_word = next(
                level_word for least_level, level_word in _LEVELS if known_level >= least_level
            )
            if level_word != "info":
                config_lines.append(f'level = "{level_word}"')
        config_lines += self._log_file()
        timing_option = self._get("daemon", "timing_log")
        if timing_option is not None and timing_option.value == "on":
            config_lines += [
                *self._above(timing_option),
                '# timing_log was on: at level = "debug" each call is logged with its time.',
            ]
        return ["[log]", *config_lines] if config_lines else []

    def _log_file(self) -> list[str]:
        folder_option, name_option = self._get("daemon", "logpath"), self._get("daemon", "logfile")
        mode_option = self._get("daemon", "logmode")
        place_option = folder_option or name_option
        config_lines: list[str] = []
        if place_option is not None and not place_option.missing:
            log_folder = self._full(
                place_option.value if folder_option else str(Path(place_option.value).parent)
            )
            config_lines += [
                *self._above(place_option),
                "# Not the file of the classic daemon: both may run.",
            ]
            config_lines.append(f"file = {toml_text(str(log_folder / 'sgevents.log'))}")
        elif place_option is not None:
            config_lines.append(self._decide(self._unset(place_option)))
        if (
            mode_option is not None
            and mode_option.value == "1"
            and any(config_line[:4] == "file" for config_line in config_lines)
        ):
            config_lines += [*self._above(mode_option), "per_plugin = true"]
        return config_lines

    def _classic(self) -> list[str]:
        if not self._module_folders:
            return []
        folder_texts = ", ".join(
            toml_text(str(module_folder)) for module_folder in self._module_folders
        )
        return ["[classic]", f"syspath = [{folder_texts}]"]

    def _smtp(self) -> list[str]:
        enabled_option = self._get("emails", "enabled")
        smtp_options = [self._get("emails", option_name) for option_name in _MAIL_OPTIONS]
        (
            server_option,
            sender_option,
            recipient_option,
            subject_option,
            port_option,
            username_option,
            password_option,
            tls_option,
        ) = smtp_options
        if server_option is None or (
            enabled_option is not None and enabled_option.value.lower() in _FALSE
        ):
            return []
        config_lines = ["[classic.smtp]", *self._text_of_mails("server", server_option)]
        if (
            port_option is not None
            and (level_number := leading_number(port_option.value)) is not None
        ):
            config_lines += [*self._above(port_option), f"port = {int(level_number)}"]
        if sender_option is not None:
            config_lines += self._text_of_mails("sender", sender_option)
        else:
            config_lines.append(self._decide("the sender of mails is missing: sender"))
        if recipient_option is not None and recipient_option.missing:
            config_lines += [self._decide(self._unset(recipient_option)), "# recipients = []"]
        elif recipient_option is not None:
            mail_addresses = [
                mail_address.strip()
                for mail_address in recipient_option.value.split(",")
                if mail_address.strip()
            ]
            shown_recipients = ", ".join(map(toml_text, mail_addresses))
            config_lines += [*self._above(recipient_option), f"recipients = [{shown_recipients}]"]
        if subject_option is not None:
            config_lines += self._text_of_mails("subject", subject_option)
        if username_option is not None:
            config_lines += self._text_lines("username", username_option)
        if password_option is not None:
            config_lines += self._secret_lines("password", password_option, _PASSWORD_VARIABLE)
        if tls_option is not None and tls_option.value.lower() in _TRUE:
            config_lines += [*self._above(tls_option), "tls = true"]
        return config_lines

    def _text_of_mails(self, config_key: str, ini_option: IniOption) -> list[str]:
        """Return the lines for a string that must be written in the configuration itself."""
        if ini_option.missing:
            return [self._decide(self._unset(ini_option)), f'# {config_key} = ""']
        return [*self._above(ini_option), f"{config_key} = {toml_text(ini_option.value)}"]

    def _folders(self) -> Iterator[list[str]]:
        paths_option = self._get("plugins", "paths")
        if paths_option is None:
            yield [self._decide("no folder of plugins is given: [[classic.paths]] path")]
            return
        if paths_option.missing:
            yield [self._decide(self._unset(paths_option)), "# [[classic.paths]]", '# path = ""']
            return
        folder_groups: set[str] = set()
        path_text = [
            written_path.strip()
            for written_path in paths_option.value.split(",")
            if written_path.strip()
        ]
        for level_number, written_path in enumerate(dict.fromkeys(path_text)):
            folder_path = self._full(written_path)
            folder_group = free_group(folder_path, folder_groups)
            folder_groups.add(folder_group)
            self._config_draft.folders.append(ClassicPath(written_path, folder_path, folder_group))
            config_lines = list(self._above(paths_option)) if not level_number else []
            if not folder_path.is_dir():
                config_lines.append(self._decide(f"{folder_path} is no folder"))
            if not Path(written_path).is_absolute():
                decision_text = f"{written_path} is relative: is {folder_path} meant?"
                config_lines.append(self._decide(decision_text))
            config_lines += ["[[classic.paths]]", f"path = {toml_text(str(folder_path))}"]
            config_lines.append(f"group = {toml_text(folder_group)}")
            on_files = self._on_files.get(folder_group, ())
            yield [
                *config_lines,
                *(f"# {DECIDE}: {one_line(decision_text)}" for decision_text in on_files),
            ]

    def _lanes(self) -> list[str]:
        """Return the lines that call plugins in a main thread, if any needs that."""
        if not self._on_main_thread:
            return []
        reason_lines = [f"# {one_line(reason_text)}" for reason_text in self._on_main_thread]
        return [
            "# A worker process calls the plugins in its main thread, as the classic daemon does:",
            *reason_lines,
            "[lanes.default]",
            'executor = "process"',
        ]

    def _rest(self) -> list[str]:
        """Return comment lines about options that have no counterpart in sgevents."""
        config_lines: list[str] = []
        for ini_option in self._ini_file.options.values():
            if ini_option.key in _HANDLED_ELSEWHERE:
                config_lines += self._above(ini_option)
                continue
            if ini_option.key in self._used_keys:
                continue
            option_place = f"[{ini_option.section}] {ini_option.name} (line {ini_option.line})"
            config_lines += [
                *self._above(ini_option),
                self._decide(
                    f"{option_place} is nothing that the classic daemon has: what was it for?"
                ),
            ]
        for config_line in self._ini_file.left_out:
            config_lines.append(
                f"# The comment in line {config_line} seems to hold a key, and is left out."
            )
        return config_lines


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
