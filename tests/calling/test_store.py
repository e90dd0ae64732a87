"""A plugin's store on its own: a mapping of JSON values with changes that can be taken back."""

from __future__ import annotations

import copy
import math
import threading
from datetime import datetime, timezone
from decimal import Decimal
from enum import IntEnum
from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from waiting import PATIENCE, wait_until

from sgevents_core.calling.store import CallStore, PluginStore
from sgevents_core.errors import CallIsOverError, StoreValueError

KEYS = st.sampled_from(["a", "b", "", "ß☃", "c\0d"])
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=2),
    max_leaves=6,
)


def granted(owner: PluginStore) -> CallStore:
    """Return the store of a new call of the owner's plugin, granted."""
    store = CallStore(owner, "notify", "notify:run", 1)
    store.wait_for_grant()
    return store


class LikeADict(RuleBasedStateMachine):
    """Whatever is done to a store, it says what a plain dictionary says."""

    def __init__(self) -> None:
        super().__init__()
        self.owner = PluginStore("plugin", {})
        self.store = granted(self.owner)
        self.model: dict[str, Any] = {}
        self.kept: dict[str, Any] = {}
        self.ledger: dict[str, Any] = {}

    @rule(key=KEYS, value=VALUES)
    def assign(self, key: str, value: Any) -> None:
        """A value assigned is a copy of it."""
        self.store[key] = value
        self.model[key] = copy.deepcopy(value)
        if isinstance(value, list):
            value.append("changed afterwards")

    @rule(key=KEYS)
    def delete(self, key: str) -> None:
        """A key that is not there cannot be deleted."""
        if key in self.model:
            del self.store[key]
            del self.model[key]
        else:
            with pytest.raises(KeyError):
                del self.store[key]

    @rule(key=KEYS, value=VALUES)
    def set_default(self, key: str, value: Any) -> None:
        """What mutable mappings have beside is there too."""
        assert self.store.setdefault(key, value) == self.model.setdefault(key, value)

    @rule()
    def clear(self) -> None:
        """All keys can go at once."""
        self.store.clear()
        self.model.clear()

    @rule(key=KEYS)
    def change_what_was_read(self, key: str) -> None:
        """A value read is a copy: changing it changes nothing."""
        value = self.store.get(key)
        if isinstance(value, list | dict):
            value.clear()

    @rule()
    def commit(self) -> None:
        """Committed, the changes are what makes of the ledger's values the store's."""
        for key, value in self.store.changes().items():
            if value is None:
                self.ledger.pop(key, None)
            else:
                self.ledger[key] = msgspec.json.decode(value)
        self.owner.commit(self.store.changes())
        self.store.release()
        self.store = granted(self.owner)
        self.kept = copy.deepcopy(self.model)
        assert self.ledger == self.model
        assert self.store.changes() == {}

    @rule()
    def start_anew(self) -> None:
        """Another process finds what was committed."""
        self.owner = PluginStore("plugin", self.ledger)
        self.store = granted(self.owner)
        self.model = copy.deepcopy(self.kept)

    @invariant()
    def is_like_the_model(self) -> None:
        """Keys, values, length and membership."""
        assert dict(self.store) == self.model
        assert len(self.store) == len(self.model)
        assert sorted(self.store) == sorted(self.model)
        assert all(key in self.store for key in self.model)
        assert "nowhere" not in self.store
        assert self.owner.read_only_view() == self.kept


TestLikeADict = LikeADict.TestCase
TestLikeADict.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)


class Level(IntEnum):
    """A number that is more than one."""

    LOW = 1


CYCLE: list[Any] = []
CYCLE.append(CYCLE)


@pytest.mark.parametrize(
    "value",
    [
        {1, 2}, (1, 2), {"nested": (1, 2)}, b"bytes", datetime.now(timezone.utc), Decimal("1.5"),
        {"at": datetime.now(timezone.utc)}, object(), math.nan, [math.inf], {1: "one"}, Level.LOW,
        CYCLE, "\ud800", {"deep": ["\udfff"]}, granted(PluginStore("other", {})),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_value_that_would_not_come_back_the_same_is_refused(value: Any) -> None:
    """What JSON does not know, at any depth, is an error that names plugin and key."""
    store = granted(PluginStore("notify", {"kept": 1}))
    with pytest.raises(StoreValueError, match="Plugin notify cannot keep 'seen' in"):
        store["seen"] = value
    assert dict(store) == {"kept": 1}
    assert store.changes() == {}


@pytest.mark.parametrize("key", [1, None, ("a",), b"a", "\ud800"])
def test_key_that_is_no_text_is_refused(key: Any) -> None:
    """Keys are text that a database can hold."""
    store = granted(PluginStore("notify", {}))
    with pytest.raises(StoreValueError):
        store[key] = 1
    assert key not in store
    with pytest.raises(KeyError):
        store[key]


def test_order_within_a_value_is_kept() -> None:
    """A mapping comes back with its keys in their order."""
    store = granted(PluginStore("notify", {}))
    store["seen"] = {"b": 1, "a": 2}
    assert list(store["seen"]) == ["b", "a"]


def test_seen_store_is_only_read() -> None:
    """A view for other threads has the committed values and refuses changes."""
    owner = PluginStore("notify", {"a": 1})
    store = granted(owner)
    store["b"] = 2
    seen = owner.read_only_view()
    assert dict(seen) == {"a": 1}
    with pytest.raises(StoreValueError, match="can only read it"):
        seen["b"] = 3
    with pytest.raises(StoreValueError, match="can only read it"):
        del seen["a"]
    owner.commit(store.changes())
    assert dict(seen) == {"a": 1}
    assert dict(owner.read_only_view()) == {"a": 1, "b": 2}


def test_one_call_at_a_time_has_the_store() -> None:
    """The second waits until the first was judged, and then reads what that committed."""
    owner = PluginStore("notify", {"n": 1})
    first = granted(owner)
    first["n"] = 2
    read: list[int] = []
    second = CallStore(owner, "notify", "notify:run", 2)

    def use() -> None:
        second.wait_for_grant()
        read.append(second["n"])

    thread = threading.Thread(target=use)
    thread.start()
    wait_until(lambda: second.seconds_waited() > 0)
    first.end()
    assert read == []
    owner.commit(first.changes())
    first.release()
    thread.join(PATIENCE)
    assert read == [2]
    waited = second.seconds_waited()
    assert waited > 0
    assert second.seconds_waited() == waited


def test_call_that_ends_while_it_waits_is_granted_nothing() -> None:
    """Its changes are refused, and the store stays with the call that has it."""
    owner = PluginStore("notify", {"n": 1})
    first, second = granted(owner), CallStore(owner, "notify", "notify:run", 2)
    thread = threading.Thread(target=second.wait_for_grant)
    thread.start()
    wait_until(lambda: second.seconds_waited() > 0)
    second.end()
    thread.join(PATIENCE)
    with pytest.raises(CallIsOverError):
        second["n"] = 2
    second.release()
    first["n"] = 3
    third = CallStore(owner, "notify", "notify:run", 3)
    thread = threading.Thread(target=third.wait_for_grant)
    thread.start()
    wait_until(lambda: third.seconds_waited() > 0)
    first.release()
    thread.join(PATIENCE)
    assert third.is_granted
    assert third["n"] == 1
