"""Read and validate a whole configuration file."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import msgspec
import tomli
from msgspec.structs import replace

from sgevents_core.errors import ConfigError, Problem
from sgevents_core.settings.classic_listing import ClassicListing
from sgevents_core.settings.classic_settings import ClassicFolder, ClassicSettings, SmtpSettings
from sgevents_core.settings.console_settings import ConsoleAccess, ConsoleSettings
from sgevents_core.settings.cross_checks import check_cross_rules
from sgevents_core.settings.diagnostics import Diagnostics, assignment, locate_problems
from sgevents_core.settings.file_access import find_exposures
from sgevents_core.settings.fitting import Fitter, model_keys_of
from sgevents_core.settings.key_lines import KeyLocator, KeyPath
from sgevents_core.settings.model import (
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
from sgevents_core.settings.plain_files import NotPlainError, read_plain_file
from sgevents_core.settings.secret import Secret
from sgevents_core.settings.spelling import describe, dotted_key, nearest_name, toml_string
from sgevents_core.settings.state_settings import HostSettings, StateSettings
from sgevents_core.settings.toml_errors import explain_toml_error

MAX_CONFIG_BYTES: Final = 4 * 1024 * 1024
"""The largest configuration file accepted, in bytes."""
SECTION_MODELS: Final[Mapping[str, type[msgspec.Struct]]] = {
    "site": SiteSettings,
    "feed": FeedSettings,
    "state": StateSettings,
    "groups": GroupSettings,
    "lanes": LaneSettings,
    "hosts": HostSettings,
    "plugins": PluginSettings,
    "log": LogSettings,
    "metrics": MetricsSettings,
    "alerts": AlertSettings,
    "classic": ClassicSettings,
    "classic.paths": ClassicFolder,
    "classic.smtp": SmtpSettings,
    "console": ConsoleSettings,
    "console.access": ConsoleAccess,
}
"""Section of the file -> the model of its table, or of each table in it."""
_CLASSIC_TABLES: Final = ("paths", "smtp")
"""Keys of `[classic]` that hold tables of their own."""
S = TypeVar("S", bound=msgspec.Struct)


def load_settings(config_path: Path, *, secrets_required: bool = True) -> Settings:
    """Return the settings in a file, every value checked and every default filled in.

    Args:
        config_path: The configuration file; relative paths in it start at its folder.
        secrets_required: Whether a secret that is not where the file says it is, is a problem.
            False is for commands that do not talk to the site; such a secret raises when it is
            revealed.

    Raises:
        ConfigError: The file cannot be read, or something in it is wrong. Carries every problem.
    """
    return read_settings(
        _read_config_text(config_path), config_path, secrets_required=secrets_required
    )


def read_settings(toml_text: str, config_path: Path, *, secrets_required: bool = True) -> Settings:
    """Return the settings in `toml_text`, as `load_settings` does for a file that holds it."""
    raw_tables = _parse_toml(config_path, toml_text)
    absolute_path = Path(os.path.abspath(config_path))  # noqa: PTH100 - resolve() would follow links
    assembler = _SettingsAssembler(raw_tables, absolute_path, secrets_required=secrets_required)
    settings, key_locator = assembler.assemble(), KeyLocator(toml_text)
    if assembler.diagnostics.problems:
        raise ConfigError(locate_problems(assembler.diagnostics.problems, config_path, key_locator))
    warnings = locate_problems(assembler.diagnostics.warnings, config_path, key_locator)
    return replace(settings, warnings=tuple(warnings))


def state_path(config_path: Path) -> Path | None:
    """Return the state folder that `config_path` names, even if other values in it are invalid.

    None if it cannot be read.
    """
    try:
        state_table = parse_file(config_path)[1].get("state", {})
        folder_name = state_table.get("path", StateSettings().path)
        return Path(os.path.abspath(config_path.parent / Path(folder_name).expanduser()))  # noqa: PTH100 - as above
    except (ConfigError, AttributeError, TypeError, ValueError, RuntimeError):
        return None


def parse_file(config_path: Path) -> tuple[str, dict[str, Any]]:
    """Return the text of a configuration file and its tables, unchecked.

    Raises:
        ConfigError: The file cannot be read, or is not TOML.
    """
    toml_text = _read_config_text(config_path)
    return toml_text, _parse_toml(config_path, toml_text)


def _read_config_text(config_path: Path) -> str:
    try:
        file_content = read_plain_file(config_path, MAX_CONFIG_BYTES)
        return file_content.decode("utf-8-sig").replace("\r\n", "\n")
    except FileNotFoundError:
        problem_text = "there is no such file"
        fix = "write one with `sgevents init`, or name yours with --config"
    except NotPlainError as error:
        problem_text = f"this {error.problem_text}"
        fix = "name the configuration file with --config"
    except OSError as error:
        problem_text = f"it cannot be read: {error.strerror}"
        fix = "let the user that runs sgevents read it"
    except UnicodeDecodeError as error:
        line_number = error.object.count(b"\n", 0, error.start) + 1
        raise _whole_file_error(
            config_path, "this is not UTF-8", "save it as UTF-8", line_number
        ) from None
    raise _whole_file_error(config_path, problem_text, fix)


def _parse_toml(config_path: Path, toml_text: str) -> dict[str, Any]:
    try:
        return tomli.loads(toml_text)
    except RecursionError:
        problem_text = "this is nested too deep, or a key has too many parts"
        raise _whole_file_error(config_path, problem_text, "is it the right file?") from None
    except tomli.TOMLDecodeError as error:
        message, fix = explain_toml_error(error.msg, toml_text, error.lineno)
        raise _whole_file_error(config_path, message, fix, error.lineno, error.colno) from None
    except ValueError:  # the one thing that tomli leaves to int()
        problem_text = "a number in this has thousands of digits"
        raise _whole_file_error(config_path, problem_text, "is it the right file?") from None


def _whole_file_error(
    config_path: Path,
    message: str,
    fix: str,
    line_number: int | None = None,
    column_number: int | None = None,
) -> ConfigError:
    return ConfigError([Problem(config_path, line_number, "", message, fix, column_number)])


class _SettingsAssembler:
    """Builds the settings from the tables of one file, collecting problems in `diagnostics`."""

    def __init__(
        self, raw_tables: Mapping[str, Any], config_path: Path, *, secrets_required: bool
    ) -> None:
        self.diagnostics = Diagnostics()
        self._raw_tables = raw_tables
        self._config_path = config_path
        self._secrets_required = secrets_required

    def assemble(self) -> Settings:
        """Return the settings, with placeholders for invalid or missing values."""
        top_tables = [name for name in SECTION_MODELS if "." not in name]
        self._make_fitter().check_key_names(self._raw_tables, top_tables, ())
        lane_settings = self._named_tables("lanes", LaneSettings)
        classic_table = self._mapping_or_empty(
            self._raw_tables.get("classic", {}), ("classic",), "a table: [classic]"
        )
        classic_folders = self._classic_folders(classic_table.get("paths", []))
        listing = ClassicListing.read(classic_folders, self.diagnostics)
        group_settings = listing.with_groups(self._group_settings())
        plugin_settings = self._named_tables("plugins", PluginSettings, listing.with_tables)
        raw_plugins = self._raw_tables.get("plugins", {})
        listing.check_tables(raw_plugins if isinstance(raw_plugins, dict) else {}, self.diagnostics)
        settings = Settings(
            path=self._config_path,
            site=self._site_settings(),
            feed=self._section_settings("feed", FeedSettings),
            state=self._state_settings(),
            groups=group_settings,
            lanes=lane_settings,
            plugins=plugin_settings,
            log=self._section_settings("log", LogSettings),
            metrics=self._section_settings("metrics", MetricsSettings),
            hosts=self._named_tables("hosts", HostSettings),
            alerts=self._alert_settings(),
            classic=self._classic_settings(classic_table),
            classic_folders=classic_folders,
            classic_files=listing.files,
            classic_on_error=listing.with_on_error,
            smtp=self._smtp_settings(classic_table),
            console=self._console_settings(),
            console_access=self._console_access(),
        )
        check_cross_rules(settings, self._raw_tables, self.diagnostics)
        self._warn_about_access(settings)
        used_lanes = {group.lane for group in group_settings if group.lane} | {DEFAULT_LANE}
        default_lanes = {name: LaneSettings() for name in sorted(used_lanes - set(lane_settings))}
        return replace(settings, lanes={**lane_settings, **default_lanes})

    def _site_settings(self) -> SiteSettings:
        if "site" not in self._raw_tables:
            fix = "add [site] with url, script_name and api_key; `sgevents init` writes one"
            self.diagnostics.add_problem(("site",), "the table is missing", fix)
            return SiteSettings(url="", script_name="", api_key=Secret(None))
        return self._section_settings("site", SiteSettings)

    def _state_settings(self) -> StateSettings:
        state = self._section_settings("state", StateSettings)
        return replace(state, path=self._config_path.parent / state.path)

    def _section_settings(self, name: str, model: type[S]) -> S:
        return self._table_settings(self._raw_tables.get(name, {}), model, (name,))

    def _classic_settings(self, classic_table: Mapping[str, Any]) -> ClassicSettings:
        own_keys = {key: classic_table[key] for key in classic_table if key not in _CLASSIC_TABLES}
        return self._table_settings(own_keys, ClassicSettings, ("classic",))

    def _smtp_settings(self, classic_table: Mapping[str, Any]) -> SmtpSettings | None:
        if "smtp" not in classic_table:
            return None
        return self._table_settings(classic_table["smtp"], SmtpSettings, ("classic", "smtp"))

    def _console_settings(self) -> ConsoleSettings:
        console_table = self._raw_tables.get("console", {})
        if isinstance(console_table, Mapping) and isinstance(console_table.get("access"), Mapping):
            console_table = {key: console_table[key] for key in console_table if key != "access"}
        return self._table_settings(
            console_table, ConsoleSettings, ("console",), secrets_required=False
        )  # the daemon needs none of them

    def _console_access(self) -> ConsoleAccess | None:
        access_table = _value_at(self._raw_tables, ("console", "access"))
        if not isinstance(access_table, Mapping):
            return None
        return self._table_settings(
            access_table, ConsoleAccess, ("console", "access"), secrets_required=False
        )

    def _classic_folders(self, raw_folders: object) -> tuple[ClassicFolder, ...]:
        key_path = ("classic", "paths")
        fix = 'write [[classic.paths]] and path = "..." for each folder'
        if not isinstance(raw_folders, list):
            self.diagnostics.add_problem(key_path, "expected a list of tables", fix)
            return ()
        folders = []
        for index, raw_table in enumerate(raw_folders):
            folder_path = (*key_path, index)
            if not isinstance(raw_table, Mapping):
                self.diagnostics.add_problem(folder_path, "expected a table", fix)
                continue
            folder = self._table_settings(raw_table, ClassicFolder, folder_path)
            if self.diagnostics.are_valid((*folder_path, "path"), (*folder_path, "group")):
                folders.append(self._absolute_folder(folder))
        return tuple(folders)

    def _absolute_folder(self, folder: ClassicFolder) -> ClassicFolder:
        return replace(folder, path=self._config_path.parent / folder.path)

    def _table_settings(
        self, raw_value: object, model: type[S], key_path: KeyPath, *, secrets_required: bool = True
    ) -> S:
        table = self._mapping_or_empty(raw_value, key_path, f"a table: [{dotted_key(key_path)}]")
        values = self._make_fitter(references_required=secrets_required).fit_values(
            model, table, key_path
        )
        for key in model_keys_of(model):
            if key.required:
                values.setdefault(key.name, Secret(None) if key.shape.core_type is Secret else "")
        return model(**values)

    def _make_fitter(self, *, references_required: bool = True) -> Fitter:
        return Fitter(
            self._config_path.parent,
            self.diagnostics,
            references_required=self._secrets_required and references_required,
            unknown_fix=_unknown_key_fix,
        )

    def _mapping_or_empty(
        self, raw_value: object, key_path: KeyPath, example_text: str
    ) -> Mapping[str, Any]:
        """Return `raw_value` if it is a table, else record that and return an empty one."""
        if isinstance(raw_value, Mapping):
            return raw_value
        message = f"expected a table, got {describe(raw_value)}"
        self.diagnostics.add_problem(key_path, message, f"write {example_text}")
        return {}

    def _group_settings(self) -> tuple[GroupSettings, ...]:
        raw_groups = self._raw_tables.get("groups", [])
        if not isinstance(raw_groups, list):
            fix = "write [[groups]], with two brackets, once for each group"
            self.diagnostics.add_problem(("groups",), "expected a list of tables", fix)
            return ()
        groups = []
        for index, raw_table in enumerate(raw_groups):
            if isinstance(raw_table, Mapping):
                groups.append(self._table_settings(raw_table, GroupSettings, ("groups", index)))
            else:
                fix = 'write [[groups]] and name = "..." for each group'
                self.diagnostics.add_problem(("groups", index), "expected a table", fix)
        return tuple(groups)

    def _alert_settings(self) -> tuple[AlertSettings, ...]:
        raw_tables = self._raw_tables.get("alerts", [])
        fix = "write [[alerts]], with two brackets, and urls = [...] below it"
        if not isinstance(raw_tables, list):
            self.diagnostics.add_problem(("alerts",), "expected a list of tables", fix)
            return ()
        tables = []
        for index, raw_table in enumerate(raw_tables):
            if not isinstance(raw_table, Mapping):
                self.diagnostics.add_problem(("alerts", index), "expected a table", fix)
                continue
            table = self._table_settings(raw_table, AlertSettings, ("alerts", index))
            if self.diagnostics.are_valid(("alerts", index, "urls")):
                tables.append(table)
        return tuple(tables)

    def _named_tables(
        self,
        section_name: str,
        model: type[S],
        completed: Callable[[Mapping[str, Any]], Mapping[str, Any]] = dict,
    ) -> dict[str, S]:
        """Return the tables `[section.NAME]` by name, after `completed` has added to them."""
        raw_section = completed(
            self._mapping_or_empty(
                self._raw_tables.get(section_name, {}),
                (section_name,),
                f"a table for each: [{section_name}.NAME]",
            )
        )
        named_tables = {}
        for name, raw_table in raw_section.items():
            key_path = (section_name, name)
            is_unused = section_name == "plugins" and not _is_enabled(raw_table)
            named_tables[name] = self._table_settings(
                raw_table, model, key_path, secrets_required=not is_unused
            )
        return named_tables

    def _warn_about_access(self, settings: Settings) -> None:
        """Warn if other users can change the file, or read a secret in it."""
        secret_paths: list[KeyPath] = [("site", "api_key"), ("site", "http_proxy")]
        secret_paths.append(("classic", "smtp", "password"))
        secret_paths += [("plugins", name, "api_key") for name in settings.plugins]
        secret_paths += [("state", "password"), ("console", "webhook_secret")]
        for index, table in enumerate(settings.alerts):
            secret_paths += [("alerts", index, "urls", number) for number in range(len(table.urls))]
            secret_paths.append(("alerts", index, "heartbeat"))
        secrets = [
            key_path
            for key_path in secret_paths
            if _is_literal_secret(_value_at(self._raw_tables, key_path), key_path)
        ]
        for exposure in find_exposures(self._config_path, "this file", holds_secret=bool(secrets)):
            key_path: KeyPath = ()
            fix = exposure.fix
            if exposure.reveals_secret:
                key_path = secrets[0]
                reference = assignment(key_path, '{ env = "SGEVENTS_API_KEY" }')
                fix += f", or write {reference}"
            self.diagnostics.add_warning(key_path, exposure.message, fix)


def _is_enabled(plugin_table: object) -> bool:
    return isinstance(plugin_table, Mapping) and plugin_table.get("enabled") is True


def _is_literal_secret(raw_value: object, key_path: KeyPath) -> bool:
    """Whether a value is a secret, or a proxy with a password, written literally in the file."""
    return isinstance(raw_value, str) and (key_path[-1] != "http_proxy" or "@" in raw_value)


def _value_at(raw_tables: Any, key_path: KeyPath) -> object:
    for path_part in key_path:
        try:
            raw_tables = raw_tables[path_part]
        except (KeyError, IndexError, TypeError):
            return None
    return cast(object, raw_tables)


def _unknown_key_fix(
    unknown_key: str, raw_value: object, known_names: list[str], key_path: KeyPath
) -> str:
    likely_key = nearest_name(unknown_key, known_names)
    if likely_key and not key_path and isinstance(raw_value, Mapping):
        return f"did you mean {likely_key}?"
    possible_tables = [
        f"[{_display_name(name)}]"
        for name, model in SECTION_MODELS.items()
        if _has_field(model, unknown_key)
    ]
    if possible_tables and key_path[:1] != ("plugins",):
        return f"{unknown_key} belongs below {' or '.join(possible_tables)}"
    if likely_key:
        return f"did you mean {likely_key}?"
    if key_path[:1] == ("plugins",):
        return _plugin_key_fix(unknown_key, raw_value, key_path)
    prefix = f"[{dotted_key(key_path)}] knows" if key_path else "a configuration has the tables"
    return f"{prefix} {', '.join(known_names)}"


def _plugin_key_fix(unknown_key: str, raw_value: object, key_path: KeyPath) -> str:
    if isinstance(raw_value, Mapping):
        full_name = f"{key_path[1]}.{unknown_key}"
        return f"if {full_name} is the plugin's name, write [plugins.{toml_string(full_name)}]"
    return f"the plugin's own settings go below [{dotted_key((*key_path, 'settings'))}]"


def _display_name(section_name: str) -> str:
    display_names = {
        "groups": "[groups]",
        "alerts": "[alerts]",
        "hosts": "hosts.NAME",
        "lanes": "lanes.NAME",
        "plugins": "plugins.NAME",
    }
    return display_names.get(section_name, section_name)


def _has_field(model: type[msgspec.Struct], field_name: str) -> bool:
    return field_name in model.__struct_fields__
