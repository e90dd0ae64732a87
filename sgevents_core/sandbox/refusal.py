"""What the sandbox site answers when it refuses a call: a message and the API's error code."""

from __future__ import annotations

import json
from typing import Any, Final

AUTHENTICATION: Final = 102
INVALID_CALL: Final = 103
CRUD: Final = 104


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

    def answer(self) -> dict[str, Any]:
        """Return the JSON object that a site sends for it."""
        return {"exception": True, "error_code": self.code, "message": self.message}


def shown(value: object) -> str:
    """Return `value` as messages show it: sites write values in Ruby's form."""
    if isinstance(value, dict):
        pairs = ", ".join(f"{shown(key)} => {shown(some)}" for key, some in value.items())
        return f"{{{pairs}}}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(shown, value))}]"
    return "nil" if value is None else json.dumps(value, default=str, ensure_ascii=False)


def class_of(value: object) -> str:
    """Return the name of the class that a JSON value has on a site."""
    if isinstance(value, bool):
        return "TrueClass" if value else "FalseClass"
    names = {int: "Integer", float: "Float", str: "String", dict: "Hash", list: "Array"}
    return names.get(type(value), "NilClass")


def listed(method: str, params: dict[str, Any], name: str, kind: type[Any]) -> tuple[Any, ...]:
    """Return the elements of an array of a call; the array may be missing.

    Raises:
        RefusedCallError: It is not an array, or an element is not of `kind`.
    """
    values = params.get(name) or ()
    if not isinstance(values, list | tuple) or not all(isinstance(one, kind) for one in values):
        raise RefusedCallError(f"API {method}() invalid/missing array '{name}': {shown(values)}")
    return tuple(values)
