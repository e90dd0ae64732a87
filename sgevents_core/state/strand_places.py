"""The progress of a lane whose events are divided into strands, as a value. Pure."""

from __future__ import annotations

from typing import Final, NamedTuple, TypeAlias

import msgspec

from sgevents_core.choices import OrderBy
from sgevents_core.state.keys import CallKey
from sgevents_core.state.progress import Progress
from sgevents_core.state.strands import STRANDS

_EncodedPlaces: TypeAlias = tuple[OrderBy, int, dict[int, tuple[int, list[str]]]]
"""As text: the order, the highest place, and strand -> place and callbacks done of the others."""
_decode_places: Final = msgspec.json.Decoder(_EncodedPlaces).decode


class StrandPlaces(NamedTuple):
    """One place for each strand of a lane.

    A place says nothing about the events of other strands: "all events up to `seq`" means all those
    of its strand.

    Args:
        order_by: The key that divides the events into strands; places of another order do not
            apply.
        places: The progress in each strand, `STRANDS` of them.
    """

    order_by: OrderBy
    places: tuple[Progress, ...]

    @classmethod
    def at(cls, order_by: OrderBy, lane_progress: Progress) -> StrandPlaces:
        """Return the places of a lane that has come to one event in all strands.

        The callbacks done for that event count in its strand; the other strands do not have the
        event.
        """
        return cls(order_by, (lane_progress,) * STRANDS)

    @property
    def lowest(self) -> int:
        """`event_seq` up to which everything is finished in all strands."""
        return min(place.finished for place in self.places)

    @property
    def highest(self) -> int:
        """`event_seq` above which nothing is finished or begun in any strand."""
        return max(place.running if place.done else place.finished for place in self.places)

    @property
    def is_level(self) -> bool:
        """Whether all strands are at the same place, between two events."""
        return self.lowest == self.highest

    def is_finished(self, event_seq: int, strand_number: int) -> bool:
        """Return whether an event is finished.

        Args:
            event_seq: Its place in the journal.
            strand_number: Its strand.
        """
        return event_seq <= self.places[strand_number].finished

    def progress_at(self, event_seq: int, strand_number: int) -> Progress:
        """Return the progress at an event that is not finished, with the callbacks done for it."""
        place = self.places[strand_number]
        return place if place.running == event_seq else Progress.at(event_seq)

    def with_place(self, strand_number: int, lane_progress: Progress) -> StrandPlaces:
        """Return the places with another one for one strand."""
        new_places = list(self.places)
        new_places[strand_number] = lane_progress
        return StrandPlaces(self.order_by, tuple(new_places))

    def joined(self, other_places: StrandPlaces) -> StrandPlaces:
        """Return the later of the two places for each strand; both must have the same order."""
        progress_pairs = zip(self.places, other_places.places, strict=True)
        return StrandPlaces(
            self.order_by,
            tuple(one.joined(second_progress) for one, second_progress in progress_pairs),
        )

    def of(self, plugin_name: str) -> StrandPlaces:
        """Return the places of one plugin."""
        return StrandPlaces(self.order_by, tuple(place.of(plugin_name) for place in self.places))

    def encode(self) -> str:
        """Return the places as text, for databases."""
        highest_seq = max(place.finished for place in self.places)
        other_strands = {
            strand_number: (place.finished, sorted(key.encode() for key in place.done))
            for strand_number, place in enumerate(self.places)
            if place != Progress(highest_seq)
        }
        encoded_places: _EncodedPlaces = (self.order_by, highest_seq, other_strands)
        return msgspec.json.encode(encoded_places).decode()

    @classmethod
    def decode(cls, encoded_places: str) -> StrandPlaces:
        """Return the places that a text encodes.

        Raises:
            ValueError: The text does not encode places.
        """
        order_by, highest_seq, other_strands = _decode_places(encoded_places)
        place = [Progress(highest_seq)] * STRANDS
        for strand_number, (finished_seq, callback_names) in other_strands.items():
            if not 0 <= strand_number < STRANDS:
                raise ValueError(f"there is no strand {strand_number}")
            place[strand_number] = Progress(
                finished_seq, frozenset(map(CallKey.decode, callback_names))
            )
        return cls(order_by, tuple(place))
