"""The version of configuration and plugins that a host has, and how two of them differ.

What must be equal on all hosts counts: the configuration without what is a host's own, and the
enabled plugins. Values of the configuration are only kept as digests, and secrets not at all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Struct

from sgevents_core import __version__
from sgevents_core.observe.redaction import Redactor
from sgevents_core.plugins.loading import Loaded
from sgevents_core.plugins.plugin_status import status_words
from sgevents_core.settings import Secret, Settings
from sgevents_core.settings.fitting import model_keys_of

HOST_KEYS: Final = frozenset(
    {
        "site.http_proxy",
        "site.ca_certs",
        "state.path",
        "state.url",
        "state.user",
        "state.password",
        "state.credentials",
        "state.nkey",
        "state.ca_certs",
        "state.cert",
        "state.key",
        "state.host",
    }
)
"""Keys that are a host's own, besides the sections that are not compared at all."""
_COMPARED_SECTIONS: Final = ("site", "feed", "state", "lanes")
_DIGEST_LENGTH: Final = 8
_VERSION_LENGTH: Final = 16
_MOST_SHOWN: Final = 8
"""How many differences are named; a host with another configuration file has dozens."""


class PluginVersion(Struct, frozen=True, omit_defaults=True):
    """An enabled plugin as a host has it.

    Args:
        distribution: The distribution that provides it; empty for a classic file.
        version: That distribution's version.
        status: Whether it loads there; see `plugin_status.Status`.
        content: A digest of its file, if it is a classic one.
    """

    distribution: str = ""
    version: str = ""
    status: str = "enabled"
    content: str = ""

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}".strip() or "a file"


class HostFiles(Struct, frozen=True, omit_defaults=True):
    """What a host runs, as far as it must be equal on all hosts.

    Args:
        program: The version of sgevents-core.
        plugins: Its enabled plugins, by name.
        keys: Key of the configuration -> a digest of its value; those with defaults are left out.
    """

    program: str
    plugins: dict[str, PluginVersion] = {}
    keys: dict[str, str] = {}

    def version(self) -> str:
        """Return a short text that differs whenever anything in it does."""
        encoded = msgspec.json.encode(self, order="deterministic")
        return hashlib.sha256(encoded).hexdigest()[:_VERSION_LENGTH]

    def encode(self) -> bytes:
        """Return it as hosts store it."""
        return msgspec.json.encode(StoredFiles(self.version(), self))


class StoredFiles(Struct, frozen=True):
    """What a host runs as it is stored for others, which may be of another version of sgevents.

    Args:
        version: The version as that host computes it.
        files: What it runs.
    """

    version: str
    files: HostFiles


class Difference(NamedTuple):
    """Something in which a host differs from what is wanted.

    Args:
        subject: What differs: `sgevents`, `plugin NAME`, or a key of the configuration.
        text: How it differs, for people.
    """

    subject: str
    text: str

    def __str__(self) -> str:
        return f"{self.subject}: {self.text}"


def read_host_files(stored: bytes) -> StoredFiles | None:
    """Return what a host stored; None if this version does not understand it."""
    try:
        return msgspec.json.decode(stored, type=StoredFiles)
    except msgspec.MsgspecError:
        return None


def read_classic_contents(
    settings: Settings, plugin_names: Iterable[str] | None = None
) -> dict[str, str]:
    """Return a digest of each classic file, by plugin; call it before the files are loaded.

    Args:
        settings: The configuration.
        plugin_names: The plugins; None for all.
    """
    file_digests: dict[str, str] = {}
    files = settings.classic_files
    for plugin_name in list(files) if plugin_names is None else plugin_names:
        try:
            file_digests[plugin_name] = _digest(files[plugin_name].read_bytes())
        except OSError:
            file_digests[plugin_name] = "unreadable"
    return file_digests


def describe_host_files(
    settings: Settings, loaded: Loaded, classic_contents: Mapping[str, str]
) -> HostFiles:
    """Return what this host runs.

    Args:
        settings: Its configuration.
        loaded: Its plugins.
        classic_contents: A digest of each classic file, by plugin.
    """
    enabled = {name for name, table in settings.plugins.items() if table.enabled}
    plugins = {
        status.name: PluginVersion(status=status.status, content=classic_contents[status.name])
        if status.name in classic_contents
        else PluginVersion(status.distribution or "", status.version or "", status.status)
        for status in loaded.statuses
        if status.name in enabled
    }
    return HostFiles(__version__, plugins, dict(_compared_keys(settings)))


