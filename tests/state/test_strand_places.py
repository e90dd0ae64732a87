"""The progress of a lane divided into strands: what is finished, however it was put together."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sgevents_core.state.keys import CallKey
from sgevents_core.state.progress import Progress
from sgevents_core.state.strand_places import StrandPlaces
from sgevents_core.state.strands import STRANDS

KEYS = st.sampled_from([CallKey("p", "one"), CallKey("p", "two"), CallKey("q", "one")])
PROGRESS = st.builds(Progress, st.integers(0, 9), st.frozensets(KEYS))
PLACES = st.builds(
    lambda some: StrandPlaces("entity", tuple(some[n % len(some)] for n in range(STRANDS))),
    st.lists(PROGRESS, min_size=1, max_size=5),
)
SEQS = range(12)


def finished(places: StrandPlaces) -> set[tuple[int, int]]:
    """All pairs of an event and its strand that are finished."""
    strands = range(STRANDS)
    return {(seq, n) for seq in SEQS for n in strands if places.is_finished(seq, n)}


@given(places=PLACES)
def test_lowest_and_highest_bound_what_is_open(places: StrandPlaces) -> None:
    """Up to the lowest place everything is finished, above the highest nothing has begun."""
    everything = {(seq, n) for seq in SEQS for n in range(STRANDS) if seq <= places.lowest}
    assert everything <= finished(places)
    for strand in range(STRANDS):
        assert not places.is_finished(places.lowest + 1, strand) or not places.is_level
        assert not places.is_finished(places.highest + 1, strand)
        assert not places.progress_at(places.highest + 1, strand).done


@given(progress=PROGRESS)
def test_a_lane_of_one_strand_can_be_divided(progress: Progress) -> None:
    """All strands are where the lane was; the callbacks of its event are done in any of them."""
    places = StrandPlaces.at("project", progress)
    assert places.lowest == progress.finished
    assert places.is_level is not bool(progress.done)
    assert all(places.progress_at(progress.running, n) == progress for n in range(STRANDS))


@given(one=PLACES, other=PLACES)
def test_joined_places_have_finished_what_either_has(
    one: StrandPlaces, other: StrandPlaces
) -> None:
    """Nothing that is finished is lost, and nothing is added; the order of joining says nothing."""
    joined = one.joined(other)
    assert finished(joined) == finished(one) | finished(other)
    assert joined == other.joined(one)
    assert joined.joined(one) == joined


@given(places=PLACES, strand=st.integers(0, STRANDS - 1), progress=PROGRESS)
def test_one_strand_moves_alone(places: StrandPlaces, strand: int, progress: Progress) -> None:
    """The others stay where they are."""
    moved = places.with_place(strand, progress)
    assert moved.places[strand] == progress
    rest = [n for n in range(STRANDS) if n != strand]
    assert [moved.places[n] for n in rest] == [places.places[n] for n in rest]


@given(places=PLACES)
def test_a_plugin_has_the_places_of_its_lane(places: StrandPlaces) -> None:
    """The callbacks of others are left out."""
    own = places.of("p")
    assert [place.finished for place in own.places] == [one.finished for one in places.places]
    assert {key.plugin for place in own.places for key in place.done} <= {"p"}


@given(places=PLACES)
def test_places_are_read_back_as_they_were_written(places: StrandPlaces) -> None:
    """Their text names only the strands that are not at the highest place."""
    assert StrandPlaces.decode(places.encode()) == places
    level = StrandPlaces.at("none", Progress(7))
    assert level.encode() == '["none",7,{}]'
