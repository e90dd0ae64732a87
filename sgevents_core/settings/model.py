"""The settings as the rest of the program sees them: values checked, durations in seconds.

What a key takes in TOML is said here by its type, of which some are in `kinds`; what it means, by
its description, which editors show and the page on the configuration repeats.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, TypeAlias

from msgspec import Meta, Struct, field
from msgspec.structs import force_setattr

from sgevents_core.choices import Executor, Level, LogFormat, OnError, OrderBy
from sgevents_core.errors import Problem
from sgevents_core.settings.kinds import (
    AnyPath,
    AnyStart,
    ExistingFile,
    OwnSettings,
    Proxy,
    SecretText,
    Text,
    Url,
    Version,
    duration,
)
from sgevents_core.settings.secret import SecretTexts

DEFAULT_GROUP: Final = "default"
"""The group of plugins that name none; last unless `[[groups]]` lists it."""
DEFAULT_LANE: Final = "default"
"""The lane of groups that name none."""
IDLE_FACTOR: Final = 5

Name: TypeAlias = Annotated[str, Meta(min_length=1)]
Count: TypeAlias = Annotated[int, Meta(ge=1)]
Duration: TypeAlias = Annotated[float, duration()]
ShortDuration: TypeAlias = Annotated[float, duration(0.01)]
LongDuration: TypeAlias = Annotated[float, duration(1)]


class SiteSettings(Struct, frozen=True, kw_only=True):
    """`[site]`: which site, and as which script."""

    url: Annotated[
        Url,
        Meta(
            description="The site's address, with `https://` and nothing behind the host. A path "
            "gets a warning; a user, a password or a query in it is refused."
        ),
    ]
    script_name: Annotated[
        Text, Meta(description="The script to sign in as, from the site's Scripts page.")
    ]
    api_key: Annotated[SecretText, Meta(description="The script's key.")]
    http_proxy: Annotated[
        Proxy | None,
        Meta(description="The proxy to go through, `host:port` or `user:password@host:port`."),
    ] = None
    ca_certs: Annotated[
        ExistingFile | None,
        Meta(
            description="A file of certificates to trust, where the site's own is not signed by "
            "a public authority. It must exist."
        ),
    ] = None
    timeout: Annotated[
        LongDuration,
        Meta(description='How long one call of the site may take in all, at least `"1s"`.'),
    ] = 60.0

    def __repr__(self) -> str:
        """Leave out the proxy, which may hold a password."""
        return f"SiteSettings(url={self.url!r}, script_name={self.script_name!r}, api_key=***)"


class FeedSettings(Struct, frozen=True, kw_only=True):
    """`[feed]`: how the site's event log is followed."""

    poll_interval: Annotated[
        ShortDuration,
        Meta(description='How often the site is asked while events come, at least `"10ms"`.'),
    ] = 1.0
    idle_interval: Annotated[
        ShortDuration,
        Meta(
            description="How often the site is asked when none have come for three minutes, "
            "reached little by little; not shorter than `poll_interval`."
        ),
    ] = 0.0
    backlog_timeout: Annotated[
        ShortDuration,
        Meta(
            description="How long a missing id is waited for, counted while the site answers. "
            "Audits go on looking after that."
        ),
    ] = 300.0
    settle: Annotated[
        Duration,
        Meta(
            description="How long rows above a gap are held back, so that late rows keep the "
            "order of ids. Shorter than `backlog_timeout`."
        ),
    ] = 0.0
    page_size: Annotated[
        int,
        Meta(
            ge=2,
            le=5000,
            description="Rows in one read, from 2 to 5000 (pages overlap by one row). Sites give "
            "at most 500 as a rule.",
        ),
    ] = 500
    start: Annotated[
        AnyStart,
        Meta(
            description="Where the first start begins; not ahead of the site's newest event. "
            "Later starts go on where the last one ended."
        ),
    ] = "now"
    audit_horizon: Annotated[
        Duration,
        Meta(
            description="How long audits look for rows that are missing; at least "
            "`backlog_timeout`."
        ),
    ] = 86400.0
    fields: Annotated[
        tuple[Name, ...],
        Meta(description="Fields of EventLogEntry to read besides the usual ones."),
    ] = ()

    def __post_init__(self) -> None:
        """Fill in `idle_interval`: five times `poll_interval` where it was not given."""
        if not self.idle_interval:
            force_setattr(self, "idle_interval", IDLE_FACTOR * self.poll_interval)


class StateSettings(Struct, frozen=True, kw_only=True):
    """`[state]`: the folder of the journal and the ledger."""

    path: Annotated[
        AnyPath,
        Meta(description="The folder they are in, on a local disk. It is made if it is not there."),
    ] = Path("state")
    retention: Annotated[
        Duration,
        Meta(description="How long events are kept that every enabled plugin has handled."),
    ] = 30 * 86400.0


class GroupSettings(Struct, frozen=True, kw_only=True):
    """One table of `[[groups]]`; their order is the order of the groups."""

    name: Annotated[Name, Meta(description="The group's name; each is listed once.")]
    lane: Annotated[
        Name | None,
        Meta(
            description="The lane that works through the group; the lane `default` if left out. "
            "A lane needs no table of its own; a name that is nearly that of another "
            "lane's table is taken for a mistake."
        ),
    ] = None


