"""The configuration: a TOML file becomes validated settings, or a list of all its problems.

Every room may read settings; only the commands and the daemon load them.
"""

from sgevents_core.errors import ConfigError, Problem
from sgevents_core.settings.classic_settings import ClassicFolder, ClassicSettings, SmtpSettings
from sgevents_core.settings.config_file import load_settings, read_settings
from sgevents_core.settings.console_settings import ConsoleAccess, ConsoleSettings
from sgevents_core.settings.durations import format_duration, parse_duration
from sgevents_core.settings.listen_address import ListenAddress
from sgevents_core.settings.model import (
    DEFAULT_GROUP,
    DEFAULT_LANE,
    FeedSettings,
    GroupSettings,
    LaneSettings,
    LogSettings,
    PluginSettings,
    Settings,
    SiteSettings,
)
from sgevents_core.settings.monitoring_settings import AlertSettings, MetricsSettings
from sgevents_core.settings.secret import Secret, SecretSource, SecretTexts, secrets_in
from sgevents_core.settings.starts import Ago, Start
from sgevents_core.settings.state_settings import StateSettings

__all__ = [
    "DEFAULT_GROUP",
    "DEFAULT_LANE",
    "Ago",
    "AlertSettings",
    "ClassicFolder",
    "ClassicSettings",
    "ConfigError",
    "ConsoleAccess",
    "ConsoleSettings",
    "FeedSettings",
    "GroupSettings",
    "LaneSettings",
    "ListenAddress",
    "LogSettings",
    "MetricsSettings",
    "PluginSettings",
    "Problem",
    "Secret",
    "SecretSource",
    "SecretTexts",
    "Settings",
    "SiteSettings",
    "SmtpSettings",
    "Start",
    "StateSettings",
    "format_duration",
    "load_settings",
    "parse_duration",
    "read_settings",
    "secrets_in",
]
