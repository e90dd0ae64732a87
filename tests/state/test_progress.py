"""How far somebody is, as a value: it agrees with a set of calls, in any order of notes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sgevents_core.state.keys import CallKey
from sgevents_core.state.progress import Progress

KEYS = [CallKey(plugin, callback) for plugin in "pq" for callback in ("one", "two")]
SEQS = range(1, 8)
KEY = st.sampled_from(KEYS)
SEQ = st.sampled_from(SEQS)
PROGRESS = st.builds(Progress, st.integers(0, 5), st.frozensets(KEY))


def calls_of(progress: Progress) -> set[tuple[int, CallKey]]:
    """All calls that a progress says are done."""
    return {(seq, key) for seq in SEQS for key in KEYS if progress.is_done(seq, key)}


@given(PROGRESS, PROGRESS, PROGRESS)
def test_what_two_say_together_loses_nothing_of_either(
    one: Progress, two: Progress, three: Progress
) -> None:
    """Ledger and register may be asked in any order, and twice."""
    assert calls_of(one.joined(two)) == calls_of(one) | calls_of(two)
    assert one.joined(two) == two.joined(one)
    assert one.joined(one) == one
    assert one.joined(two).joined(three) == one.joined(two.joined(three))


@given(SEQ, st.frozensets(KEY), KEY)
def test_at_an_event_what_is_done_is_done_and_the_rest_is_next(
    seq: int, done: frozenset[CallKey], key: CallKey
) -> None:
    """Whoever is at an event has finished those before it, and is to make the calls left."""
    progress = Progress.at(seq, done)
    assert (progress.running, progress.finished) == (seq, seq - 1)
    assert progress.is_done(seq, key) is (key in done)
    assert progress.is_next(seq, key) is (key not in done)
    assert progress.is_done(progress.finished, key)
    assert not progress.is_done(seq + 1, key)
    assert calls_of(progress.with_done(key)) == calls_of(progress) | {(seq, key)}


@given(PROGRESS, SEQ)
def test_events_ahead_are_counted_alike(progress: Progress, seq: int) -> None:
    """Behind an event by those before it and itself, or not at all."""
    unfinished = [one for one in SEQS if progress.finished < one <= seq]
    assert progress.behind(seq) == len(unfinished)
    assert progress.before(seq) == max(len(unfinished) - 1, 0)


@given(PROGRESS)
def test_plugins_share_what_is_done(progress: Progress) -> None:
    """What is said of each plugin is together what is said."""
    assert progress.of("p").joined(progress.of("q")) == progress
    assert all(key.plugin == "p" for key in progress.of("p").done)
