"""The progress of a lane whose events are divided into strands, as a value. Pure."""

from __future__ import annotations

from typing import Final, NamedTuple, TypeAlias

import msgspec

from sgevents_core.choices import OrderBy
from sgevents_core.state.keys import CallKey
from sgevents_core.state.progress import Progress
from sgevents_core.state.strands import STRANDS

_Text: TypeAlias = tuple[OrderBy, int, dict[int, tuple[int, list[str]]]]
"""As text: the order, the highest place, and strand -> place and callbacks done of the others."""
_decode: Final = msgspec.json.Decoder(_Text).decode


class StrandPlaces(NamedTuple):
    """One place for each strand of a lane.

    A place says nothing about the events of other strands: "all events up to `seq`" means all those
    of its strand.

    Args:
        order_by: What divides the events into strands; places of another order mean nothing here.
        places: The progress in each strand, `STRANDS` of them.
    """

    order_by: OrderBy
    places: tuple[Progress, ...]

    @classmethod
    def at(cls, order_by: OrderBy, progress: Progress) -> StrandPlaces:
        """Return the places of a lane that has come to one event in all strands.

        Callbacks done of that event are done in its strand; the others have no such event.
        """
        return cls(order_by, (progress,) * STRANDS)

    @property
    def lowest(self) -> int:
        """`seq` up to which everything is finished in all strands."""
        return min(place.finished for place in self.places)

    @property
    def highest(self) -> int:
        """`seq` above which nothing is finished or begun in any strand."""
        return max(place.running if place.done else place.finished for place in self.places)

    @property
    def is_level(self) -> bool:
        """Whether all strands are at the same place, between two events."""
        return self.lowest == self.highest

    def is_finished(self, seq: int, strand: int) -> bool:
        """Return whether an event is finished.

        Args:
            seq: Its place in the journal.
            strand: Its strand.
        """
        return seq <= self.places[strand].finished

    def progress_at(self, seq: int, strand: int) -> Progress:
        """Return the progress at an event that is not finished, with the callbacks done for it."""
        place = self.places[strand]
        return place if place.running == seq else Progress.at(seq)

    def with_place(self, strand: int, progress: Progress) -> StrandPlaces:
        """Return the places with another one for one strand."""
        places = list(self.places)
        places[strand] = progress
        return StrandPlaces(self.order_by, tuple(places))

    def joined(self, other: StrandPlaces) -> StrandPlaces:
        """Return the later place of both for each strand; both must have the same order."""
        pairs = zip(self.places, other.places, strict=True)
        return StrandPlaces(self.order_by, tuple(one.joined(more) for one, more in pairs))

    def of(self, plugin: str) -> StrandPlaces:
        """Return the places of one plugin."""
        return StrandPlaces(self.order_by, tuple(place.of(plugin) for place in self.places))

    def encode(self) -> str:
        """Return them as text, for databases."""
        highest = max(place.finished for place in self.places)
        others = {
            strand: (place.finished, sorted(key.encode() for key in place.done))
            for strand, place in enumerate(self.places)
            if place != Progress(highest)
        }
        text: _Text = (self.order_by, highest, others)
        return msgspec.json.encode(text).decode()

    @classmethod
    def decode(cls, text: str) -> StrandPlaces:
        """Return the places that a text encodes.

        Raises:
            ValueError: The text does not encode places.
        """
        order_by, highest, others = _decode(text)
        places = [Progress(highest)] * STRANDS
        for strand, (finished, names) in others.items():
            if not 0 <= strand < STRANDS:
                raise ValueError(f"there is no strand {strand}")
            places[strand] = Progress(finished, frozenset(map(CallKey.decode, names)))
        return cls(order_by, tuple(places))
