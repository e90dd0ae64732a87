"""The settings the rest of the program uses: values checked, durations in seconds.

The type of a key says what it takes in TOML (some are in `value_kinds`); its description says what
it means, which editors show and the page on the configuration repeats.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

from msgspec import Meta, Struct, field
from msgspec.structs import force_setattr

from sgevents_core.choices import (
    Executor,
    Level,
    LogFormat,
    OnError,
    OrderBy,
)
from sgevents_core.errors import Problem
from sgevents_core.settings.classic_settings import ClassicFolder, ClassicSettings, SmtpSettings
from sgevents_core.settings.console_settings import ConsoleAccess, ConsoleSettings
from sgevents_core.settings.monitoring_settings import AlertSettings, MetricsSettings
from sgevents_core.settings.secret import SecretTexts
from sgevents_core.settings.state_settings import HostSettings, StateSettings
from sgevents_core.settings.value_kinds import (
    ExistingFile,
    OwnSettings,
    PathSetting,
    ProxySetting,
    ReferableText,
    SecretText,
    SiteUrl,
    StartSetting,
    VersionSpecifier,
    duration_kind,
)
from sgevents_core.settings.value_limits import (
    Duration,
    LongDuration,
    MemorySize,
    NonEmptyName,
    PositiveCount,
    ShortDuration,
    WorkerCount,
)

DEFAULT_GROUP: Final = "default"
"""The group of plugins that name none; last unless `[[groups]]` lists it."""
DEFAULT_LANE: Final = "default"
"""The lane of groups that name none."""
IDLE_INTERVAL_FACTOR: Final = 5


class SiteSettings(Struct, frozen=True, kw_only=True):
    """`[site]`: which site, and as which script."""

    url: Annotated[
        SiteUrl,
        Meta(
            description="The site's address, with `https://` and nothing after the host. A path "
            "causes a warning; a user, a password or a query in it is refused."
        ),
    ]
    script_name: Annotated[
        ReferableText, Meta(description="The script to sign in as, from the site's Scripts page.")
    ]
    api_key: Annotated[SecretText, Meta(description="The script's key.")]
    http_proxy: Annotated[
        ProxySetting | None,
        Meta(description="The proxy to use, `host:port` or `user:password@host:port`."),
    ] = None
    ca_certs: Annotated[
        ExistingFile | None,
        Meta(
            description="A file of certificates to trust, if the site's own is not signed by a "
            "public authority. It must exist."
        ),
    ] = None
    timeout: Annotated[
        LongDuration,
        Meta(description='How long one call to the site may take in total, at least `"1s"`.'),
    ] = 60.0

    def __repr__(self) -> str:
        """Leave out the proxy, which may hold a password."""
        return f"SiteSettings(url={self.url!r}, script_name={self.script_name!r}, api_key=***)"


class FeedSettings(Struct, frozen=True, kw_only=True):
    """`[feed]`: how the site's event log is followed."""

    poll_interval: Annotated[
        ShortDuration,
        Meta(description='How often the site is asked while events arrive, at least `"10ms"`.'),
    ] = 1.0
    idle_interval: Annotated[
        ShortDuration,
        Meta(
            description="How often the site is asked when no event has arrived for three minutes, "
            "approached gradually; not shorter than `poll_interval`."
        ),
    ] = 0.0
    backlog_timeout: Annotated[
        ShortDuration,
        Meta(
            description="How long a missing id is waited for, counted only while the site "
            "answers. Audits keep looking for it after that."
        ),
    ] = 300.0
    settle: Annotated[
        Duration,
        Meta(
            description="How long rows above a gap are held back, so that late rows are handled "
            "in the order of their ids. Shorter than `backlog_timeout`."
        ),
    ] = 0.0
    page_size: Annotated[
        int,
        Meta(
            ge=2,
            le=5000,
            description="Rows per read, from 2 to 5000 (pages overlap by one row). Most sites "
            "return at most 500.",
        ),
    ] = 500
    connections: Annotated[
        int,
        Meta(
            ge=1,
            le=16,
            description="While far behind: how many pages are read at the same time, from 1 to 16. "
            "Fewer if the site refuses or slows down; one once nothing is left to catch up with.",
        ),
    ] = 4
    start: Annotated[
        StartSetting,
        Meta(
            description="Where the first start begins; not ahead of the site's newest event. "
            "Later starts continue where the last one ended."
        ),
    ] = "now"
    audit_horizon: Annotated[
        Duration,
        Meta(description="How long audits look for missing rows; at least `backlog_timeout`."),
    ] = 86400.0
    fields: Annotated[
        tuple[NonEmptyName, ...],
        Meta(description="Fields of EventLogEntry to read in addition to the usual ones."),
    ] = ()

    def __post_init__(self) -> None:
        """Fill in `idle_interval`: five times `poll_interval` where it was not given."""
        if not self.idle_interval:
            force_setattr(self, "idle_interval", IDLE_INTERVAL_FACTOR * self.poll_interval)


