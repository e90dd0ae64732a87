"""The lines of a drafted configuration: options of the ini file, as TOML and comments."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from sgevents_core.migrating.config_values import Draft, SecretPlace, toml_text
from sgevents_core.migrating.ini_file import IniFile, IniOption
from sgevents_core.printable import one_line

DECIDE: Final = "DECIDE"
"""Marks the comments that ask a person for a decision."""
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class ConfigLines:
    """Reads options of an ini file, writes lines about them, and notes what a draft needs.

    Args:
        ini_file: The ini file.
    """

    def __init__(self, ini_file: IniFile) -> None:
        self._ini_file = ini_file
        self._config_draft = Draft()
        self._used_keys: set[tuple[str, str]] = set()

    def _without_secrets(self, config_text: str) -> str:
        """Return the text with the ini file's secrets removed, wherever they occur in it."""
        config_lines = [
            config_line
            for config_line in config_text.split("\n")
            if not self._config_draft.is_secret(config_line)
        ]
        return "\n".join(config_lines)

    # Reading options

    def _get(self, section_name: str, *option_names: str) -> IniOption | None:
        """Return the first of several options that is set and not empty."""
        given_option = None
        for option_name in option_names:
            ini_option = self._ini_file.options.get((section_name, option_name))
            if ini_option is not None:
                self._used_keys.add(ini_option.key)
                if given_option is None and not ini_option.is_empty:
                    given_option = ini_option
        return given_option

    def _path_at(self, config_key: tuple[str, str]) -> Path | None:
        ini_option = self._get(*config_key)
        if ini_option is None or ini_option.missing:
            return None
        return self._full(ini_option.value)

    def _full(self, written_path: str) -> Path:
        return (self._ini_file.path.parent / Path(written_path)).absolute()

    # Writing lines

    def _decide(self, decision_text: str) -> str:
        self._config_draft.decisions.append(decision_text)
        return f"# {DECIDE}: {one_line(decision_text)}"

    def _above(self, ini_option: IniOption) -> Iterator[str]:
        """Yield the informative comments above an option."""
        yield from (f"# {one_line(option_comment)}" for option_comment in ini_option.comments)

    def _reference(self, variable_name: str) -> str:
        if variable_name not in self._config_draft.variables:
            self._config_draft.variables.append(variable_name)
        return f"{{ env = {toml_text(variable_name)} }}"

    def _text_lines(
        self, config_key: str, ini_option: IniOption, convert_value: Callable[[str], str] = str
    ) -> list[str]:
        """Return the lines for a string that may come from an environment variable."""
        config_lines = list(self._above(ini_option))
        variable_name = ini_option.only_variable
        if variable_name is not None and _VARIABLE.fullmatch(variable_name):
            return [*config_lines, f"{config_key} = {self._reference(variable_name)}"]
        if ini_option.missing:
            config_lines.append(self._decide(self._unset(ini_option)))
            return [*config_lines, f'# {config_key} = ""']
        return [*config_lines, f"{config_key} = {toml_text(convert_value(ini_option.value))}"]

    def _unset(self, ini_option: IniOption) -> str:
        option_names = " and ".join(ini_option.missing)
        place_text = f"{ini_option.name} (line {ini_option.line})"
        return f"{place_text} needs {option_names}, which is not set here"

    def _secret_lines(
        self, config_key: str, ini_option: IniOption, variable_name: str
    ) -> list[str]:
        """Return the lines for a secret, whose value is never written."""
        config_lines = list(self._above(ini_option))
        named_variable = ini_option.only_variable
        if named_variable is not None and _VARIABLE.fullmatch(named_variable):
            return [*config_lines, f"{config_key} = {self._reference(named_variable)}"]
        self._config_draft.secrets.append(SecretPlace(ini_option, variable_name))
        config_lines.append(
            self._decide(
                f"{ini_option.name} is written in line {ini_option.line} of"
                f" {self._ini_file.path.name}: put it into the environment variable {variable_name}"
            )
        )
        return [*config_lines, f"{config_key} = {self._reference(variable_name)}"]
