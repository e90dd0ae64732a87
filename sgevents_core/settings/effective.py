"""List every value of a configuration that is in effect, and where each comes from.

No secret is shown: neither one that the file holds, nor the text behind a reference.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Struct

from sgevents_core.printable import escaped_toml
from sgevents_core.settings.config_file import SECTION_MODELS, parse_file
from sgevents_core.settings.diagnostics import Diagnostics, ReadingContext
from sgevents_core.settings.fitting import ModelKey, model_keys_of
from sgevents_core.settings.key_lines import KeyLocator, KeyPath
from sgevents_core.settings.model import Settings
from sgevents_core.settings.references import is_reference, resolve_reference
from sgevents_core.settings.secret import Secret
from sgevents_core.settings.spelling import BARE_KEY_PATTERN

DEFAULT_SOURCE: Final = "default"
HIDDEN_TEXT: Final = "***"
"""Shown in place of every secret."""
UNKNOWN_TEXT: Final = "..."
"""Shown in place of a text that may be a secret."""
_ATTRIBUTES: Final = {
    "classic.paths": "classic_folders",
    "classic.smtp": "smtp",
    "console.access": "console_access",
}
"""Sections of the file that the settings keep under another name."""


class EffectiveValue(NamedTuple):
    """One value in effect."""

    key_path: KeyPath
    value_text: str
    """The value as TOML; `***` for a secret, empty for a key that has no value."""
    source_text: str
    """`default`, `FILE:LINE`, or that and the source of the secret or text."""


class ValueSources:
    """Where the values of a configuration file come from.

    Args:
        config_path: The file, which has been read before.

    Raises:
        ConfigError: The file can no longer be read.
    """

    def __init__(self, config_path: Path) -> None:
        toml_text, self._raw_tables = parse_file(config_path)
        self._locator = KeyLocator(toml_text)
        self._config_path = config_path

    def raw_value(self, key_path: KeyPath) -> Any:
        """Return the value as the file spells it; None if the file does not have it."""
        raw_value: Any = self._raw_tables
        for path_part in key_path:
            try:
                raw_value = raw_value[path_part]
            except (KeyError, IndexError, TypeError):
                return None
        return raw_value

    def source_of(self, key_path: KeyPath) -> str:
        """Return for people where the value of a key comes from."""
        raw_value = self.raw_value(key_path)
        if raw_value is None:
            return DEFAULT_SOURCE
        source_text = f"{self._config_path.name}:{self._locator.line_of(key_path)}"
        if not is_reference(raw_value):
            return source_text
        context = ReadingContext(
            key_path, self._config_path.parent, Diagnostics(), references_required=False
        )
        secret = resolve_reference(raw_value, context)
        return f"{source_text}, {secret.source}{'' if secret.is_there else ' (not available here)'}"


def effective_values(
    settings: Settings,
    sources: ValueSources,
    own_by_plugin: Mapping[str, Sequence[EffectiveValue]],
) -> Iterator[EffectiveValue]:
    """Yield all values, in the order of the model.

    Args:
        settings: The configuration, as read without its secrets being required.
        sources: Where its values come from.
        own_by_plugin: The own settings of each plugin whose model has been applied; see
            `own_values`. Those of others are taken from the file.
    """
    for section_name in SECTION_MODELS:
        attribute_name = _ATTRIBUTES.get(section_name, section_name)
        section_path: KeyPath = tuple(section_name.split("."))
        for value in _table_values(getattr(settings, attribute_name, None), section_path, sources):
            plugin_name = value.key_path[1] if _is_own_table(value.key_path) else ""
            if not plugin_name:
                yield value
            elif plugin_name in own_by_plugin:
                yield from own_by_plugin[str(plugin_name)]
            else:
                own_table = sources.raw_value(value.key_path) or {}
                yield from own_values(own_table, value.key_path, sources, is_checked=False)


def _is_own_table(key_path: KeyPath) -> bool:
    """Return whether a key is the table of a plugin's own settings."""
    return len(key_path) == 3 and key_path[0] == "plugins" and key_path[2] == "settings"


