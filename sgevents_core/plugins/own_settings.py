"""Build the settings a plugin receives: an instance of its model, or a read-only mapping."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from sgevents_core.errors import PluginSettingsError, SettingsModelError
from sgevents_core.plugins.callback import source_place_of
from sgevents_core.plugins.guarding import run_guarded
from sgevents_core.plugins.literal_secrets import secret_texts_by_model, secret_texts_in
from sgevents_core.settings import Settings
from sgevents_core.settings.diagnostics import Diagnostic, Diagnostics, locate_problems
from sgevents_core.settings.fitting import Fitter, is_table_model, reveal_secrets, unknown_key_fix
from sgevents_core.settings.key_lines import KeyLocator, KeyPath
from sgevents_core.settings.spelling import dotted_key

_MODEL_DECIDES: Final = "correct the value; the plugin defines what is valid"


def settings_model_of(hooks: Mapping[str, Callable[..., Any]]) -> Any:
    """Return the model that a plugin's `settings_model` returns; None if it has no such hook.

    Args:
        hooks: The plugin's hooks by name.

    Raises:
        SettingsModelError: The hook's result is not a model.
        PluginRaisedError: The hook raised.
    """
    model_hook = hooks.get("settings_model")
    if model_hook is None:
        return None
    settings_model = run_guarded("settings_model", model_hook)
    description = run_guarded("settings_model", lambda: _describe_non_model(settings_model))
    if description:
        raise SettingsModelError(where=source_place_of(model_hook), what=description)
    return settings_model


def _describe_non_model(settings_model: object) -> str:
    """Describe for people an object that is not a model; this runs the plugin's code."""
    if not isinstance(settings_model, type):
        return f"{settings_model!r:.60}"
    is_model = is_table_model(settings_model) or is_pydantic(settings_model)
    return "" if is_model else f"the class {settings_model.__qualname__}"


def is_pydantic(settings_model: object) -> bool:
    """Return whether `settings_model` validates a mapping the way pydantic's models do."""
    return callable(getattr(settings_model, "model_validate", None))


def fit_to_model(
    settings_model: Any, plugin_table: Mapping[str, Any], base_folder: Path
) -> tuple[Any, list[Diagnostic]]:
    """Return a plugin's table as an instance of its model, and everything that is wrong with it.

    Args:
        settings_model: A dataclass, msgspec Struct or pydantic model; None if there is none.
        plugin_table: The plugin's own settings, with a Secret for each reference in the file.
        base_folder: The base of relative paths in a dataclass or Struct.
    """
    if settings_model is None:
        return MappingProxyType(dict(plugin_table)), []
    if is_pydantic(settings_model):
        return _validate_pydantic(settings_model, plugin_table)
    collected = Diagnostics()
    return Fitter(base_folder, collected).fit_table(
        settings_model, plugin_table
    ), collected.problems


def own_settings(plugin: str, settings_model: Any, settings: Settings) -> Any:
    """Return `ctx.settings` for `plugin`, and learn its secrets, literal ones included.

    Args:
        plugin: The plugin's name.
        settings_model: The result of `settings_model`; None if there is none.
        settings: The whole configuration.

    Raises:
        PluginSettingsError: The table does not fit the model; the error has every problem.
        PluginRaisedError: Code of the model raised something unexpected.
    """
    config_path, table_name = settings.path, dotted_key(_settings_path(plugin))
    plugin_table = settings.plugins[plugin].settings

    def fit_table() -> tuple[Any, list[Diagnostic]]:
        for secret_text in secret_texts_by_model(settings_model, plugin_table):
            settings.learned_secrets.add_text(secret_text)
        fitted_value, diagnostics = fit_to_model(settings_model, plugin_table, config_path.parent)
        for secret_text in secret_texts_in(fitted_value):
            settings.learned_secrets.add_text(secret_text)
        return fitted_value, diagnostics

    fitted_value, diagnostics = run_guarded(f"reading [{table_name}]", fit_table)
    if diagnostics:
        problems = locate_problems(
            diagnostics, config_path, _key_locator_of(config_path), _settings_path(plugin)
        )
        raise PluginSettingsError(problems, f"[{table_name}]")
    return fitted_value


def _settings_path(plugin: str) -> KeyPath:
    return ("plugins", plugin, "settings")


def _key_locator_of(config_path: Path) -> KeyLocator:
    """Return the line numbers of the file, as far as it can still be read."""
    try:
        return KeyLocator(config_path.read_text("utf-8-sig"))
    except (OSError, ValueError):
        return KeyLocator("")


def _validate_pydantic(model: Any, plugin_table: Mapping[str, Any]) -> tuple[Any, list[Diagnostic]]:
    diagnostics = _unknown_keys(model, plugin_table)
    try:
        fitted_value = model.model_validate(reveal_secrets(plugin_table))
    except Exception as validation_error:
        error_list = getattr(validation_error, "errors", None)
        if not callable(error_list):
            raise
        return None, [
            *diagnostics,
            *(_diagnostic_of(entry, model) for entry in error_list()),
        ]
    return fitted_value, diagnostics


def _diagnostic_of(pydantic_error: Mapping[str, Any], settings_model: Any) -> Diagnostic:
    """Convert one pydantic error to ours, without its `input`, which may be a secret."""
    key_path = tuple(pydantic_error.get("loc", ()))
    message = str(pydantic_error.get("msg", "it is wrong"))
    suggested_fix = _MODEL_DECIDES
    if pydantic_error.get("type") == "missing" and key_path:
        message, suggested_fix = "it is missing", f"add {key_path[-1]} = ..."
    elif pydantic_error.get("type") == "extra_forbidden" and key_path:
        message, suggested_fix = (
            "there is no such key",
            unknown_key_fix(str(key_path[-1]), _known_keys(settings_model)),
        )
    return Diagnostic(key_path, message[:1].lower() + message[1:], suggested_fix)


def _unknown_keys(settings_model: Any, plugin_table: Mapping[str, Any]) -> list[Diagnostic]:
    """Return the keys that the model would silently ignore, unless it is declared to do so."""
    known_keys = _known_keys(settings_model)
    extra_policy = getattr(settings_model, "model_config", {}).get("extra")
    if extra_policy is not None or not known_keys:
        return []
    return [
        Diagnostic((key,), "there is no such key", unknown_key_fix(key, known_keys))
        for key in plugin_table
        if key not in known_keys
    ]


def _known_keys(settings_model: Any) -> list[str]:
    """Return the keys that a pydantic model knows; empty if it also accepts others."""
    key_names: list[str] = []
    for field_name, pydantic_field in getattr(settings_model, "model_fields", {}).items():
        aliases = [getattr(pydantic_field, kind, None) for kind in ("alias", "validation_alias")]
        if any(alias is not None and not isinstance(alias, str) for alias in aliases):
            return []
        key_names += [field_name, *(alias for alias in aliases if alias)]
    return key_names