def digest_tables(settings: Settings) -> str:
    """Return a digest of the tables `[hosts.NAME]`, by which every host decides for all."""
    redact_secrets = Redactor.of(settings)
    keys = [
        pair
        for name, table in sorted(settings.hosts.items())
        for pair in _keys_of(f"hosts.{name}", table, redact_secrets)
    ]
    return _digest_of(keys, redact_secrets)


def find_differences(wanted: HostFiles, other: HostFiles) -> list[Difference]:
    """Return in what a host differs from what is wanted, the program and plugins first."""
    differences: list[Difference] = []
    if wanted.program != other.program:
        text = f"{other.program}, and {wanted.program} is wanted"
        differences.append(Difference("sgevents", text))
    for name in sorted({*wanted.plugins, *other.plugins}):
        text = _plugin_difference(wanted.plugins.get(name), other.plugins.get(name))
        if text:
            differences.append(Difference(f"plugin {name}", text))
    for key in sorted({*wanted.keys, *other.keys}):
        if wanted.keys.get(key) != other.keys.get(key):
            differences.append(Difference(key, "has another value"))
    return differences


def difference_text(differences: list[Difference]) -> str:
    """Return differences in one line, the first few of many; empty if there are none."""
    shown_texts = [str(difference) for difference in differences[:_MOST_SHOWN]]
    if len(differences) > _MOST_SHOWN:
        shown_texts.append(f"and {len(differences) - _MOST_SHOWN} more")
    return "; ".join(shown_texts)


def _plugin_difference(wanted: PluginVersion | None, other: PluginVersion | None) -> str:
    """Return how a plugin differs; empty if it does not."""
    if wanted == other:
        return ""
    if other is None:
        return "is not enabled"
    if wanted is None:
        return "is enabled, and is not wanted"
    if str(wanted) != str(other):
        return f"{other}, and {wanted} is wanted"
    if wanted.status != other.status:
        states = status_words(other.status), status_words(wanted.status)  # type: ignore[arg-type]  # of another version, perhaps
        return f"is {states[0]}, and {states[1]} is wanted"
    return "its file has another content"


def _compared_keys(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield the keys that must be equal on all hosts and differ from the default, with digests."""
    redact_secrets = Redactor.of(settings)
    for section in _COMPARED_SECTIONS:
        yield from _keys_of(section, getattr(settings, section), redact_secrets)
    for name, table in settings.plugins.items():
        if table.enabled:
            yield from _keys_of(f"plugins.{name}", table, redact_secrets)
    for index, alert in enumerate(settings.alerts):
        yield from _keys_of(f"alerts.{index}", alert, redact_secrets)
    if settings.smtp is not None:
        yield from _keys_of("classic.smtp", settings.smtp, redact_secrets)
    if settings.groups:
        yield (
            "groups",
            _digest_of([(group.name, group.lane) for group in settings.groups], redact_secrets),
        )
    if settings.classic_folders:
        group_names = [folder.group_name for folder in settings.classic_folders]
        yield "classic.paths", _digest_of(group_names, redact_secrets)


def _keys_of(key: str, value: Any, redact_secrets: Redactor) -> Iterator[tuple[str, str]]:
    """Yield the keys of a table of the configuration, or of a plugin's own settings."""
    if key in HOST_KEYS:
        return
    if isinstance(value, Struct) and not isinstance(value, Secret):
        for model_key in model_keys_of(type(value)):
            inner_value = getattr(value, model_key.attribute)
            if model_key.required or inner_value != model_key.default:
                yield from _keys_of(f"{key}.{model_key.name}", inner_value, redact_secrets)
    elif isinstance(value, Mapping):
        for name in value:
            yield from _keys_of(f"{key}.{name}", value[name], redact_secrets)
    else:
        yield key, _digest_of(value, redact_secrets)


def _digest_of(value: Any, redact_secrets: Redactor) -> str:
    return _digest(_spelled(value, redact_secrets).encode("utf-8", "surrogatepass"))


def _spelled(value: Any, redact_secrets: Redactor) -> str:
    """Return a value as one text, without secrets."""
    if isinstance(value, Secret):
        return "set" if value.is_there else "not set"
    if isinstance(value, Mapping):
        spelled_pairs = [
            f"{name!r}: {_spelled(value[name], redact_secrets)}" for name in sorted(value, key=str)
        ]
        return f"{{{', '.join(spelled_pairs)}}}"
    if isinstance(value, set | frozenset):
        return f"[{', '.join(sorted(_spelled(member, redact_secrets) for member in value))}]"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_spelled(member, redact_secrets) for member in value)}]"
    if isinstance(value, Enum):
        return str(value.value)
    return redact_secrets(value) if isinstance(value, str) else repr(value)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:_DIGEST_LENGTH]
