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


def keys_in(module_tree: ast.Module) -> frozenset[str]:
    """Return the strings in a source that are keys or passwords."""
    return frozenset(
        source_text
        for source_text, _, _ in _written_keys(module_tree)
        if len(source_text) >= _SHORTEST_KEY
    )


def _written_keys(module_tree: ast.Module) -> Iterator[tuple[str, int, str]]:
    """Yield each key in a source, its line, and the name or call that receives it."""
    plugin_entrance = entrance_of(module_tree)
    for registration in plugin_entrance.registrations if plugin_entrance else ():
        secret_key = registration.script_key
        if isinstance(secret_key, str) and secret_key:
            yield secret_key, registration.line, "registerCallback"
    for syntax_node in ast.walk(module_tree):
        if isinstance(syntax_node, ast.Call):
            written_values = WrittenValues(module_tree)
            yield from _keys_given(syntax_node, written_values)
        elif isinstance(syntax_node, ast.Assign) and isinstance(syntax_node.value, ast.Constant):
            key_names = " ".join(
                ast.unparse(assigned_target) for assigned_target in syntax_node.targets
            )
            if isinstance(syntax_node.value.value, str) and _NAMES_A_KEY.search(key_names):
                yield syntax_node.value.value, syntax_node.lineno, key_names
        elif isinstance(syntax_node, ast.Dict):
            yield from _keys_in_dict(syntax_node)


def _keys_in_dict(syntax_node: ast.Dict) -> Iterator[tuple[str, int, str]]:
    for variable_name, dict_value in zip(syntax_node.keys, syntax_node.values, strict=True):
        if isinstance(variable_name, ast.Constant) and isinstance(dict_value, ast.Constant):
            given_to, secret_key = variable_name.value, dict_value.value
            if (
                isinstance(given_to, str)
                and isinstance(secret_key, str)
                and _NAMES_A_KEY.search(given_to)
            ):
                yield secret_key, dict_value.lineno, given_to


def _keys_given(
    syntax_node: ast.Call, written_values: WrittenValues
) -> Iterator[tuple[str, int, str]]:
    is_client = ast.unparse(syntax_node.func).rpartition(".")[2] == "Shotgun"
    if is_client and len(syntax_node.args) > 2:
        secret_key = written_values.value_of(syntax_node.args[2])
        if isinstance(secret_key, str):
            yield secret_key, syntax_node.lineno, "Shotgun"
    for call_keyword in syntax_node.keywords:
        if call_keyword.arg and _NAMES_A_KEY.search(call_keyword.arg):
            secret_key = written_values.value_of(call_keyword.value)
            if isinstance(secret_key, str) and secret_key:
                yield secret_key, syntax_node.lineno, call_keyword.arg


def is_placeholder(secret_key: str) -> bool:
    """Return whether a string in the place of a key is only a placeholder."""
    return bool(_PLACEHOLDER.fullmatch(secret_key))


def remarks_on_keys(module_tree: ast.Module, plugin_entrance: Entrance | None) -> Iterator[Remark]:
    """Yield a remark for each key in a source, and for each place that waits for one."""
    line_numbers = (
        {registration.line for registration in plugin_entrance.registrations}
        if plugin_entrance
        else set()
    )
    reported_keys: set[str] = set()
    for secret_key, line_number, given_to in _written_keys(module_tree):
        if len(secret_key) < _SHORTEST_KEY and line_number not in line_numbers:
            continue
        if is_placeholder(secret_key):
            source_text = f"{given_to}: a placeholder stands where a key belongs"
        elif secret_key in reported_keys:
            continue
        else:
            source_text = f"{given_to}: {WRITTEN}"
        reported_keys.add(secret_key)
        yield Remark("key", line_number, source_text)


def without_secrets(source_text: str, secret_texts: Iterable[str]) -> str:
    """Return a text in which no secret is shown."""
    for secret_text in sorted(secret_texts, key=len, reverse=True):
        source_text = source_text.replace(secret_text, "***")
    return source_text


def remarks_on_unparsed(file_source: str) -> tuple[list[Remark], frozenset[str]]:
    """Return the remarks on keys in a source that cannot be parsed, and the keys."""
    key_remarks, secret_keys = [], set()
    for key_match in _REGISTERED_KEY.finditer(file_source):
        line_number = file_source.count("\n", 0, key_match.start()) + 1
        if not is_placeholder(key_match["key"]):
            key_remarks.append(Remark("key", line_number, f"registerCallback: {WRITTEN}"))
            secret_keys.add(key_match["key"])
    return key_remarks, frozenset(secret_keys)
