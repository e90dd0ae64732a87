"""The classic daemon's configuration: an ini file, with the comments that a person wrote."""

from __future__ import annotations

import configparser
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from sgevents_core.errors import IniFileError
from sgevents_core.migrating.shipped_comments import is_shipped
from sgevents_core.settings.plain_files import NotPlainError, read_plain_file

_MOST_BYTES: Final = 1024 * 1024
_DEEPEST: Final = 10
_REFERENCE: Final = re.compile(r"%\(([^)]*)\)s")
_SECTION: Final = re.compile(r"\s*\[(?P<name>[^]]+)\]")
_OPTION: Final = re.compile(r"(?P<name>[^:=\s\[#;][^:=]*?)\s*(?:[:=]\s*(?P<value>.*))?$")
_LIKE_A_KEY: Final = re.compile(r"(?=[^\s]*\d)(?=[^\s]*[A-Za-z])[^\s:=]{16,}")
_NAMES_A_SECRET: Final = re.compile(r"(key|passw|secret|token|credential)\w*\W*[:=]", re.IGNORECASE)


class IniOption(NamedTuple):
    """One option.

    Args:
        section: Its section, in lower case.
        name: Its name as written.
        raw: Its value as written.
        value: Its value, with everything filled in that is known.
        line: Its line, counted from 1.
        comments: The lines of comment above it that did not come with the classic daemon.
        variables: The environment variables that its value uses.
        missing: Those of them that are not set.
    """

    section: str
    name: str
    raw: str
    value: str
    line: int
    comments: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        """Its section and name, in lower case: the classic daemon ignores case."""
        return self.section, self.name.lower()

    @property
    def only_variable(self) -> str | None:
        """The environment variable that is its whole value; None if there is none."""
        whole_reference = _REFERENCE.fullmatch(self.raw.strip())
        return self.variables[0] if whole_reference and len(self.variables) == 1 else None

    @property
    def is_empty(self) -> bool:
        """Whether it has no value, not even a reference to an environment variable."""
        return not self.value.strip() and not self.missing


_WRONG_FILE: Final = "Name the configuration of the classic daemon: shotgunEventDaemon.conf."
_ONE_OF_TWO: Final = "Remove one of the two; Python 2 took the last."


class IniFile(NamedTuple):
    """The content of an ini file.

    Args:
        path: The file.
        options: Its options, by section and name in lower case, in the order of the file.
        left_out: The lines of comments that seem to hold a key, and are not shown.
    """

    path: Path
    options: Mapping[tuple[str, str], IniOption]
    left_out: Sequence[int] = ()


def read_ini_file(file_path: Path, environment: Mapping[str, str] = os.environ) -> IniFile:
    """Return the content of an ini file.

    Args:
        file_path: The file.
        environment: The environment that its values may use.

    Raises:
        IniFileError: It cannot be read, or is not an ini file. The message contains no value.
    """
    try:
        file_content = read_plain_file(file_path, _MOST_BYTES)
    except NotPlainError as parse_error:
        problem_text = f"it {parse_error.problem_text}"
        raise IniFileError(path=file_path, problem=problem_text, advice=_WRONG_FILE) from None
    except OSError as read_error:
        problem_text = f"it cannot be read: {read_error.strerror}"
        raise IniFileError(path=file_path, problem=problem_text, advice=_WRONG_FILE) from None
    ini_text = _decoded(file_content)
    config_parser = configparser.RawConfigParser(interpolation=None)
    try:
        config_parser.read_string(ini_text)
    except configparser.MissingSectionHeaderError as parse_error:
        problem_text = "no section such as [shotgun] is above this line"
        error_place = f"{file_path}:{parse_error.lineno}"
        raise IniFileError(path=error_place, problem=problem_text, advice=_WRONG_FILE) from None
    except (configparser.DuplicateOptionError, configparser.DuplicateSectionError) as parse_error:
        given_twice = f"[{parse_error.section}]"
        if isinstance(parse_error, configparser.DuplicateOptionError):
            given_twice = f"{parse_error.option} of {given_twice}"
        problem_text = (
            f"{given_twice} is given twice, and the classic daemon does not start with it"
        )
        error_place = f"{file_path}:{parse_error.lineno}"
        raise IniFileError(path=error_place, problem=problem_text, advice=_ONE_OF_TWO) from None
    except configparser.ParsingError as parse_error:
        line_number = parse_error.errors[0][0] if parse_error.errors else 1
        raise IniFileError(
            path=f"{file_path}:{line_number}",
            problem="this line is no option",
            advice="Write it as `name: value`, or remove it.",
        ) from None
    return _ini_file(file_path, ini_text, config_parser, environment)


