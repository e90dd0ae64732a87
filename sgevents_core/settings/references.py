"""Resolve `{ env = "NAME" }`, `{ file = "path" }` and `{ credential = "name" }` to their texts."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from sgevents_core.settings.diagnostics import InvalidValueError, ReadingContext
from sgevents_core.settings.file_access import find_exposures
from sgevents_core.settings.plain_files import NotPlainError, read_plain_file
from sgevents_core.settings.secret import Secret, SecretSource, SourceForm
from sgevents_core.settings.spelling import nearest_name, toml_string

REFERENCE_FORMS: Final = '{ env = "NAME" }, { file = "path" } or { credential = "name" }'
CREDENTIALS_VARIABLE: Final = "CREDENTIALS_DIRECTORY"
"""The environment variable, set by systemd, that names a service's credentials folder."""
REFERENCE_KEYS: Final[Mapping[SourceForm, str]] = {
    "env": "The name of an environment variable.",
    "file": "The path of a file that holds it.",
    "credential": "The name of a systemd credential.",
}
"""The key of a reference -> the kind of thing it names."""
_MAX_SECRET_BYTES: Final = 64 * 1024
_VARIABLE_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CREDENTIAL_NAME: Final = re.compile(r"[A-Za-z0-9_.@-]+")
"""A credential name that systemd accepts, without characters special in its units."""


class InvalidNameError(InvalidValueError):
    """A name that cannot exist, so that it is wrong on every machine."""


def is_reference(raw_value: object) -> bool:
    """Return whether `raw_value` is a reference rather than any other table."""
    return (
        isinstance(raw_value, Mapping)
        and len(raw_value) == 1
        and set(raw_value) <= set(REFERENCE_KEYS)
        and isinstance(next(iter(raw_value.values())), str)
    )


def resolve_reference(
    raw_value: Mapping[str, Any], context: ReadingContext, *inner_path: str | int
) -> Secret:
    """Return the secret that the reference `raw_value` names; one without text if none is required.

    Raises:
        InvalidValueError: `raw_value` is not a reference, or its target is missing, empty or
            unreadable.
    """
    if not is_reference(raw_value):
        raise InvalidValueError(
            "this table does not say where the value is", _reference_fix(raw_value)
        )
    reference_form = next(key for key in REFERENCE_KEYS if key in raw_value)
    source_name = raw_value[reference_form]
    if reference_form == "file":
        source_name = str(context.base_folder / os.path.expanduser(source_name))  # noqa: PTH111 - Path's raises without a home
    secret_source = SecretSource(reference_form, source_name)
    try:
        if reference_form == "env":
            return Secret(_text_from_environment(secret_source), secret_source)
        if reference_form == "credential":
            return Secret(_text_from_credential(secret_source), secret_source)
        return Secret(_text_from_file(secret_source, context, inner_path), secret_source)
    except InvalidNameError:
        raise
    except InvalidValueError:
        if context.references_required:
            raise
        return Secret(None, secret_source)


def _reference_fix(raw_value: Mapping[str, Any]) -> str:
    for given_key in raw_value:
        likely_form = nearest_name(given_key, REFERENCE_KEYS)
        if likely_form and likely_form != given_key:
            return f"did you mean {likely_form}? Write {REFERENCE_FORMS}"
    return f"write one of {REFERENCE_FORMS}"


def _text_from_environment(secret_source: SecretSource) -> str:
    source_name = secret_source.name
    if not _VARIABLE_NAME.fullmatch(source_name):
        message = f"{toml_string(source_name)} is not the name of an environment variable"
        raise InvalidNameError(message, "a name has letters, digits and _, and no digit first")
    secret_text = os.environ.get(source_name, "").rstrip("\r\n")
    if not secret_text:
        variable_state = "empty" if source_name in os.environ else "not set"
        raise InvalidValueError(
            f"{secret_source} is {variable_state}", f"set {source_name} where sgevents is started"
        )
    return secret_text


def _text_from_credential(secret_source: SecretSource) -> str:
    source_name = secret_source.name
    credentials_folder = os.environ.get(CREDENTIALS_VARIABLE, "")
    unit_line = f"LoadCredential={source_name}:/path/of/the/file"
    if source_name in {".", ".."} or not _CREDENTIAL_NAME.fullmatch(source_name):
        fix = "write the name alone, as LoadCredential= of the systemd unit has it: api-key"
        raise InvalidNameError(f"{toml_string(source_name)} is not the name of a credential", fix)
    if not credentials_folder:
        message = f"{secret_source} is not there: ${CREDENTIALS_VARIABLE} is not set"
        raise InvalidValueError(message, f"start it with systemd, and {unit_line} in the unit")
    missing_fix = f"add {unit_line} to the systemd unit"
    secret_text = _read_secret_file(
        Path(credentials_folder) / source_name, secret_source, missing_fix
    ).rstrip("\r\n")
    if not secret_text:
        raise InvalidValueError(f"{secret_source} is empty", "write the value into its file")
    return secret_text


def _text_from_file(
    source: SecretSource, context: ReadingContext, inner_path: tuple[str | int, ...]
) -> str:
    path = Path(source.name)
    secret_text = _read_secret_file(
        path, source, "the path is relative to the configuration file"
    ).rstrip("\r\n")
    if not secret_text:
        raise InvalidValueError(f"{source} is empty", "write the value into it, and nothing else")
    for exposure in find_exposures(path, str(source), holds_secret=True):
        context.add_warning(exposure.message, exposure.fix, *inner_path)
    return secret_text


def _read_secret_file(path: Path, secret_source: SecretSource, missing_fix: str) -> str:
    """Return the text in a file.

    Args:
        path: The file.
        secret_source: What it is.
        missing_fix: What to do if it does not exist.
    """
    try:
        file_content = read_plain_file(path, _MAX_SECRET_BYTES)
    except FileNotFoundError:
        raise InvalidValueError(f"{secret_source} does not exist", missing_fix) from None
    except NotPlainError as error:
        fix = "name a plain file that holds the value and nothing else"
        raise InvalidValueError(f"{secret_source} {error.problem_text}", fix) from None
    except OSError as error:
        fix = "let the user that runs sgevents read it"
        raise InvalidValueError(f"{secret_source} cannot be read: {error.strerror}", fix) from None
    try:
        return file_content.decode()
    except UnicodeDecodeError:
        raise InvalidValueError(
            f"{secret_source} is not UTF-8 text", f"is {toml_string(path.name)} right?"
        ) from None
