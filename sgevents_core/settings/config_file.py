"""Reads a configuration file as a whole."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import msgspec
import tomli
from msgspec.structs import replace

from sgevents_core.errors import ConfigError, Problem
from sgevents_core.settings.access import exposures
from sgevents_core.settings.cross_checks import check_rules
from sgevents_core.settings.diagnostics import Diagnostics, located
from sgevents_core.settings.fitting import Fitter, keys_of
from sgevents_core.settings.locate import Locator, Where
from sgevents_core.settings.model import (
    DEFAULT_LANE,
    FeedSettings,
    GroupSettings,
    LaneSettings,
    LogSettings,
    PluginSettings,
    Settings,
    SiteSettings,
    StateSettings,
)
from sgevents_core.settings.regular import NotPlainError, read_plain
from sgevents_core.settings.secret import Secret
from sgevents_core.settings.spelling import described, dotted, nearest, quoted
from sgevents_core.settings.toml_errors import explained

LARGEST: Final = 4 * 1024 * 1024
"""Most bytes of a configuration file."""
SECTIONS: Final[Mapping[str, type[msgspec.Struct]]] = {
    "site": SiteSettings,
    "feed": FeedSettings,
    "state": StateSettings,
    "groups": GroupSettings,
    "lanes": LaneSettings,
    "plugins": PluginSettings,
    "log": LogSettings,
}
"""Table of the file -> what one of it holds."""
S = TypeVar("S", bound=msgspec.Struct)


def load_settings(path: Path, *, secrets: bool = True) -> Settings:
    """Return the settings in the file `path`, every value checked and every default filled in.

    Args:
        path: The configuration file; relative paths in it start at its folder.
        secrets: Whether a secret that is not where the file says it is, is a problem. False is for
            commands that do not talk to the site; such a secret raises when it is revealed.

    Raises:
        ConfigError: The file cannot be read, or something in it is wrong. Carries every problem.
    """
    return read_settings(_read(path), path, secrets=secrets)


def read_settings(text: str, path: Path, *, secrets: bool = True) -> Settings:
    """Return the settings in `text`, as `load_settings` does for a file `path` that holds it."""
    raw = _parse(path, text)
    full = Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow links
    assembly = _Assembly(raw, full, secrets=secrets)
    settings, lines = assembly.settings(), Locator(text)
    if assembly.diagnostics.problems:
        raise ConfigError(located(assembly.diagnostics.problems, path, lines))
    warnings = located(assembly.diagnostics.warnings, path, lines)
    return replace(settings, warnings=tuple(warnings))


def state_path(path: Path) -> Path | None:
    """Return the state's folder that the file `path` names, whatever else is wrong in it.

    None if it cannot be read.
    """
    try:
        raw = _parse(path, _read(path)).get("state", {})
        named = raw.get("path", StateSettings().path)
        return Path(os.path.abspath(path.parent / Path(named).expanduser()))  # noqa: PTH100
    except (ConfigError, AttributeError, TypeError, ValueError, RuntimeError):
        return None


def _read(path: Path) -> str:
    try:
        data = read_plain(path, LARGEST)
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except FileNotFoundError:
        problem = "there is no such file"
        fix = "write one with `sgevents init`, or name yours with --config"
    except NotPlainError as error:
        problem, fix = f"this {error.problem}", "name the configuration file with --config"
    except OSError as error:
        problem = f"it cannot be read: {error.strerror}"
        fix = "let the user that runs sgevents read it"
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise _file_error(path, "this is not UTF-8", "save it as UTF-8", line) from None
    raise _file_error(path, problem, fix)


def _parse(path: Path, text: str) -> dict[str, Any]:
    try:
        return tomli.loads(text)
    except RecursionError:
        problem = "this is nested too deep, or a key has too many parts"
        raise _file_error(path, problem, "is it the right file?") from None
    except tomli.TOMLDecodeError as error:
        message, fix = explained(error.msg, text, error.lineno)
        raise _file_error(path, message, fix, error.lineno, error.colno) from None
    except ValueError:  # the one thing that tomli leaves to int()
        problem = "a number in this has thousands of digits"
        raise _file_error(path, problem, "is it the right file?") from None


def _file_error(
    path: Path, message: str, fix: str, line: int | None = None, column: int | None = None
) -> ConfigError:
    return ConfigError([Problem(path, line, "", message, fix, column)])


class _Assembly:
    """Puts the settings together from the tables of one file; what is wrong is in `diagnostics`."""

    def __init__(self, raw: Mapping[str, Any], path: Path, *, secrets: bool) -> None:
        self.diagnostics = Diagnostics()
        self._raw = raw
        self._path = path
        self._secrets = secrets

    def settings(self) -> Settings:
        """Return the settings, with stand-ins for what is wrong or missing."""
        self._fitter().check_names(self._raw, SECTIONS, ())
        lanes = self._named("lanes", LaneSettings)
        groups = self._groups()
        settings = Settings(
            path=self._path,
            site=self._site(),
            feed=self._section("feed", FeedSettings),
            state=self._state(),
            groups=groups,
            lanes=lanes,
            plugins=self._named("plugins", PluginSettings),
            log=self._section("log", LogSettings),
        )
        check_rules(settings, self._raw, self.diagnostics)
        self._warn_of_access(settings)
        named = {group.lane for group in groups if group.lane} | {DEFAULT_LANE}
        defaults = {name: LaneSettings() for name in sorted(named - set(lanes))}
        return replace(settings, lanes={**lanes, **defaults})

    def _site(self) -> SiteSettings:
        if "site" not in self._raw:
            fix = "add [site] with url, script_name and api_key; `sgevents init` writes one"
            self.diagnostics.problem(("site",), "the table is missing", fix)
            return SiteSettings(url="", script_name="", api_key=Secret(None))
        return self._section("site", SiteSettings)

    def _state(self) -> StateSettings:
        state = self._section("state", StateSettings)
        return replace(state, path=self._path.parent / state.path)

    def _section(self, name: str, model: type[S]) -> S:
        return self._table(self._raw.get(name, {}), model, (name,))

    def _table(self, raw: object, model: type[S], where: Where, *, secrets: bool = True) -> S:
        table = self._mapping(raw, where, f"a table: [{dotted(where)}]")
        values = self._fitter(needs_texts=secrets).values(model, table, where)
        for key in keys_of(model):
            if key.required:
                values.setdefault(key.name, Secret(None) if key.shape.core is Secret else "")
        return model(**values)

    def _fitter(self, *, needs_texts: bool = True) -> Fitter:
        return Fitter(
            self._path.parent,
            self.diagnostics,
            needs_texts=self._secrets and needs_texts,
            unknown_fix=_unknown_fix,
        )

    def _mapping(self, raw: object, where: Where, example: str) -> Mapping[str, Any]:
        """Return `raw` if it is a table, else record that and return an empty one."""
        if isinstance(raw, Mapping):
            return raw
        message = f"expected a table, got {described(raw)}"
        self.diagnostics.problem(where, message, f"write {example}")
        return {}

    def _groups(self) -> tuple[GroupSettings, ...]:
        raw = self._raw.get("groups", [])
        if not isinstance(raw, list):
            fix = "write [[groups]], with two brackets, once for each group"
            self.diagnostics.problem(("groups",), "expected a list of tables", fix)
            return ()
        groups = []
        for index, table in enumerate(raw):
            if isinstance(table, Mapping):
                groups.append(self._table(table, GroupSettings, ("groups", index)))
            else:
                fix = 'write [[groups]] and name = "..." for each group'
                self.diagnostics.problem(("groups", index), "expected a table", fix)
        return tuple(groups)

    def _named(self, section: str, model: type[S]) -> dict[str, S]:
        """Return the tables `[section.NAME]` by name."""
        raw = self._mapping(
            self._raw.get(section, {}), (section,), f"a table for each: [{section}.NAME]"
        )
        tables = {}
        for name, table in raw.items():
            where = (section, name)
            unused = section == "plugins" and not _is_enabled(table)
            tables[name] = self._table(table, model, where, secrets=not unused)
        return tables

    def _warn_of_access(self, settings: Settings) -> None:
        """Warn of other users who can change the file, or read a key that stands in it."""
        places: list[Where] = [("site", "api_key"), ("site", "http_proxy")]
        places += [("plugins", name, "api_key") for name in settings.plugins]
        literal = [where for where in places if _is_literal_secret(_at(self._raw, where), where)]
        for exposure in exposures(self._path, "this file", secret=bool(literal)):
            instead = ', or write api_key = { env = "SGEVENTS_API_KEY" }' if exposure.reads else ""
            where = literal[0] if exposure.reads else ()
            self.diagnostics.warning(where, exposure.message, f"{exposure.fix}{instead}")


def _is_enabled(plugin: object) -> bool:
    return isinstance(plugin, Mapping) and plugin.get("enabled") is True


def _is_literal_secret(value: object, where: Where) -> bool:
    """Whether a value is a secret that stands in the file itself; of a proxy, its password."""
    return isinstance(value, str) and (where[-1] != "http_proxy" or "@" in value)


def _at(raw: Any, where: Where) -> object:
    for part in where:
        raw = raw.get(part) if isinstance(raw, Mapping) else None
    return cast(object, raw)


def _unknown_fix(key: str, value: object, names: list[str], where: Where) -> str:
    homes = [f"[{_table_name(name)}]" for name, model in SECTIONS.items() if _has(model, key)]
    if homes and where[:1] != ("plugins",):
        return f"{key} belongs below {' or '.join(homes)}"
    meant = nearest(key, names)
    if meant:
        return f"did you mean {meant}?"
    if where[:1] == ("plugins",):
        return _fix_in_plugin(key, value, where)
    inside = f"[{dotted(where)}] knows" if where else "a configuration has the tables"
    return f"{inside} {', '.join(names)}"


def _fix_in_plugin(key: str, value: object, where: Where) -> str:
    if isinstance(value, Mapping):
        whole = f"{where[1]}.{key}"
        return f"if {whole} is the plugin's name, write [plugins.{quoted(whole)}]"
    return f"the plugin's own settings go below [{dotted((*where, 'settings'))}]"


def _table_name(section: str) -> str:
    return {"groups": "[groups]", "lanes": "lanes.NAME", "plugins": "plugins.NAME"}.get(
        section, section
    )


def _has(model: type[msgspec.Struct], key: str) -> bool:
    return key in model.__struct_fields__
