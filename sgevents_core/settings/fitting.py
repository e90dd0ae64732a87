"""Fit a configuration table to a dataclass or msgspec Struct, collecting every problem.

The tables of sgevents and those of plugins are fitted alike. No message shows a text that came from
a reference: it may be a secret.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias, get_args, get_origin
from typing import get_type_hints as hints_of

import msgspec

from sgevents_core.errors import SecretMissingError
from sgevents_core.settings.diagnostics import (
    Diagnostics,
    InvalidValueError,
    ReadingContext,
    assignment,
)
from sgevents_core.settings.key_lines import KeyPath
from sgevents_core.settings.secret import Secret
from sgevents_core.settings.spelling import (
    describe,
    joined_names,
    kind_of,
    nearest_name,
    toml_literal,
)
from sgevents_core.settings.value_kinds import KINDS_BY_TYPE
from sgevents_core.settings.value_shapes import (
    ValueShape,
    allowed_choices,
    corrected_value,
    example_value,
    expected_text,
    shape_of,
)

UnknownKeyFix: TypeAlias = Callable[[str, object, list[str], KeyPath], str]
"""Builds the fix for an unknown key from the key, its value, the known keys and the table."""

_LIST_TYPES: Final[dict[object, type]] = {list: list, tuple: tuple, set: set, frozenset: frozenset}
_UNCHECKED_TYPES: Final = (Any, object)


class ModelKey(NamedTuple):
    """One key that a model knows."""

    name: str
    """The key as written in the table."""
    attribute: str
    shape: ValueShape
    required: bool
    default: Any
    """None if there is none, or if it is created for each use."""


def is_table_model(model: object) -> bool:
    """Return whether `Fitter` can build instances of the class `model` from a table."""
    is_struct = isinstance(model, type) and issubclass(model, msgspec.Struct)
    return is_struct or (isinstance(model, type) and dataclasses.is_dataclass(model))


@lru_cache(maxsize=128)  # finding type hints takes longer than all the rest of fitting
def model_keys_of(model: Any) -> tuple[ModelKey, ...]:
    """Return the keys that `model`, a dataclass or Struct with type hints, knows."""
    return tuple(_iterate_keys(model))


def _iterate_keys(model: Any) -> Iterator[ModelKey]:
    if issubclass(model, msgspec.Struct):
        for field in msgspec.structs.fields(model):
            shape, default = shape_of(field.type), _static_default(field.default)
            yield ModelKey(field.encode_name, field.name, shape, field.required, default)
        return
    type_hints = hints_of(model, include_extras=True)
    for dataclass_field in (field for field in dataclasses.fields(model) if field.init):
        shape, default = (
            shape_of(type_hints[dataclass_field.name]),
            _static_default(dataclass_field.default),
        )
        yield ModelKey(
            dataclass_field.name,
            dataclass_field.name,
            shape,
            _is_required(dataclass_field),
            default,
        )


def unknown_key_fix(name: str, known_keys: Iterable[str]) -> str:
    """Return the fix for a key that a plugin's model does not know."""
    likely = nearest_name(name, known_keys)
    return f"did you mean {likely}?" if likely else f"the plugin knows {joined_names(known_keys)}"