def own_values(
    own_settings: Any, table_path: KeyPath, sources: ValueSources, *, is_checked: bool
) -> Iterator[EffectiveValue]:
    """Yield the values of a plugin's own settings, in the order of the model or of the file.

    Args:
        own_settings: An instance of the plugin's model, or a mapping.
        table_path: The table of these settings.
        sources: Where the values come from.
        is_checked: Whether the plugin's model has been applied. Otherwise texts are hidden, since
            only the model says which of them are secret.
    """
    for key_name, value in _members_of(own_settings):
        key_path = (*table_path, key_name)
        if _has_members(value) and not is_reference(sources.raw_value(key_path)):
            yield from own_values(value, key_path, sources, is_checked=is_checked)
        else:
            value_text = _own_text(value, sources.raw_value(key_path), is_checked=is_checked)
            yield EffectiveValue(key_path, value_text, sources.source_of(key_path))


def _table_values(
    section: Any, key_path: KeyPath, sources: ValueSources
) -> Iterator[EffectiveValue]:
    """Yield the values of a table, of every table in an array, or of every named table."""
    if isinstance(section, Struct):
        for model_key in model_keys_of(type(section)):
            value = getattr(section, model_key.attribute)
            yield from _key_values(model_key, value, (*key_path, model_key.name), sources)
    elif isinstance(section, Mapping):
        for table_name, table in section.items():
            yield from _table_values(table, (*key_path, table_name), sources)
    elif isinstance(section, tuple):
        for index, table in enumerate(section):
            yield from _table_values(table, (*key_path, index), sources)


def _key_values(
    model_key: ModelKey, value: Any, key_path: KeyPath, sources: ValueSources
) -> Iterator[EffectiveValue]:
    if _holds_tables(value):
        yield from _table_values(value, key_path, sources)
    else:
        yield EffectiveValue(key_path, _key_text(model_key, value), sources.source_of(key_path))


def _holds_tables(value: Any) -> bool:
    """Return whether a value is a table of the model, or holds some."""
    if isinstance(value, Mapping):
        return any(isinstance(inner, Struct) for inner in value.values())
    if isinstance(value, tuple):
        return any(isinstance(inner, Struct) for inner in value)
    return isinstance(value, Struct)


def _key_text(model_key: ModelKey, value: Any) -> str:
    if value is None or value == "":
        return ""  # not set, or behind a reference that leads nowhere
    if model_key.name == "http_proxy" and "@" in value:
        return HIDDEN_TEXT
    value_kind = model_key.shape.value_kind
    return _toml_text(value if value_kind is None else value_kind.to_toml(value))


def _own_text(value: Any, raw_value: Any, *, is_checked: bool) -> str:
    if is_reference(raw_value):
        return HIDDEN_TEXT
    if not is_checked and not isinstance(value, bool | int | float | Secret):
        return UNKNOWN_TEXT
    return "" if value is None else _toml_text(value)


def _toml_text(value: Any) -> str:
    """Return a value as TOML, with every secret in it hidden."""
    if isinstance(value, Secret) or hasattr(type(value), "get_secret_value"):
        return HIDDEN_TEXT
    if isinstance(value, Mapping):
        pairs = (f"{_toml_key(str(name))} = {_toml_text(value[name])}" for name in value)
        return f"{{ {', '.join(pairs)} }}" if value else "{}"
    if isinstance(value, list | tuple | set | frozenset):
        return f"[{', '.join(_toml_text(member) for member in value)}]"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else _quoted_text(str(value))


def _toml_key(key_name: str) -> str:
    return key_name if BARE_KEY_PATTERN.fullmatch(key_name) else _quoted_text(key_name)


def _quoted_text(plain_text: str) -> str:
    return escaped_toml(json.dumps(plain_text, ensure_ascii=False))


def _has_members(value: Any) -> bool:
    return not isinstance(value, Secret) and any(True for _ in _members_of(value))


def _members_of(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the values of a mapping or of an instance of a model, by the keys of the file."""
    if isinstance(value, Mapping):
        yield from value.items()
    elif isinstance(value, Struct):
        for struct_field in msgspec.structs.fields(value):
            yield struct_field.encode_name, getattr(value, struct_field.name)
    elif isinstance(getattr(type(value), "model_fields", None), Mapping):
        for field_name, pydantic_field in type(value).model_fields.items():
            yield getattr(pydantic_field, "alias", None) or field_name, getattr(value, field_name)
    else:
        for field_name in getattr(type(value), "__dataclass_fields__", ()):
            yield field_name, getattr(value, field_name, None)