class GroupSettings(Struct, frozen=True, kw_only=True):
    """One table of `[[groups]]`; their order is the order of the groups."""

    name: Annotated[NonEmptyName, Meta(description="The group's name; list each name once.")]
    lane: Annotated[
        NonEmptyName | None,
        Meta(
            description="The lane that works through the group; by default, the lane `default`. A "
            "lane needs no table of its own; a name that is very similar to that of "
            "another lane's table is treated as a mistake."
        ),
    ] = None


class LaneSettings(Struct, frozen=True, kw_only=True):
    """`[lanes.NAME]`: how a lane works through its groups."""

    workers: Annotated[
        WorkerCount,
        Meta(
            description="How many workers call the lane's plugins side by side, at most 64. More "
            "than `1` need `order_by`."
        ),
    ] = 1
    order_by: Annotated[
        OrderBy | None,
        Meta(
            description='What is kept in order across several workers: `"entity"`: events of one '
            'record come one after another; `"project"`: events of one project; `"none"`: each '
            "event by itself. By default, all events of the lane come one after another."
        ),
    ] = None
    executor: Annotated[
        Executor,
        Meta(
            description='Where the callbacks run: `"thread"`, in the daemon, or `"process"`: each '
            "worker is a process of its own, which may crash, hang or leak without harm to others."
        ),
    ] = "thread"
    timeout: Annotated[
        ShortDuration | None,
        Meta(
            description='How long a callback of the lane\'s plugins may take, at least `"10ms"`; '
            "by default, there is no limit. A callback that takes longer is given up: in a thread, "
            "its plugin waits for it; a worker process is ended. The time counts from the call's "
            "last `ctx.heartbeat()`."
        ),
    ] = None
    max_rss: Annotated[
        MemorySize | None,
        Meta(
            examples=[2_000_000_000],
            description="The memory that a worker process may use, in bytes, at least 1,000,000. "
            "One that uses more is replaced between two events. Only with "
            '`executor = "process"`.',
        ),
    ] = None


