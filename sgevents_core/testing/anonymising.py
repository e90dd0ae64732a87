"""Anonymise recorded rows: names and addresses become consistent made-up ones."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

PERSON_TYPES: Final = {"HumanUser": "Person", "ClientUser": "Client"}
"""Type of a person -> the made-up name, before the id."""
PERSONAL_KEYS: Final = frozenset({"login", "email", "firstname", "lastname", "ip", "ip_address"})
"""Keys whose values are about a person, wherever they appear."""

# Each pattern starts at the beginning of a word, so that each text is read only once.
_EMAIL_PATTERN: Final = re.compile(r"(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_WORD_PATTERN: Final = re.compile(r"[^\s\"']+")
_URL_PATTERN: Final = re.compile(r"https?://", re.IGNORECASE)
_SIGNATURE_PATTERN: Final = re.compile(r"sign|token|key", re.IGNORECASE)


def without_signatures(row: Any) -> Any:
    """Return a row without the signatures of links to files.

    The signature is the query of a URL if it grants access to whoever has it, as in a site's links
    to files.
    """

    def without_signature(text: str) -> str:
        return _WORD_PATTERN.sub(_without_signature, text) if "?" in text else text

    return _replace_texts(row, without_signature)


def _without_signature(match: re.Match[str]) -> str:
    word = match[0]
    url_match = _URL_PATTERN.search(word)
    if url_match is None:
        return word
    url_start, _, query = word[url_match.start() :].partition("?")
    return word[: url_match.start()] + url_start if _SIGNATURE_PATTERN.search(query) else word


class Anonymiser:
    """Replaces people in rows; the same person becomes the same made-up one in all of them.

    A person keeps the id, which gives the made-up name: `Person 7`. Names of people are replaced in
    all texts too, such as descriptions, and so is whatever looks like an e-mail address.

    Args:
        rows: All rows, from which the people are collected.
    """

    def __init__(self, rows: Iterable[Any]) -> None:
        self._emails_by_original: dict[str, str] = {}
        made_up_names = {
            name: made_up_name for row in rows for name, made_up_name in _names_in(row)
        }
        longest_first = sorted(made_up_names, key=len, reverse=True)  # "Ada Park" before "Ada"
        self._made_up_names = {name: made_up_names[name] for name in longest_first}
        self._names_pattern = re.compile(
            "|".join(rf"(?<!\w){re.escape(name)}(?!\w)" for name in longest_first) or r"(?!)"
        )

    def __call__(self, row: Any) -> Any:
        """Return a row without people."""
        return _replace_texts(row, self._without_people, self._replace_personal_value)

    def _without_people(self, text: str) -> str:
        renamed = self._names_pattern.sub(lambda match: self._made_up_names[match[0]], text)
        return _EMAIL_PATTERN.sub(lambda match: self._made_up_email(match[0]), renamed)

    def _made_up_email(self, email: str) -> str:
        made_up_email = f"person{len(self._emails_by_original) + 1}@studio.example"
        return self._emails_by_original.setdefault(email.lower(), made_up_email)

    def _replace_personal_value(self, key: str, value: str) -> str | None:
        """Return the replacement for the value of a key about a person; None for other keys."""
        last_key = key.rpartition(".")[2]  # user.HumanUser.login
        if last_key not in PERSONAL_KEYS:
            return None
        return self._made_up_email(value) if last_key == "email" else "anonymous"


def _names_in(value: Any) -> Iterator[tuple[str, str]]:
    """Yield name and made-up name of all people in a row."""
    if isinstance(value, Mapping):
        entity_type, name = value.get("type"), value.get("name")
        if entity_type in PERSON_TYPES and isinstance(name, str) and name.strip():
            yield name, f"{PERSON_TYPES[entity_type]} {value.get('id')}"
        for nested in value.values():
            yield from _names_in(nested)
    elif isinstance(value, list):
        for nested in value:
            yield from _names_in(nested)


def _replace_texts(
    value: Any,
    replace_text: Callable[[str], str],
    replace_keyed_text: Callable[[str, str], str | None] = lambda _key, _value: None,
) -> Any:
    """Return a JSON value with all its texts changed.

    Args:
        value: The value.
        replace_text: Changes a text.
        replace_keyed_text: Changes the text of a key differently; None leaves it to `replace_text`.
    """
    if isinstance(value, str):
        return replace_text(value)
    if isinstance(value, list):
        return [_replace_texts(nested, replace_text, replace_keyed_text) for nested in value]
    if not isinstance(value, Mapping):
        return value
    replaced: dict[str, Any] = {}
    for key, nested in value.items():
        replacement = None
        if isinstance(nested, str) and nested:
            replacement = replace_keyed_text(key, nested)
        if replacement is None:
            replacement = _replace_texts(nested, replace_text, replace_keyed_text)
        replaced[key] = replacement
    return replaced
