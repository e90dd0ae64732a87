"""Find keys and passwords written in a plugin's source; none of them is ever shown."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from typing import Final

from sgevents_core.migrating.registrations import Entrance, entrance_of
from sgevents_core.migrating.remarks import Remark
from sgevents_core.migrating.written_values import WrittenValues

_NAMES_A_KEY: Final = re.compile(r"(api_?key|script_?key|passw|secret|token)", re.IGNORECASE)
_PLACEHOLDER: Final = re.compile(r"\$.*\$|<.*>|\{.*\}|x+|your.*|", re.IGNORECASE)
_SHORTEST_KEY: Final = 6
WRITTEN: Final = (
    "a key is written into the source; take it from the environment, os.environ[...], and make the"
    " old one invalid"
)
_REGISTERED_KEY: Final = re.compile(
    r"""registerCallback\s*\(\s*u?["'][^"']*["']\s*,\s*u?["'](?P<key>[^"'\n]+)["']"""
)


def keys_in(module: ast.Module) -> frozenset[str]:
    """Return the strings in a source that are keys or passwords."""
    return frozenset(text for text, _, _ in _written_keys(module) if len(text) >= _SHORTEST_KEY)


def _written_keys(module: ast.Module) -> Iterator[tuple[str, int, str]]:
    """Yield each key in a source, its line, and the name or call that receives it."""
    entrance = entrance_of(module)
    for registration in entrance.registrations if entrance else ():
        key = registration.script_key
        if isinstance(key, str) and key:
            yield key, registration.line, "registerCallback"
    for node in ast.walk(module):
        if isinstance(node, ast.Call):
            values = WrittenValues(module)
            yield from _keys_given(node, values)
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            names = " ".join(ast.unparse(target) for target in node.targets)
            if isinstance(node.value.value, str) and _NAMES_A_KEY.search(names):
                yield node.value.value, node.lineno, names
        elif isinstance(node, ast.Dict):
            yield from _keys_in_dict(node)


def _keys_in_dict(node: ast.Dict) -> Iterator[tuple[str, int, str]]:
    for name, value in zip(node.keys, node.values, strict=True):
        if isinstance(name, ast.Constant) and isinstance(value, ast.Constant):
            given_to, key = name.value, value.value
            if isinstance(given_to, str) and isinstance(key, str) and _NAMES_A_KEY.search(given_to):
                yield key, value.lineno, given_to


def _keys_given(node: ast.Call, values: WrittenValues) -> Iterator[tuple[str, int, str]]:
    is_client = ast.unparse(node.func).rpartition(".")[2] == "Shotgun"
    if is_client and len(node.args) > 2:
        key = values.value_of(node.args[2])
        if isinstance(key, str):
            yield key, node.lineno, "Shotgun"
    for keyword in node.keywords:
        if keyword.arg and _NAMES_A_KEY.search(keyword.arg):
            key = values.value_of(keyword.value)
            if isinstance(key, str) and key:
                yield key, node.lineno, keyword.arg


def is_placeholder(key: str) -> bool:
    """Return whether a string in the place of a key is only a placeholder."""
    return bool(_PLACEHOLDER.fullmatch(key))


def remarks_on_keys(module: ast.Module, entrance: Entrance | None) -> Iterator[Remark]:
    """Yield a remark for each key in a source, and for each place that waits for one."""
    lines = {registration.line for registration in entrance.registrations} if entrance else set()
    reported_keys: set[str] = set()
    for key, line, given_to in _written_keys(module):
        if len(key) < _SHORTEST_KEY and line not in lines:
            continue
        if is_placeholder(key):
            text = f"{given_to}: a placeholder stands where a key belongs"
        elif key in reported_keys:
            continue
        else:
            text = f"{given_to}: {WRITTEN}"
        reported_keys.add(key)
        yield Remark("key", line, text)


def without_secrets(text: str, secrets: Iterable[str]) -> str:
    """Return a text in which no secret is shown."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def remarks_on_unparsed(source: str) -> tuple[list[Remark], frozenset[str]]:
    """Return the remarks on keys in a source that cannot be parsed, and the keys."""
    remarks, keys = [], set()
    for key_match in _REGISTERED_KEY.finditer(source):
        line = source.count("\n", 0, key_match.start()) + 1
        if not is_placeholder(key_match["key"]):
            remarks.append(Remark("key", line, f"registerCallback: {WRITTEN}"))
            keys.add(key_match["key"])
    return remarks, frozenset(keys)
