"""A drafted configuration, and TOML forms of the values in it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from sgevents_core.migrating.ini_file import IniOption
from sgevents_core.printable import escaped_toml

_SHORTEST_SECRET: Final = 6
"""The fewest characters of a secret to remove; a shorter one occurs in other words too."""
_NUMBER: Final = re.compile(r"\d+(\.\d+)?")


class ClassicPath(NamedTuple):
    """A folder of plugins.

    Args:
        written: The path as written in the ini file.
        path: Where it is.
        group: The group of its plugins.
    """

    written: str
    path: Path
    group: str


class SecretPlace(NamedTuple):
    """A secret in the ini file, and the environment variable that will hold it."""

    option: IniOption
    variable: str


@dataclass(slots=True)
class Draft:
    """A configuration made from an ini file.

    Args:
        text: The text of `sgevents.toml`.
        folders: The folders of plugins, in their order.
        id_file: Where the classic daemon keeps its positions; None if the ini file does not say.
        pid_file: Where it keeps its process id; None if the ini file does not say.
        variables: The environment variables that the configuration refers to.
        secrets: Secrets found in the ini file, to be moved into variables.
        decisions: The decisions left to a person, in sentences.
    """

    text: str = ""
    folders: list[ClassicPath] = field(default_factory=list)
    id_file: Path | None = None
    pid_file: Path | None = None
    variables: list[str] = field(default_factory=list)
    secrets: list[SecretPlace] = field(default_factory=list)
    decisions: list[str] = field(default_factory=list)

    @property
    def body(self) -> str:
        """The text after its first lines, which explain the marks."""
        return self.text.partition("\n\n")[2]

    def is_secret(self, checked_text: str) -> bool:
        """Return whether a text holds a secret of the ini file."""
        secret_values = [secret_place.option.value for secret_place in self.secrets]
        return any(
            len(secret_value) >= _SHORTEST_SECRET and secret_value in checked_text
            for secret_value in secret_values
        )


def toml_text(checked_text: str) -> str:
    """Return a text as a TOML string."""
    return escaped_toml(json.dumps(checked_text, ensure_ascii=False))


def site_url(written_text: str) -> str:
    """Return a site's address with a scheme, as sgevents requires."""
    site_address = written_text.strip().rstrip("/")
    return site_address if "://" in site_address else f"https://{site_address}"


def leading_number(written_text: str) -> float | None:
    """Return a number, ignoring a comment after it as Python 2 did; None if there is no number."""
    number_match = _NUMBER.match(written_text)
    return None if number_match is None else float(number_match[0])


def duration_text(duration_seconds: float) -> str:
    """Return a duration written as TOML."""
    return (
        f"{duration_seconds:.0f}s"
        if duration_seconds == int(duration_seconds)
        else f"{duration_seconds * 1000:.0f}ms"
    )


def free_group(folder_path: Path, taken_groups: Iterable[str]) -> str:
    """Return a unique name for a folder's group."""
    folder_name = folder_path.name or "plugins"
    candidate_names = [folder_name, f"{folder_path.parent.name or 'root'}-{folder_name}"]
    candidate_names += [f"{folder_name}-{name_number}" for name_number in range(2, 1000)]
    return next(
        candidate_name for candidate_name in candidate_names if candidate_name not in taken_groups
    )
