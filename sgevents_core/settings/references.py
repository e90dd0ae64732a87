"""Follows `{ env = "NAME" }`, `{ file = "path" }` and `{ credential = "name" }` to their texts."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from sgevents_core.settings.access import exposures
from sgevents_core.settings.diagnostics import InvalidValueError, Reading
from sgevents_core.settings.regular import NotPlainError, read_plain
from sgevents_core.settings.secret import Secret, SecretSource, SourceForm
from sgevents_core.settings.spelling import nearest, quoted

FORMS: Final = '{ env = "NAME" }, { file = "path" } or { credential = "name" }'
CREDENTIALS: Final = "CREDENTIALS_DIRECTORY"
"""The variable that names the folder of a service's credentials; systemd sets it."""
REFERENCE_KEYS: Final[Mapping[SourceForm, str]] = {
    "env": "The name of an environment variable.",
    "file": "The path of a file that holds it.",
    "credential": "The name of a systemd credential.",
}
"""Keys of which a reference has one -> what is named there."""
_LARGEST: Final = 64 * 1024
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CREDENTIAL: Final = re.compile(r"[A-Za-z0-9_.@-]+")
"""What systemd takes for one, less what its units would read as something else."""


class InvalidNameError(InvalidValueError):
    """A name that nothing can have, so that it is wrong on every machine."""


def is_reference(raw: object) -> bool:
    """Tell whether `raw` is one of the forms, and not some other table."""
    return (
        isinstance(raw, Mapping)
        and len(raw) == 1
        and set(raw) <= set(REFERENCE_KEYS)
        and isinstance(next(iter(raw.values())), str)
    )


def follow(raw: Mapping[str, Any], reading: Reading, *inside: str | int) -> Secret:
    """Return the text that the reference `raw` stands for; one without it if it need not be there.

    Raises:
        InvalidValueError: `raw` is not a reference, or names what is missing, empty or unreadable.
    """
    if not is_reference(raw):
        raise InvalidValueError("this table does not say where the value is", _form_fix(raw))
    form = next(key for key in REFERENCE_KEYS if key in raw)
    name = raw[form]
    if form == "file":
        name = str(reading.folder / os.path.expanduser(name))  # noqa: PTH111 - Path's raises without a home
    source = SecretSource(form, name)
    try:
        if form == "env":
            return Secret(_from_environment(source), source)
        if form == "credential":
            return Secret(_from_credential(source), source)
        return Secret(_from_file(source, reading, inside), source)
    except InvalidNameError:
        raise
    except InvalidValueError:
        if reading.needs_texts:
            raise
        return Secret(None, source)


def _form_fix(raw: Mapping[str, Any]) -> str:
    for key in raw:
        meant = nearest(key, REFERENCE_KEYS)
        if meant and meant != key:
            return f"did you mean {meant}? Write {FORMS}"
    return f"write one of {FORMS}"


def _from_environment(source: SecretSource) -> str:
    name = source.name
    if not _VARIABLE.fullmatch(name):
        message = f"{quoted(name)} is not the name of an environment variable"
        raise InvalidNameError(message, "a name has letters, digits and _, and no digit first")
    text = os.environ.get(name, "").rstrip("\r\n")
    if not text:
        state = "empty" if name in os.environ else "not set"
        raise InvalidValueError(f"{source} is {state}", f"set {name} where sgevents is started")
    return text


def _from_credential(source: SecretSource) -> str:
    name = source.name
    folder = os.environ.get(CREDENTIALS, "")
    load = f"LoadCredential={name}:/path/of/the/file"
    if name in {".", ".."} or not _CREDENTIAL.fullmatch(name):
        fix = "write the name alone, as LoadCredential= of the systemd unit has it: api-key"
        raise InvalidNameError(f"{quoted(name)} is not the name of a credential", fix)
    if not folder:
        message = f"{source} is not there: ${CREDENTIALS} is not set"
        raise InvalidValueError(message, f"start it with systemd, and {load} in the unit")
    missing = f"add {load} to the systemd unit"
    text = _read(Path(folder) / name, source, missing).rstrip("\r\n")
    if not text:
        raise InvalidValueError(f"{source} is empty", "write the value into its file")
    return text


def _from_file(source: SecretSource, reading: Reading, inside: tuple[str | int, ...]) -> str:
    path = Path(source.name)
    text = _read(path, source, "the path is relative to the configuration file").rstrip("\r\n")
    if not text:
        raise InvalidValueError(f"{source} is empty", "write the value into it, and nothing else")
    for exposure in exposures(path, str(source), secret=True):
        reading.warning(exposure.message, exposure.fix, *inside)
    return text


def _read(path: Path, source: SecretSource, missing: str) -> str:
    """Return the text in a file.

    Args:
        path: The file.
        source: What it is.
        missing: What to do if it does not exist.
    """
    try:
        data = read_plain(path, _LARGEST)
    except FileNotFoundError:
        raise InvalidValueError(f"{source} does not exist", missing) from None
    except NotPlainError as error:
        fix = "name a plain file that holds the value and nothing else"
        raise InvalidValueError(f"{source} {error.problem}", fix) from None
    except OSError as error:
        fix = "let the user that runs sgevents read it"
        raise InvalidValueError(f"{source} cannot be read: {error.strerror}", fix) from None
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise InvalidValueError(
            f"{source} is not UTF-8 text", f"is {quoted(path.name)} right?"
        ) from None
