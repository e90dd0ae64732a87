"""Removing people from recorded rows: names and addresses become consistent made-up ones."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

PEOPLE: Final = {"HumanUser": "Person", "ClientUser": "Client"}
"""Type of a person -> the made-up name, before the id."""
PERSONAL: Final = frozenset({"login", "email", "firstname", "lastname", "ip", "ip_address"})
"""Keys whose values are about a person, wherever they appear."""

# Each pattern starts at the beginning of a word, so that a text is read once, however long it is.
_MAIL: Final = re.compile(r"(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_WORD: Final = re.compile(r"[^\s\"']+")
_ADDRESS: Final = re.compile(r"https?://", re.IGNORECASE)
_SIGNATURE: Final = re.compile(r"sign|token|key", re.IGNORECASE)


def unsigned(row: Any) -> Any:
    """Return a row without the signatures of links to files.

    The signature is the query of a URL if it grants access to whoever has it, as in a site's links
    to files.
    """
    return _changed(row, lambda text: _WORD.sub(_without_signature, text) if "?" in text else text)


def _without_signature(found: re.Match[str]) -> str:
    word = found[0]
    address = _ADDRESS.search(word)
    if address is None:
        return word
    place, _, query = word[address.start() :].partition("?")
    return word[: address.start()] + place if _SIGNATURE.search(query) else word


class Anonymiser:
    """Replacement of people in rows; the same person becomes the same made-up one in all of them.

    A person's id stays, and gives the name: `Person 7`. Names of people are replaced in all texts
    too, such as descriptions, and so is whatever looks like an e-mail address.

    Args:
        rows: All rows, from which the people are collected.
    """

    def __init__(self, rows: Iterable[Any]) -> None:
        self._mails: dict[str, str] = {}
        names = {name: instead for row in rows for name, instead in _people(row)}
        in_order = sorted(names, key=len, reverse=True)  # "Ada Park" before "Ada"
        self._names = {name: names[name] for name in in_order}
        self._pattern = re.compile(
            "|".join(rf"(?<!\w){re.escape(name)}(?!\w)" for name in in_order) or r"(?!)"
        )

    def __call__(self, row: Any) -> Any:
        """Return a row without people."""
        return _changed(row, self._without_people, self._personal)

    def _without_people(self, text: str) -> str:
        named = self._pattern.sub(lambda found: self._names[found[0]], text)
        return _MAIL.sub(lambda found: self._mail(found[0]), named)

    def _mail(self, address: str) -> str:
        made_up = f"person{len(self._mails) + 1}@studio.example"
        return self._mails.setdefault(address.lower(), made_up)

    def _personal(self, key: str, value: str) -> str | None:
        """Return the replacement for the value of a key about a person; None for other keys."""
        last = key.rpartition(".")[2]  # user.HumanUser.login
        if last not in PERSONAL:
            return None
        return self._mail(value) if last == "email" else "anonymous"


def _people(value: Any) -> Iterator[tuple[str, str]]:
    """Yield name and made-up name of all people in a row."""
    if isinstance(value, Mapping):
        kind, name = value.get("type"), value.get("name")
        if kind in PEOPLE and isinstance(name, str) and name.strip():
            yield name, f"{PEOPLE[kind]} {value.get('id')}"
        for inner in value.values():
            yield from _people(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _people(inner)


def _changed(
    value: Any,
    change: Callable[[str], str],
    keyed: Callable[[str, str], str | None] = lambda _key, _value: None,
) -> Any:
    """Return a JSON value with all its texts changed.

    Args:
        value: The value.
        change: Changes a text.
        keyed: Changes the text of a key differently; None leaves it to `change`.
    """
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [_changed(inner, change, keyed) for inner in value]
    if not isinstance(value, Mapping):
        return value
    changed: dict[str, Any] = {}
    for key, inner in value.items():
        special = keyed(key, inner) if isinstance(inner, str) and inner else None
        changed[key] = _changed(inner, change, keyed) if special is None else special
    return changed