class Fitter:
    """Converts values to the types of a model.

    Args:
        base_folder: Where relative paths start.
        diagnostics: Collects the problems.
        references_required: Whether it is a problem if a text is not where a reference says.
        unknown_fix: Builds the fix for an unknown key; None to use the fix for plugins.
    """

    def __init__(
        self,
        base_folder: Path,
        diagnostics: Diagnostics,
        *,
        references_required: bool = True,
        unknown_fix: UnknownKeyFix | None = None,
    ) -> None:
        self._base_folder = base_folder
        self._diagnostics = diagnostics
        self._references_required = references_required
        self._unknown_fix = unknown_fix

    def fit_table(self, model: Any, raw_value: Mapping[str, Any], key_path: KeyPath = ()) -> Any:
        """Return a table as an instance of `model`; None if anything in it is wrong."""
        problems_before = len(self._diagnostics.problems)
        fitted_values = self.fit_values(model, raw_value, key_path)
        if len(self._diagnostics.problems) > problems_before:
            return None
        try:
            return model(**fitted_values)
        except (ValueError, TypeError) as error:  # raised by a model's __post_init__
            message = str(error) or type(error).__name__
            self._diagnostics.add_problem(key_path, message, "correct the values in this table")
            return None

    def fit_values(
        self, model: Any, raw_value: Mapping[str, Any], key_path: KeyPath
    ) -> dict[str, Any]:
        """Return the valid values in the table `raw_value` by the attributes of `model`."""
        fitted_values: dict[str, Any] = {}
        known_keys = model_keys_of(model)
        for key in known_keys:
            inner_path = (*key_path, key.name)
            if key.name in raw_value:
                problems_before = len(self._diagnostics.problems)
                fitted_value = self._fit_value(
                    key.shape, raw_value[key.name], inner_path, key.default
                )
                if len(self._diagnostics.problems) == problems_before:
                    fitted_values[key.attribute] = fitted_value
            elif key.required:
                fix = f"add {key.name} = {example_value(key.shape)}"
                self._diagnostics.add_problem(inner_path, "it is missing", fix)
        self.check_key_names(raw_value, [key.name for key in known_keys], key_path)
        return fitted_values

    def check_key_names(
        self, raw_value: Mapping[str, Any], known_keys: Iterable[str], key_path: KeyPath
    ) -> None:
        """Record every key of the table `raw_value` that is not `known_keys`."""
        known_names = list(known_keys)
        for name, fitted_value in raw_value.items():
            if name not in known_names:
                message = f"there is no such {'table' if _is_table_value(fitted_value) else 'key'}"
                fix = (
                    self._unknown_fix(name, fitted_value, known_names, key_path)
                    if self._unknown_fix
                    else unknown_key_fix(name, known_names)
                )
                self._diagnostics.add_problem((*key_path, name), message, fix)

    def _fit_value(
        self, shape: ValueShape, raw_value: Any, key_path: KeyPath, default: object = None
    ) -> Any:
        """Return `raw_value` converted to `shape`, or record the problem."""
        core_type = shape.core_type
        if core_type in _UNCHECKED_TYPES or (raw_value is None and shape.is_optional):
            return raw_value
        if isinstance(raw_value, Secret) and core_type is not Secret:
            return self._fit_reference(shape, raw_value, key_path)
        if is_table_model(core_type) and isinstance(raw_value, Mapping):
            return self.fit_table(core_type, raw_value, key_path)
        if isinstance(raw_value, list) and _has_equal_members(shape):
            return self._fit_list(core_type, raw_value, key_path)
        if isinstance(raw_value, Mapping) and _has_named_members(shape):
            inner_shape = shape_of(get_args(core_type)[1])
            return {
                name: self._fit_value(inner_shape, raw_value[name], (*key_path, name))
                for name in raw_value
            }
        return self._fit_single(shape, raw_value, key_path, default)

    def _fit_single(
        self, shape: ValueShape, raw_value: Any, key_path: KeyPath, default: object
    ) -> Any:
        try:
            return self._read_whole(shape, raw_value, key_path, default)
        except InvalidValueError as error:
            self._diagnostics.add_problem(key_path, error.message, error.fix)
            return None

    def _fit_list(self, core_type: Any, raw_value: list[Any], key_path: KeyPath) -> Any:
        inner_shape = shape_of(get_args(core_type)[0])
        problems_before = len(self._diagnostics.problems)
        fitted_values = [
            self._fit_value(inner_shape, member, (*key_path, index))
            for index, member in enumerate(raw_value)
        ]
        if len(self._diagnostics.problems) > problems_before:
            return None
        return _LIST_TYPES[get_origin(core_type)](fitted_values)

    def _fit_reference(self, shape: ValueShape, raw_value: Secret, key_path: KeyPath) -> Any:
        """Return the text of a reference as `shape` wants it, a number in it being a number."""
        try:
            return self._read_whole(shape, raw_value.reveal(), key_path, strict=False)
        except SecretMissingError:
            fix = "put it there, or write the value itself"
            self._diagnostics.add_problem(key_path, f"{raw_value.source} is not there", fix)
        except InvalidValueError:
            message = f"{expected_text(shape)}, and {raw_value.source} holds something else"
            self._diagnostics.add_problem(key_path, message, "correct the text there")
        return None

    def _read_whole(
        self,
        shape: ValueShape,
        raw_value: Any,
        key_path: KeyPath,
        default: object = None,
        *,
        strict: bool = True,
    ) -> Any:
        """Convert a value as a whole: its parts have no keys to report problems at."""
        context = ReadingContext(
            key_path, self._base_folder, self._diagnostics, self._references_required
        )
        if shape.value_kind is not None:
            return shape.value_kind.read(raw_value, context)

        def convert_inner(inner_type: type, fitted_value: Any) -> Any:
            """Convert a type unknown to msgspec, inside a value that msgspec reads as a whole."""
            value_kind = KINDS_BY_TYPE.get(inner_type)
            if value_kind is None:
                raise ValueError(f"no {inner_type.__name__} can be made of {kind_of(fitted_value)}")
            return value_kind.read(fitted_value, context)

        try:
            plain_value = reveal_secrets(raw_value)
            return msgspec.convert(
                plain_value, shape.annotated_type, strict=strict, dec_hook=convert_inner
            )
        except SecretMissingError:
            message = "a text that it refers to is not there"
            fix = "put it there, or write the value itself"
        except msgspec.ValidationError:
            message, fix = _mismatch_of(shape, raw_value, key_path, default)
        raise InvalidValueError(message, fix)


