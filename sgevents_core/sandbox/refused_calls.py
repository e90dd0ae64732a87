"""The sandbox site's answer to a refused call: a message and the API's error code."""

from __future__ import annotations

import json
from typing import Any, Final

AUTHENTICATION_ERROR: Final = 102
INVALID_CALL: Final = 103
CRUD_ERROR: Final = 104


class RefusedCallError(Exception):
    """A call that the site refuses; the client raises it as `shotgun_api3.Fault`.

    Args:
        message: The message for the caller.
        code: The API's error code; 102 becomes an `AuthenticationFault` in the client.
    """

    def __init__(self, message: str, code: int = INVALID_CALL) -> None:
        super().__init__(message)
        self.message = message
        self.code = code

    def as_answer(self) -> dict[str, Any]:
        """Return the JSON object that a site sends for it."""
        return {"exception": True, "error_code": self.code, "message": self.message}


def refused_call(method: str, reason: str, code: int = INVALID_CALL) -> RefusedCallError:
    """Return the refusal of a call of an API method, whose name begins the message."""
    return RefusedCallError(f"API {method}() {reason}", code)


def refused_value(method: str, reason: str, value: object) -> RefusedCallError:
    """Return the refusal of a call because of a value, which ends the message."""
    return refused_call(method, f"{reason}: {ruby_text(value)}")


def unknown_script(script_name: object) -> RefusedCallError:
    """Return the refusal of a script that does not exist, or has another key."""
    return RefusedCallError(f"Can't authenticate script '{script_name}'", AUTHENTICATION_ERROR)


def failed_write(method: str, subject: str, reason: str) -> RefusedCallError:
    """Return the refusal of a create or update whose values are valid one by one.

    Args:
        method: "create" or "update".
        subject: The entity type, or the field as `Shot.code`.
        reason: Why the site does not write it.
    """
    failure = f"CRUD ERROR #5: {method.title()} failed for [{subject}]: {reason}"
    return refused_call(method, failure, CRUD_ERROR)


def ruby_text(value: object) -> str:
    """Return `value` in Ruby\'s form, in which sites write values in messages."""
    if isinstance(value, dict):
        pairs = ", ".join(f"{ruby_text(key)} => {ruby_text(item)}" for key, item in value.items())
        return f"{{{pairs}}}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(ruby_text, value))}]"
    return "nil" if value is None else json.dumps(value, default=str, ensure_ascii=False)


def ruby_class(value: object) -> str:
    """Return the name of the class that a JSON value has on a site."""
    if isinstance(value, bool):
        return "TrueClass" if value else "FalseClass"
    class_names = {int: "Integer", float: "Float", str: "String", dict: "Hash", list: "Array"}
    return class_names.get(type(value), "NilClass")


def array_parameter(
    method: str, parameters: dict[str, Any], name: str, element_class: type[Any]
) -> tuple[Any, ...]:
    """Return the elements of an array of a call; the array may be missing.

    Raises:
        RefusedCallError: It is not an array, or an element is not of `element_class`.
    """
    elements = parameters.get(name) or ()
    is_array = isinstance(elements, list | tuple)
    if not is_array or not all(isinstance(element, element_class) for element in elements):
        raise refused_call(method, f"invalid/missing array '{name}': {ruby_text(elements)}")
    return tuple(elements)
