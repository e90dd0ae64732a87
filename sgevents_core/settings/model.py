"""The settings as the rest of the program sees them: values checked, durations in seconds.

What a key accepts in TOML is said here by its type and its `kind`; reading it is in `values`.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias

from msgspec import Meta, Struct, field
from msgspec.structs import force_setattr

from sgevents_core.choices import Executor, Level, LogFormat, OnError, OrderBy
from sgevents_core.errors import Problem
from sgevents_core.settings.secret import Secret, SecretTexts

DEFAULT_GROUP: Final = "default"
"""The group of plugins that name none; last unless `[[groups]]` lists it."""
DEFAULT_LANE: Final = "default"
"""The lane of groups that name none."""
IDLE_FACTOR: Final = 5

_DURATION: Final = Meta(extra={"kind": "duration"})
_START: Final = Meta(extra={"kind": "start"})
_TEXT: Final = Meta(extra={"kind": "text"})
_SECRET: Final = Meta(extra={"kind": "secret"})
_URL: Final = Meta(extra={"kind": "url"})
_PROXY: Final = Meta(extra={"kind": "proxy"})
_PATH: Final = Meta(extra={"kind": "path"})
_FILE: Final = Meta(extra={"kind": "file"})
_VERSION: Final = Meta(extra={"kind": "version"})
_OWN: Final = Meta(extra={"kind": "own"})
_LEVELS: Final = Meta(extra={"kind": "levels"})


class Ago(Struct, frozen=True):
    """A start that lies `seconds` before the daemon's first start."""

    seconds: float


Start: TypeAlias = Literal["now"] | int | datetime | Ago
"""Where to begin: now, the id of the first event handled, an aware datetime, a duration ago."""


class SiteSettings(Struct, frozen=True, kw_only=True):
    """`[site]`: which site, and as which script."""

    url: Annotated[str, _URL]
    script_name: Annotated[str, _TEXT]
    api_key: Annotated[Secret, _SECRET]
    http_proxy: Annotated[str | None, _PROXY] = None
    ca_certs: Annotated[str | None, _FILE] = None
    timeout: Annotated[float, _DURATION, Meta(ge=1)] = 60.0

    def __repr__(self) -> str:
        """Leave out the proxy, which may hold a password."""
        return f"SiteSettings(url={self.url!r}, script_name={self.script_name!r}, api_key=***)"


class FeedSettings(Struct, frozen=True, kw_only=True):
    """`[feed]`: how the site's event log is followed."""

    poll_interval: Annotated[float, _DURATION, Meta(ge=0.01)] = 1.0
    idle_interval: Annotated[float, _DURATION, Meta(ge=0.01)] = 0.0
    backlog_timeout: Annotated[float, _DURATION, Meta(ge=0.01)] = 300.0
    settle: Annotated[float, _DURATION] = 0.0
    page_size: Annotated[int, Meta(ge=2, le=5000)] = 500
    start: Annotated[Start, _START] = "now"
    audit_horizon: Annotated[float, _DURATION] = 86400.0
    fields: tuple[Annotated[str, Meta(min_length=1)], ...] = ()

    def __post_init__(self) -> None:
        """Fill in `idle_interval`: five times `poll_interval` where it was not given."""
        if not self.idle_interval:
            force_setattr(self, "idle_interval", IDLE_FACTOR * self.poll_interval)


class StateSettings(Struct, frozen=True, kw_only=True):
    """`[state]`: the folder of the journal and the ledger."""

    path: Annotated[Path, _PATH] = Path("state")
    retention: Annotated[float, _DURATION] = 30 * 86400.0


class GroupSettings(Struct, frozen=True, kw_only=True):
    """One table of `[[groups]]`; their order is the order of the groups."""

    name: Annotated[str, Meta(min_length=1)]
    lane: Annotated[str, Meta(min_length=1)] | None = None


class LaneSettings(Struct, frozen=True, kw_only=True):
    """`[lanes.NAME]`: how a lane works through its groups."""

    workers: Annotated[int, Meta(ge=1)] = 1
    order_by: OrderBy = "none"
    executor: Executor = "thread"
    timeout: Annotated[float | None, _DURATION, Meta(ge=0.01)] = None
    max_rss: Annotated[int, Meta(ge=1)] | None = None


class PluginSettings(Struct, frozen=True, kw_only=True):
    """`[plugins.NAME]`: one plugin, named as its entry point is."""

    enabled: bool = False
    group: Annotated[str, Meta(min_length=1)] | None = None
    start: Annotated[Start | None, _START] = None
    script_name: Annotated[str | None, _TEXT] = None
    api_key: Annotated[Secret | None, _SECRET] = None
    on_error: OnError = "dead-letter"
    max_attempts: Annotated[int, Meta(ge=1)] = 10
    pause_after: Annotated[int, Meta(ge=1)] = 20
    timeout: Annotated[float | None, _DURATION, Meta(ge=0.01)] = None
    load_timeout: Annotated[float, _DURATION, Meta(ge=0.1)] = 60.0
    ignore_own: bool = False
    breaker_events: Annotated[int, Meta(ge=0)] = 100
    breaker_within: Annotated[float, _DURATION, Meta(ge=1)] = 300.0
    distribution: Annotated[str, Meta(min_length=1)] | None = None
    version: Annotated[str | None, _VERSION] = None
    settings: Annotated[dict[str, Any], _OWN] = field(default_factory=dict)


class LogSettings(Struct, frozen=True, kw_only=True):
    """`[log]`: what is written where, and in which form."""

    level: Level = "info"
    format: LogFormat = "auto"
    file: Annotated[Path | None, _PATH] = None
    per_plugin: bool = False
    keep: Annotated[int, Meta(ge=0)] = 10
    levels: Annotated[dict[str, Level], _LEVELS] = field(default_factory=dict)


class Settings(Struct, frozen=True, kw_only=True):
    """A whole configuration file, every value checked and every default filled in."""

    path: Path
    """The file it was read from, absolute."""
    site: SiteSettings
    feed: FeedSettings = field(default_factory=FeedSettings)
    state: StateSettings = field(default_factory=StateSettings)
    groups: tuple[GroupSettings, ...] = ()
    lanes: dict[str, LaneSettings] = field(default_factory=dict)
    """By name; holds every lane that a group names, and always the default lane."""
    plugins: dict[str, PluginSettings] = field(default_factory=dict)
    log: LogSettings = field(default_factory=LogSettings)
    warnings: tuple[Problem, ...] = ()
    """What is allowed but hardly meant, for `check` and the log."""
    learned: SecretTexts = field(default_factory=SecretTexts)
    """Secrets found when plugins were loaded, such as a literal one that only the model knows."""

    @property
    def script_names(self) -> list[str]:
        """The scripts that sign in to the site: that of `[site]`, then those of enabled plugins."""
        own = [table.script_name for table in self.plugins.values() if table.enabled]
        return list(dict.fromkeys(filter(None, [self.site.script_name, *own])))