class PluginSettings(Struct, frozen=True, kw_only=True):
    """`[plugins.NAME]`: one plugin, named as its entry point is."""

    enabled: Annotated[
        bool,
        Meta(
            description="Whether the plugin runs. A plugin that is not enabled is never imported."
        ),
    ] = False
    group: Annotated[
        NonEmptyName | None,
        Meta(
            description="The plugin's group, one of `[[groups]]`; by default, the group `default`."
        ),
    ] = None
    start: Annotated[
        StartSetting | None,
        Meta(
            description="Where the plugin begins when it is enabled for the first time; by "
            "default, at the end of the journal."
        ),
    ] = None
    script_name: Annotated[
        ReferableText | None,
        Meta(
            description="The script that the plugin signs in as; by default, that of `[site]`. "
            "Requires `api_key`."
        ),
    ] = None
    api_key: Annotated[SecretText | None, Meta(description="That script's key.")] = None
    on_error: Annotated[
        OnError,
        Meta(
            description='What happens when a callback fails for good: `"dead-letter"` keeps the '
            'event and continues, `"pause"` stops the plugin at the event, `"skip"` '
            "records the failure and continues."
        ),
    ] = "dead-letter"
    max_attempts: Annotated[
        PositiveCount,
        Meta(
            description="How many times a callback is tried before it has failed for good, at "
            "least 1."
        ),
    ] = 10
    defer_limit: Annotated[
        ShortDuration,
        Meta(
            description="How long a callback may put off one event with `Defer`, counted from the "
            'first time; then it becomes a dead letter. At least `"10ms"`.'
        ),
    ] = 604_800.0
    pause_after: Annotated[
        PositiveCount,
        Meta(description="After how many dead letters in a row the plugin is paused, at least 1."),
    ] = 20
    timeout: Annotated[
        ShortDuration | None,
        Meta(
            description='How long a callback of the plugin may take, at least `"10ms"`; by '
            "default, the lane's `timeout`. `@match(timeout=...)` on a callback overrides both."
        ),
    ] = None
    concurrency: Annotated[
        PositiveCount | None,
        Meta(
            examples=[1],
            description="How many of the plugin's callbacks may run at once in a lane with several "
            "workers; `1` for a plugin that is not thread-safe. By default, as many as there are "
            "workers.",
        ),
    ] = None
    load_timeout: Annotated[
        float,
        duration_kind(0.1),
        Meta(
            description='How long each step of loading the plugin may take, at least `"100ms"`: '
            "its import, `settings_model`, `register_callbacks`, `startup`, "
            "`shutdown`. If a step takes longer, the plugin is broken, and the others run."
        ),
    ] = 60.0
    ignore_own: Annotated[
        bool,
        Meta(
            description="Whether to keep from the plugin the events that its own script caused, "
            "including those in a user's name (sudo). Requires a `script_name` that "
            "neither another plugin nor `[site]` uses."
        ),
    ] = False
    breaker_events: Annotated[
        int,
        Meta(
            ge=0,
            description="How many of its own events make a loop; `0` allows loops to continue for "
            "ever.",
        ),
    ] = 100
    breaker_within: Annotated[
        float,
        duration_kind(1),
        Meta(description='The period within which they must occur, at least `"1s"`.'),
    ] = 300.0
    distribution: Annotated[
        NonEmptyName | None,
        Meta(
            description="The distribution that must provide the plugin; any other that claims its "
            "name is refused."
        ),
    ] = None
    version: Annotated[
        VersionSpecifier | None,
        Meta(description='The versions that may run, such as `">=1.2,<2"`.'),
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
            "below this level are dropped."
        ),
    ] = "info"
    format: Annotated[
        LogFormat,
        Meta(description='`"human"`, `"json"`, or `"auto"`: human on a terminal, JSON elsewhere.'),
    ] = "auto"
    file: Annotated[
        PathSetting | None, Meta(description="A file to which the log is also written.")
    ] = None
    per_plugin: Annotated[
        bool, Meta(description="Whether each plugin also gets its own file, beside `file`.")
    ] = False
    keep: Annotated[int, Meta(ge=0, description="How many old files to keep.")] = 10
    levels: Annotated[
        dict[str, Level],
        Meta(description='Levels for individual plugins: `[log.levels]`, `NAME = "debug"`.'),
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
    """Lanes by name: every lane that a group names, and always the default lane."""
    plugins: dict[str, PluginSettings] = field(default_factory=dict)
    log: LogSettings = field(default_factory=LogSettings)
    metrics: MetricsSettings = field(default_factory=MetricsSettings)
    hosts: dict[str, HostSettings] = field(default_factory=dict)
    """Hosts by name; one that has no table has the defaults."""
    alerts: tuple[AlertSettings, ...] = ()
    classic: ClassicSettings = field(default_factory=ClassicSettings)
    classic_folders: tuple[ClassicFolder, ...] = ()
    """In the order of the configuration."""
    classic_files: dict[str, Path] = field(default_factory=dict)
    """By the plugin's name, the files in those folders; the daemon keeps it up to date."""
    classic_on_error: frozenset[str] = frozenset()
    """Classic plugins whose tables say what happens on errors, so that `stopOnError` does not."""
    smtp: SmtpSettings | None = None
    """How classic plugins send mails; None if they send none."""
    console: ConsoleSettings = field(default_factory=ConsoleSettings)
    console_access: ConsoleAccess | None = None
    """Who may come into the console beyond this machine; None if the table is missing."""
    warnings: tuple[Problem, ...] = ()
    """Warnings about values that are allowed but probably mistakes, for `check` and the log."""
    learned_secrets: SecretTexts = field(default_factory=SecretTexts)
    """Secrets found when plugins were loaded, such as a literal one that only the model knows."""

    @property
    def script_names(self) -> list[str]:
        """The scripts that sign in to the site: that of `[site]`, then those of enabled plugins."""
        plugin_scripts = [table.script_name for table in self.plugins.values() if table.enabled]
        return list(dict.fromkeys(filter(None, [self.site.script_name, *plugin_scripts])))
