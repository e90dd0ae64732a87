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
        whole = _REFERENCE.fullmatch(self.raw.strip())
        return self.variables[0] if whole and len(self.variables) == 1 else None

    @property
    def is_empty(self) -> bool:
        """Whether it has no value, not even a reference to an environment variable."""
        return not self.value.strip() and not self.missing


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


def read_ini_file(path: Path, environment: Mapping[str, str] = os.environ) -> IniFile:
    """Return the content of an ini file.

    Args:
        path: The file.
        environment: The environment that its values may use.

    Raises:
        IniFileError: It cannot be read, or is not an ini file. The message contains no value.
    """
    try:
        content = read_plain_file(path, _MOST_BYTES)
    except NotPlainError as error:
        raise IniFileError(path=path, problem=f"it {error.problem_text}") from None
    except OSError as error:
        raise IniFileError(path=path, problem=f"it cannot be read: {error.strerror}") from None
    ini_text = _decoded(content)
    parser = configparser.RawConfigParser(interpolation=None)
    try:
        parser.read_string(ini_text)
    except configparser.MissingSectionHeaderError as error:
        problem = "no section such as [shotgun] is above this line"
        raise IniFileError(path=f"{path}:{error.lineno}", problem=problem) from None
    except (configparser.DuplicateOptionError, configparser.DuplicateSectionError) as error:
        given_twice = f"[{error.section}]"
        if isinstance(error, configparser.DuplicateOptionError):
            given_twice = f"{error.option} of {given_twice}"
        problem = f"{given_twice} is given twice, and the classic daemon does not start with it"
        raise IniFileError(path=f"{path}:{error.lineno}", problem=problem) from None
    except configparser.ParsingError as error:
        line = error.errors[0][0] if error.errors else 1
        raise IniFileError(path=f"{path}:{line}", problem="this line is no option") from None
    return _ini_file(path, ini_text, parser, environment)


def _decoded(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


class _Found(NamedTuple):
    """An option or comment as the lines of the file show it."""

    section: str
    name: str
    line: int
    comments: tuple[tuple[int, str], ...]


def _ini_file(
    path: Path, ini_text: str, parser: configparser.RawConfigParser, environment: Mapping[str, str]
) -> IniFile:
    options: dict[tuple[str, str], IniOption] = {}
    left_out: list[int] = []
    for option_lines in _options_in(ini_text):
        section = next(
            (
                section_name
                for section_name in parser.sections()
                if section_name.lower() == option_lines.section.lower()
            ),
            None,
        )
        if section is None or not parser.has_option(section, option_lines.name):
            continue
        raw = parser.get(section, option_lines.name) or ""
        filling = _Filling(parser, section, environment, option_lines.name)
        value = filling.filled(raw)
        left_out += [line for line, comment in option_lines.comments if seems_secret(comment)]
        comments = tuple(
            comment for _, comment in option_lines.comments if not seems_secret(comment)
        )
        option = IniOption(
            section.lower(),
            option_lines.name,
            raw,
            value.strip(),
            option_lines.line,
            comments,
            tuple(dict.fromkeys(filling.variables)),
            tuple(dict.fromkeys(filling.missing)),
        )
        options[option.key] = option
    return IniFile(path, options, left_out)


def seems_secret(comment: str) -> bool:
    """Return whether a comment may hold a key or a password."""
    return bool(_LIKE_A_KEY.search(comment) or _NAMES_A_SECRET.search(comment))


def _options_in(ini_text: str) -> Iterator[_Found]:
    """Yield the options in the order of the lines, each with the comments above it."""
    section = ""
    comments: list[tuple[int, str]] = []
    for number, line in enumerate(ini_text.splitlines(), 1):
        if line.lstrip()[:1] in {"#", ";"}:
            comment = line.strip().lstrip("#;").strip()
            if comment and not is_shipped(comment):
                comments.append((number, comment))
        elif heading := _SECTION.match(line):
            section = heading["name"]
        elif line[:1].strip() and (option := _OPTION.match(line)):
            yield _Found(section, option["name"], number, tuple(comments))
            comments = []


class _Filling:
    """Fills in the references in an option's value: other options, and environment variables.

    Args:
        parser: The options.
        section: The section of the option.
        environment: The environment.
        option: The option; a reference by its own name can only mean a variable.
    """

    def __init__(
        self,
        parser: configparser.RawConfigParser,
        section: str,
        environment: Mapping[str, str],
        option: str,
    ) -> None:
        self._option = option.lower()
        self._parser = parser
        self._section = section
        self._environment = {name.lower(): value for name, value in environment.items()}
        self.variables: list[str] = []
        self.missing: list[str] = []

    def filled(self, raw: str, depth: int = 0) -> str:
        """Return a value with its references resolved; a missing variable stays as written."""
        if depth > _DEEPEST:
            return raw
        parts = raw.split("%%")
        return "%".join(
            _REFERENCE.sub(lambda found: self._referred(found[0], found[1], depth), part)
            for part in parts
        )

    def _referred(self, written: str, name: str, depth: int) -> str:
        if name.lower() != self._option and self._parser.has_option(self._section, name):
            return self.filled(self._parser.get(self._section, name) or "", depth + 1)
        self.variables.append(name)
        value = self._environment.get(name.lower())
        if value is None:
            self.missing.append(name)
            return written
        return value
