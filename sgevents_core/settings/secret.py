"""A secret, which is shown only where code asks for it by name."""

from __future__ import annotations

import hmac
import importlib
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, NamedTuple, NoReturn, TypeAlias

from sgevents_core.errors import SecretMissingError

SourceForm: TypeAlias = Literal["env", "file", "credential", "config", "unnamed"]
_FORM_LABELS: Final[Mapping[SourceForm, str]] = {
    "env": "the environment variable",
    "file": "the file",
    "credential": "the credential",
    "config": "the configuration file",
    "unnamed": "the secret",
}


class SecretSource(NamedTuple):
    """The source of a secret's text; `str` describes it for people."""

    form: SourceForm
    name: str = ""
    """The variable, the path or the credential."""

    def __str__(self) -> str:
        return f"{_FORM_LABELS[self.form]} {self.name}".rstrip()


_UNNAMED_SOURCE: Final = SecretSource("unnamed")
CONFIG_SOURCE: Final = SecretSource("config")
"""The source of a secret that the configuration file itself holds."""


class SecretTexts:
    """Texts found to be secrets while a configuration is in use; they are added, never removed."""

    __slots__ = ("_secret_texts",)

    def __init__(self) -> None:
        self._secret_texts: dict[str, None] = {}

    def add_text(self, secret_text: str) -> None:
        """Treat a text as a secret from now on."""
        self._secret_texts[secret_text] = None

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._secret_texts))

    def __len__(self) -> int:
        return len(self._secret_texts)

    def __repr__(self) -> str:
        return "***"


class Secret:  # noqa: PLW1641 - a hash would reveal something of the text
    """A text such as an api key: `reveal()` gives it, everything else shows `***`.

    It refuses to be pickled, and JSON encoders refuse it, so it does not end up in a state file,
    a log or a message between processes by accident.
    """

    __slots__ = ("_secret_text", "source")

    def __init__(self, text: str | None, source: SecretSource = _UNNAMED_SOURCE) -> None:
        """Keep `text`; None if it could not be found where `source` says."""
        self._secret_text = text
        self.source = source

    @property
    def is_there(self) -> bool:
        """Whether the text was found."""
        return self._secret_text is not None

    def reveal(self) -> str:
        """Return the text itself.

        Raises:
            SecretMissingError: The secret was not found when the configuration was read.
        """
        if self._secret_text is None:
            raise SecretMissingError(source=str(self.source))
        return self._secret_text

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __format__(self, format_spec: str) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret) or self._secret_text is None or other._secret_text is None:
            return self is other
        return hmac.compare_digest(self._secret_text.encode(), other._secret_text.encode())

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: object) -> Any:
        """Let pydantic models have fields of this type; only pydantic calls this."""
        core_schema = importlib.import_module("pydantic_core.core_schema")
        return core_schema.no_info_plain_validator_function(cls._validated)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: object, handler: object) -> dict[str, str]:
        return {"type": "string"}

    @classmethod
    def _validated(cls, value: object) -> Secret:
        if isinstance(value, Secret):
            return value
        if isinstance(value, str):
            return cls(value, CONFIG_SOURCE)
        raise ValueError("a secret is a string")

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a secret is not pickled: pass the place it comes from instead")


def with_placeholders(value: Any) -> Any:
    """Return a value with an empty secret in place of each that was not found, however deep.

    A plugin that is loaded only to be examined needs settings, but nothing of it is called.
    """
    if isinstance(value, Secret):
        return value if value.is_there else Secret("", value.source)
    if isinstance(value, Mapping):
        return {name: with_placeholders(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [with_placeholders(inner) for inner in value]
    return value


def secrets_in(value: object) -> Iterator[Secret]:
    """Yield all secrets in a value of a configuration, however deep in mappings and lists."""
    if isinstance(value, Secret):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from secrets_in(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from secrets_in(inner)