def _mismatch_of(
    shape: ValueShape, raw_value: Any, key_path: KeyPath, default: object
) -> tuple[str, str]:
    """Return the problem with a value of the wrong type, and the fix."""
    allowed_values = allowed_choices(shape.core_type)
    if not allowed_values:
        fix = f"write {assignment(key_path, corrected_value(shape, raw_value, default))}"
        return f"{expected_text(shape)}, got {describe(raw_value)}", fix
    names = joined_names(toml_literal(choice) for choice in allowed_values)
    likely_choice = (
        nearest_name(raw_value, map(str, allowed_values)) if isinstance(raw_value, str) else None
    )
    fix = f"did you mean {toml_literal(likely_choice)}?" if likely_choice else f"one of {names}"
    return f"expected one of {names}, got {describe(raw_value)}", fix


def reveal_secrets(raw_value: Any) -> Any:
    """Return `raw_value` with the text in place of every Secret, however deep.

    Raises:
        SecretMissingError: One of them was not found.
    """
    if isinstance(raw_value, Secret):
        return raw_value.reveal()
    if isinstance(raw_value, Mapping):
        return {name: reveal_secrets(fitted_value) for name, fitted_value in raw_value.items()}
    if isinstance(raw_value, list):
        return [reveal_secrets(fitted_value) for fitted_value in raw_value]
    return raw_value


def _is_table_value(fitted_value: object) -> bool:
    """Return whether `fitted_value` is written as `[table]` or `[[table]]`."""
    return isinstance(fitted_value, Mapping) or (
        isinstance(fitted_value, list)
        and bool(fitted_value)
        and isinstance(fitted_value[0], Mapping)
    )


def _has_equal_members(shape: ValueShape) -> bool:
    """Return whether a type is a list, a set or a tuple of any length, of one type.

    One with limits is left to msgspec as a whole, one with a kind of its own to that.
    """
    origin, inner_shape = get_origin(shape.core_type), get_args(shape.core_type)
    if shape.value_kind is not None:
        return False
    if origin is tuple and (len(inner_shape) != 2 or inner_shape[1] is not ...):
        return False
    return origin in _LIST_TYPES and bool(inner_shape) and not shape.limits


def _has_named_members(shape: ValueShape) -> bool:
    """Return whether a type is a mapping from text that is not read as a whole."""
    if shape.value_kind is not None or shape.limits or get_origin(shape.core_type) is not dict:
        return False
    return get_args(shape.core_type)[0] is str


def _static_default(default: Any) -> Any:
    return None if default is msgspec.NODEFAULT or default is dataclasses.MISSING else default


def _is_required(field: dataclasses.Field[Any]) -> bool:
    missing_marker = dataclasses.MISSING
    return field.default is missing_marker and field.default_factory is missing_marker
