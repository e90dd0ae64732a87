"""A plugin's own settings as it gets them: an instance of its model, or a read-only mapping."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from sgevents_core.errors import PluginSettingsError, SettingsModelError
from sgevents_core.plugins.callback import place_of
from sgevents_core.plugins.guarding import guarded
from sgevents_core.plugins.literal_secrets import texts_by_model, texts_in_value
from sgevents_core.settings import Settings
from sgevents_core.settings.diagnostics import Diagnostic, Diagnostics, locate_problems
from sgevents_core.settings.fitting import Fitter, is_table_model, reveal_secrets, unknown_key_fix
from sgevents_core.settings.locate import KeyLocator, KeyPath
from sgevents_core.settings.spelling import dotted_key

_MODEL_DECIDES: Final = "correct the value; what it may be is said by the plugin"


def model_of(hooks: Mapping[str, Callable[..., Any]]) -> Any:
    """Return the model that a plugin's `settings_model` returns; None if it has no such hook.

    Args:
        hooks: The plugin's hooks by name.

    Raises:
        SettingsModelError: The hook's result is not a model.
        PluginRaisedError: The hook raised.
    """
    hook = hooks.get("settings_model")
    if hook is None:
        return None
    model = guarded("settings_model", hook)
    what = guarded("settings_model", lambda: _unlike_a_model(model))
    if what:
        raise SettingsModelError(where=place_of(hook), what=what)
    return model


def _unlike_a_model(model: object) -> str:
    """Return, for people, what `model` is instead of a model; that runs a plugin's code."""
    if not isinstance(model, type):
        return f"{model!r:.60}"
    is_one = is_table_model(model) or is_pydantic(model)
    return "" if is_one else f"the class {model.__qualname__}"


def is_pydantic(model: object) -> bool:
    """Return whether `model` validates a mapping the way pydantic's models do."""
    return callable(getattr(model, "model_validate", None))


def modelled(model: Any, table: Mapping[str, Any], folder: Path) -> tuple[Any, list[Diagnostic]]:
    """Return `table` as an instance of `model`, and everything that is wrong with it.

    Args:
        model: A dataclass, msgspec Struct or pydantic model; None if there is none.
        table: The plugin's own settings, with a Secret for each reference in the file.
        folder: The base of relative paths in a dataclass or Struct.
    """
    if model is None:
        return MappingProxyType(dict(table)), []
    if is_pydantic(model):
        return _validated(model, table)
    diagnostics = Diagnostics()
    return Fitter(folder, diagnostics).fit_table(model, table), diagnostics.problems


def own_settings(plugin: str, model: Any, settings: Settings) -> Any:
    """Return `ctx.settings` for `plugin`, and learn its secrets, literal ones included.

    Args:
        plugin: The plugin's name.
        model: The result of `settings_model`; None if there is none.
        settings: The whole configuration.

    Raises:
        PluginSettingsError: The table does not fit the model; the error has every problem.
        PluginRaisedError: Code of the model raised something unexpected.
    """
    config, name = settings.path, dotted_key(_where(plugin))
    table = settings.plugins[plugin].settings

    def fitted() -> tuple[Any, list[Diagnostic]]:
        for text in texts_by_model(model, table):
            settings.learned_secrets.add_text(text)
        value, wrong = modelled(model, table, config.parent)
        for text in texts_in_value(value):
            settings.learned_secrets.add_text(text)
        return value, wrong

    value, wrong = guarded(f"reading [{name}]", fitted)
    if wrong:
        problems = locate_problems(wrong, config, _lines_of(config), _where(plugin))
        raise PluginSettingsError(problems, f"[{name}]")
    return value


def _where(plugin: str) -> KeyPath:
    return ("plugins", plugin, "settings")


def _lines_of(config: Path) -> KeyLocator:
    """Return the line numbers of the file, as far as it can still be read."""
    try:
        return KeyLocator(config.read_text("utf-8-sig"))
    except (OSError, ValueError):
        return KeyLocator("")


def _validated(model: Any, table: Mapping[str, Any]) -> tuple[Any, list[Diagnostic]]:
    wrong = _unknown(model, table)
    try:
        value = model.model_validate(reveal_secrets(table))
    except Exception as error:
        errors = getattr(error, "errors", None)
        if not callable(errors):
            raise
        return None, [*wrong, *(_diagnostic_of(entry, model) for entry in errors())]
    return value, wrong


def _diagnostic_of(error: Mapping[str, Any], model: Any) -> Diagnostic:
    """Convert one pydantic error to ours, without its `input`, which may be a secret."""
    where = tuple(error.get("loc", ()))
    message = str(error.get("msg", "it is wrong"))
    fix = _MODEL_DECIDES
    if error.get("type") == "missing" and where:
        message, fix = "it is missing", f"add {where[-1]} = ..."
    elif error.get("type") == "extra_forbidden" and where:
        message, fix = (
            "there is no such key",
            unknown_key_fix(str(where[-1]), _names(model)),
        )
    return Diagnostic(where, message[:1].lower() + message[1:], fix)


def _unknown(model: Any, table: Mapping[str, Any]) -> list[Diagnostic]:
    """Return the keys that the model would silently ignore, unless it is declared to do so."""
    names = _names(model)
    extra = getattr(model, "model_config", {}).get("extra")
    if extra is not None or not names:
        return []
    return [
        Diagnostic((key,), "there is no such key", unknown_key_fix(key, names))
        for key in table
        if key not in names
    ]


def _names(model: Any) -> list[str]:
    """Return the keys that a pydantic model knows; empty if it also accepts others."""
    names: list[str] = []
    for name, field in getattr(model, "model_fields", {}).items():
        aliases = [getattr(field, kind, None) for kind in ("alias", "validation_alias")]
        if any(alias is not None and not isinstance(alias, str) for alias in aliases):
            return []
        names += [name, *(alias for alias in aliases if alias)]
    return names