def _decoded(file_content: bytes) -> str:
    try:
        return file_content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return file_content.decode("latin-1")


class _Found(NamedTuple):
    """An option or comment as the lines of the file show it."""

    section: str
    name: str
    line: int
    comments: tuple[tuple[int, str], ...]


def _ini_file(
    file_path: Path,
    ini_text: str,
    config_parser: configparser.RawConfigParser,
    environment: Mapping[str, str],
) -> IniFile:
    ini_options: dict[tuple[str, str], IniOption] = {}
    left_out: list[int] = []
    for option_lines in _options_in(ini_text):
        given_section = next(
            (
                section_name
                for section_name in config_parser.sections()
                if section_name.lower() == option_lines.section.lower()
            ),
            None,
        )
        if given_section is None or not config_parser.has_option(given_section, option_lines.name):
            continue
        raw_value = config_parser.get(given_section, option_lines.name) or ""
        value_filling = _Filling(config_parser, given_section, environment, option_lines.name)
        filled_value = value_filling.filled(raw_value)
        left_out += [
            line_number
            for line_number, comment_text in option_lines.comments
            if seems_secret(comment_text)
        ]
        comment_texts = tuple(
            comment_text
            for _, comment_text in option_lines.comments
            if not seems_secret(comment_text)
        )
        option_name = IniOption(
            given_section.lower(),
            option_lines.name,
            raw_value,
            filled_value.strip(),
            option_lines.line,
            comment_texts,
            tuple(dict.fromkeys(value_filling.variables)),
            tuple(dict.fromkeys(value_filling.missing)),
        )
        ini_options[option_name.key] = option_name
    return IniFile(file_path, ini_options, left_out)


def seems_secret(comment_text: str) -> bool:
    """Return whether a comment may hold a key or a password."""
    return bool(_LIKE_A_KEY.search(comment_text) or _NAMES_A_SECRET.search(comment_text))


def _options_in(ini_text: str) -> Iterator[_Found]:
    """Yield the options in the order of the lines, each with the comments above it."""
    section_name = ""
    comment_texts: list[tuple[int, str]] = []
    for line_number, config_line in enumerate(ini_text.splitlines(), 1):
        if config_line.lstrip()[:1] in {"#", ";"}:
            comment_text = config_line.strip().lstrip("#;").strip()
            if comment_text and not is_shipped(comment_text):
                comment_texts.append((line_number, comment_text))
        elif section_heading := _SECTION.match(config_line):
            section_name = section_heading["name"]
        elif config_line[:1].strip() and (option_name := _OPTION.match(config_line)):
            yield _Found(section_name, option_name["name"], line_number, tuple(comment_texts))
            comment_texts = []


class _Filling:
    """Fills in the references in an option's value: other options, and environment variables.

    Args:
        config_parser: The options.
        section_name: The section of the option.
        environment: The environment.
        option_name: The option; a reference by its own name can only mean a variable.
    """

    def __init__(
        self,
        config_parser: configparser.RawConfigParser,
        section_name: str,
        environment: Mapping[str, str],
        option_name: str,
    ) -> None:
        self._option_name = option_name.lower()
        self._config_parser = config_parser
        self._section_name = section_name
        self._environment = {
            reference_name.lower(): filled_value
            for reference_name, filled_value in environment.items()
        }
        self.variables: list[str] = []
        self.missing: list[str] = []

    def filled(self, raw_value: str, reference_depth: int = 0) -> str:
        """Return a value with its references resolved; a missing variable stays as written."""
        if reference_depth > _DEEPEST:
            return raw_value
        value_parts = raw_value.split("%%")
        return "%".join(
            _REFERENCE.sub(
                lambda found: self._referred(found[0], found[1], reference_depth), value_part
            )
            for value_part in value_parts
        )

    def _referred(self, written_value: str, reference_name: str, reference_depth: int) -> str:
        if reference_name.lower() != self._option_name and self._config_parser.has_option(
            self._section_name, reference_name
        ):
            return self.filled(
                self._config_parser.get(self._section_name, reference_name) or "",
                reference_depth + 1,
            )
        self.variables.append(reference_name)
        filled_value = self._environment.get(reference_name.lower())
        if filled_value is None:
            self.missing.append(reference_name)
            return written_value
        return filled_value
