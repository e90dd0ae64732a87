"""Values that a state takes: failures, steps of a lane, changes of the feed; made or generated."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from sgevents_core.state.batches import BatchChange, BatchedEvent, LaterCall
from sgevents_core.state.deferred import DeferredCall, IgnoredCall
from sgevents_core.state.failures import Failure
from sgevents_core.state.feed_values import FeedChange, FeedState, MissingRange, ParkedRange
from sgevents_core.state.keys import CallKey
from sgevents_core.state.plugin_record import PluginRecord
from sgevents_core.state.progress import Progress
from sgevents_core.state.steps import REMOVED, Step


def failure(plugin: str = "notify", seq: int = 1, attempt: int = 1, **more: Any) -> Failure:
    """A failed attempt."""
    fields: dict[str, Any] = {"error": "ValueError: no", "traceback": "Traceback: no", "at": 5.5}
    fields |= {"outcome": "retry", "event_id": seq + 100, **more}
    return Failure(plugin, "notify:on_new", seq, attempt=attempt, **fields)


NUMBERS = st.integers(0, 2**40)
STATES = st.builds(
    FeedState,
    era=st.integers(1, 9),
    floor=NUMBERS,
    frontier=NUMBERS,
    anchor_id=st.none() | NUMBERS,
    anchor_at=NUMBERS,
    observed=st.floats(0, 1e9),
    marks=st.lists(st.tuples(NUMBERS, NUMBERS), max_size=3),
    recent=st.lists(st.tuples(NUMBERS, NUMBERS), max_size=3),
    audits=st.dictionaries(st.sampled_from(["1 min", "15 min", "2 h"]), st.floats(0, 1e9)),
    proved_id=NUMBERS,
    proved_at=NUMBERS,
    answered=st.floats(0, 1e10),
    rewound=st.sampled_from(["", "the highest id is below the frontier"]),
    parkings=st.integers(0, 9),
)
FIRSTS = st.integers(1, 12)
MISSING = st.builds(
    MissingRange,
    FIRSTS,
    NUMBERS,
    NUMBERS,
    st.floats(0, 1e9),
    st.booleans(),
)
CHANGES = st.builds(
    FeedChange,
    STATES,
    put=st.lists(MISSING, max_size=4),
    cut=st.lists(FIRSTS, max_size=4),
    put_gone=st.lists(st.tuples(FIRSTS, NUMBERS), max_size=3),
    cut_gone=st.lists(FIRSTS, max_size=3),
    closed=st.lists(st.tuples(FIRSTS, NUMBERS), max_size=2),
    put_parked=st.lists(
        st.builds(ParkedRange, FIRSTS, NUMBERS, st.integers(1, 9), NUMBERS), max_size=3
    ),
    cut_parked=st.lists(FIRSTS, max_size=3),
    dropped=st.lists(st.tuples(FIRSTS, NUMBERS), max_size=2),
    set_aside=st.just(()),
    no_more_aside=st.just(()),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False,
    allow_infinity=False) | st.text(st.characters(codec="utf-8"), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab"), inner, max_size=2),
    max_leaves=5,
)  # fmt: skip
KEYS = st.sampled_from(["a", "b", "c\0d", "ß", ""])
PLUGINS = ["notify", "count"]
CALL_KEYS = st.builds(CallKey, st.text("xy"), st.text("xy\0"))
PROGRESS = st.builds(Progress, st.integers(0, 99), st.frozensets(CALL_KEYS, max_size=3))
SETTLED = st.tuples(st.sampled_from(PLUGINS), st.just("notify:on_new"), st.integers(1, 3))
DEFERRED_CALLS = st.builds(
    DeferredCall,
    st.sampled_from(PLUGINS),
    st.sampled_from(["notify:on_new", "notify:on_change"]),
    st.integers(1, 2),
    st.integers(101, 103),
    st.integers(0, 5),
    st.sampled_from([0.0, 5.5, 7.0]),
    st.just(2.5),
    attempts=st.integers(0, 2),
    begun=st.integers(0, 2),
    reason=st.text("ab", max_size=2),
)
IGNORED_CALLS = st.builds(
    IgnoredCall,
    st.sampled_from(PLUGINS),
    st.just("notify:on_new"),
    st.integers(1, 5),
    st.sampled_from(["", "no route"]),
    others=st.lists(st.integers(1, 5), max_size=2).map(tuple),
)
BATCHED = st.builds(
    BatchedEvent,
    st.sampled_from(PLUGINS),
    st.just("notify:on_new"),
    st.integers(1, 3),
    st.sampled_from(["Shot:1", "ß"]),
    st.integers(1, 9),
    st.integers(1, 2),
    st.integers(100, 105),
    st.sampled_from([b"{}", b'{"id": 100}']),
    st.integers(0, 99),
    st.floats(0, 1e10),
    st.floats(0, 1e10),
    is_closed=st.just(False),
    letter=st.just(0),
    whole=st.just(True),
    put_off_at=st.sampled_from([0.0, 5.5]),
    reason=st.text("ab", max_size=2),
    request=st.integers(0, 2),
)
BATCH_CHANGES = st.builds(
    BatchChange,
    st.sampled_from(PLUGINS),
    st.just("notify:on_new"),
    st.integers(1, 3),
    st.sampled_from(["close", "end", "bury"]),
    request=st.integers(0, 2),
    later_call=st.none(),
) | st.builds(
    BatchChange,
    st.sampled_from(PLUGINS),
    st.just("notify:on_new"),
    st.integers(1, 3),
    st.just("call later"),
    request=st.integers(0, 2),
    later_call=st.builds(
        LaterCall, st.floats(0, 1e10), st.sampled_from([0.0, 5.5]), st.text("ab", max_size=2)
    ),
)
STEPS = st.builds(
    Step,
    progress=st.none() | PROGRESS,
    plugins=st.lists(
        st.builds(
            PluginRecord,
            st.sampled_from(PLUGINS),
            st.just("main"),
            PROGRESS,
            st.booleans(),
            st.sampled_from(["active", "held", "paused", "not started"]),
            st.text("ab☃"),
            st.floats(0, 1e10),
            st.integers(0, 20),
        ).filter(lambda record: record.state != "active" or not record.reason),
        max_size=2,
    ),
    failure=st.none()
    | st.builds(failure, st.sampled_from(PLUGINS), st.integers(1, 3), st.integers(1, 5)),
    dead=st.booleans(),
    settled=st.none() | SETTLED,
    store=st.dictionaries(
        st.sampled_from(PLUGINS),
        st.dictionaries(KEYS, JSON | st.just(REMOVED), max_size=3),
        max_size=2,
    ),
    durable=st.booleans(),
    collected=st.none() | BATCHED,
    batch=st.none() | BATCH_CHANGES,
)