class LaneSettings(Struct, frozen=True, kw_only=True):
    """`[lanes.NAME]`: how a lane works through its groups."""

    workers: Annotated[
        Count, Meta(description="How many work side by side. This version: `1`.")
    ] = 1
    order_by: Annotated[
        OrderBy,
        Meta(
            description='What is kept in order between several workers: `"entity"`, `"project"` '
            'or `"none"`. This version: `"none"`.'
        ),
    ] = "none"
    executor: Annotated[
        Executor, Meta(description='`"thread"` or `"process"`. This version: `"thread"`.')
    ] = "thread"
    timeout: Annotated[
        ShortDuration | None,
        Meta(
            description='How long a callback of the lane\'s plugins may take, at least `"10ms"`; '
            "any time if left out. One that takes longer is given up, and its plugin "
            "waits for it."
        ),
    ] = None
    max_rss: Annotated[
        Count | None,
        Meta(
            description="The memory a worker process may have, in bytes. This version: leave it "
            "out."
        ),
    ] = None


class PluginSettings(Struct, frozen=True, kw_only=True):
    """`[plugins.NAME]`: one plugin, named as its entry point is."""

    enabled: Annotated[
        bool, Meta(description="Whether it runs. A plugin that is not enabled is never imported.")
    ] = False
    group: Annotated[
        Name | None,
        Meta(description="Its group, one of `[[groups]]`; the group `default` if left out."),
    ] = None
    start: Annotated[
        AnyStart | None,
        Meta(
            description="Where it begins when it is enabled for the first time; the journal's "
            "end if left out."
        ),
    ] = None
    script_name: Annotated[
        Text | None,
        Meta(
            description="The script it signs in as; that of `[site]` if left out. Goes with "
            "`api_key`."
        ),
    ] = None
    api_key: Annotated[SecretText | None, Meta(description="That script's key.")] = None
    on_error: Annotated[
        OnError,
        Meta(
            description='What happens when a callback fails for good: `"dead-letter"` keeps the '
            'event and goes on, `"pause"` stops the plugin at it, `"skip"` records '
            "it and goes on."
        ),
    ] = "dead-letter"
    max_attempts: Annotated[
        Count,
        Meta(
            description="How often a callback is tried before it has failed for good, at least 1."
        ),
    ] = 10
    pause_after: Annotated[
        Count,
        Meta(description="After how many dead letters in a row the plugin is paused, at least 1."),
    ] = 20
    timeout: Annotated[
        ShortDuration | None,
        Meta(
            description='How long a callback of it may take, at least `"10ms"`; the lane\'s '
            "`timeout` if left out. `@match(timeout=...)` of one callback comes "
            "before both."
        ),
    ] = None
    load_timeout: Annotated[
        float,
        duration(0.1),
        Meta(
            description='How long each step of loading it may take, at least `"100ms"`: its '
            "import, `settings_model`, `register_callbacks`, `startup`, `shutdown`. "
            "One that takes longer makes the plugin broken, and the others run."
        ),
    ] = 60.0
    ignore_own: Annotated[
        bool,
        Meta(
            description="Whether events that the plugin's own script caused, also in a user's "
            "name (sudo), are kept from it. Needs a `script_name` that no other "
            "plugin and not `[site]` has."
        ),
    ] = False
    breaker_events: Annotated[
        int,
        Meta(
            ge=0, description="How many of its own events make a loop; `0` lets it go on for ever."
        ),
    ] = 100
    breaker_within: Annotated[
        float, duration(1), Meta(description='In how much time; at least `"1s"`.')
    ] = 300.0
    distribution: Annotated[
        Name | None,
        Meta(
            description="The distribution that must provide it; another one that claims its name "
            "is refused."
        ),
    ] = None
    version: Annotated[
        Version | None, Meta(description='The versions that may run, as in `">=1.2,<2"`.')
    ] = None
    settings: Annotated[OwnSettings, Meta(description="The plugin's own settings.")] = field(
        default_factory=dict
    )


class LogSettings(Struct, frozen=True, kw_only=True):
    """`[log]`: what is written where, and in which form."""

    level: Annotated[
        Level,
        Meta(
            description='`"debug"`, `"info"`, `"warning"`, `"error"` or `"critical"`; records '
            "below it are dropped."
        ),
    ] = "info"
    format: Annotated[
        LogFormat,
        Meta(description='`"human"`, `"json"`, or `"auto"`: human on a terminal, JSON elsewhere.'),
    ] = "auto"
    file: Annotated[AnyPath | None, Meta(description="A file to write to as well.")] = None
    per_plugin: Annotated[
        bool, Meta(description="Whether each plugin gets a file of its own, beside `file`.")
    ] = False
    keep: Annotated[int, Meta(ge=0, description="How many old files are kept.")] = 10
    levels: Annotated[
        dict[str, Level],
        Meta(description='Levels of single plugins: `[log.levels]`, `NAME = "debug"`.'),
    ] = field(default_factory=dict)


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
    """What is allowed but probably a mistake, for `check` and the log."""
    learned: SecretTexts = field(default_factory=SecretTexts)
    """Secrets found when plugins were loaded, such as a literal one that only the model knows."""

    @property
    def script_names(self) -> list[str]:
        """The scripts that sign in to the site: that of `[site]`, then those of enabled plugins."""
        own = [table.script_name for table in self.plugins.values() if table.enabled]
        return list(dict.fromkeys(filter(None, [self.site.script_name, *own])))
