"""A lane's step as a message holds it, with everything that its effect depends on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct, field

from sgevents_core.choices import OrderBy
from sgevents_core.state.batches import BatchChange, BatchedEvent
from sgevents_core.state.deferred import DeferredEvent, DeferredKey, IgnoredCall
from sgevents_core.state.done_parts import DonePart
from sgevents_core.state.failures import Failure
from sgevents_core.state.plugin_record import (
    AnyPluginRecord,
    PluginRecord,
    PluginState,
    StrandRecord,
)
from sgevents_core.state.progress import Progress
from sgevents_core.state.requests import ReplayEvent, RequestStep
from sgevents_core.state.steps import REMOVED, CallDeaths, GivenValues, Step
from sgevents_core.state.strand_places import StrandPlaces

_encode_json: Final = msgspec.json.Encoder().encode


class StrandWords(Struct, array_like=True):
    """The record of a plugin in one strand, besides the plugin's; see `StrandRecord`."""

    strand: int
    progress: Progress
    apart: bool
    is_held: bool
    hold_reason: str
    retry_at: float


class PluginWords(Struct, array_like=True):
    """The record of a plugin, or of a plugin in one strand; see `PluginRecord`."""

    name: str
    lane: str
    progress: Progress
    apart: bool
    state: PluginState
    reason: str
    retry_at: float
    failures: int
    above: str | None
    order_by: OrderBy | None
    strand: StrandWords | None = None

    @classmethod
    def of(cls, record: AnyPluginRecord) -> PluginWords:
        """Return a record in words."""
        if isinstance(record, StrandRecord):
            words = cls.of(record.plugin)
            words.strand = StrandWords(
                record.strand,
                record.progress,
                record.apart,
                record.is_held,
                record.hold_reason,
                record.retry_at,
            )
            return words
        return cls(
            record.name,
            record.lane,
            record.progress,
            record.apart,
            record.state,
            record.reason,
            record.retry_at,
            record.failures,
            None if record.above is None else record.above.encode(),
            record.order_by,
        )

    def record(self) -> AnyPluginRecord:
        """Return the record."""
        plugin_record = PluginRecord(
            self.name,
            self.lane,
            self.progress,
            self.apart,
            self.state,
            self.reason,
            self.retry_at,
            self.failures,
            None if self.above is None else StrandPlaces.decode(self.above),
            self.order_by,
        )
        if self.strand is None:
            return plugin_record
        words = self.strand
        return StrandRecord(
            plugin_record,
            words.strand,
            words.progress,
            words.apart,
            words.is_held,
            words.hold_reason,
            words.retry_at,
        )


class StepWords(Struct, omit_defaults=True):
    """A step; see `Step`. The values of stores are JSON, None to remove a key."""

    progress: Progress | None = None
    plugins: list[PluginWords] = field(default_factory=list)
    failure: Failure | None = None
    doubts: list[tuple[str, str, int, int]] = field(default_factory=list)
    dead: bool = False
    settled: tuple[str, str, int] | None = None
    deaths: list[CallDeaths] = field(default_factory=list)
    request: RequestStep | None = None
    request_progress: bytes | None = None
    store: dict[str, dict[str, bytes | None]] = field(default_factory=dict)
    strand: int | None = None
    places: str | None = None
    undivided: bool = False
    whole: list[str] = field(default_factory=list)
    failure_event: ReplayEvent | None = None
    deferred: DeferredEvent | None = None
    no_more_deferred: DeferredKey | None = None
    ignored: IgnoredCall | None = None
    collected: BatchedEvent | None = None
    batch: BatchChange | None = None
    done_part: DonePart | None = None
    given: GivenValues = GivenValues()

    @classmethod
    def of(cls, step: Step, given_values: GivenValues) -> StepWords:
        """Return a step in words.

        Raises:
            TypeError: A value of a store is not JSON.
        """
        request = step.request
        return cls(
            progress=step.progress,
            plugins=[PluginWords.of(record) for record in step.plugins],
            failure=step.failure,
            doubts=list(step.doubts),
            dead=step.dead,
            settled=step.settled,
            deaths=list(step.deaths),
            request=None if request is None else request._replace(progress=None),
            request_progress=(
                None
                if request is None or request.progress is None
                else _encode_json(request.progress)
            ),
            store=_encode_stores(step.store),
            strand=step.strand,
            places=None if step.places is None else step.places.encode(),
            undivided=step.undivided,
            whole=list(step.whole),
            failure_event=step.failure_event,
            deferred=step.deferred,
            no_more_deferred=step.no_more_deferred,
            ignored=step.ignored,
            collected=step.collected,
            batch=step.batch,
            done_part=step.done_part,
            given=given_values,
        )

    def step(self) -> Step:
        """Return the step; values of stores, and how far a request has come, are raw JSON."""
        request = self.request
        if request is not None and self.request_progress is not None:
            progress: Any = msgspec.Raw(self.request_progress)  # written as it is
            request = request._replace(progress=progress)
        return Step(
            progress=self.progress,
            plugins=[words.record() for words in self.plugins],
            failure=self.failure,
            doubts=self.doubts,
            dead=self.dead,
            settled=self.settled,
            deaths=self.deaths,
            request=request,
            store={
                plugin_name: {
                    store_key: REMOVED if encoded is None else msgspec.Raw(encoded)
                    for store_key, encoded in values.items()
                }
                for plugin_name, values in self.store.items()
            },
            strand=self.strand,
            places=None if self.places is None else StrandPlaces.decode(self.places),
            undivided=self.undivided,
            whole=self.whole,
            failure_event=self.failure_event,
            deferred=self.deferred,
            no_more_deferred=self.no_more_deferred,
            ignored=self.ignored,
            collected=self.collected,
            batch=self.batch,
            done_part=self.done_part,
        )


def _encode_stores(
    changed_stores: Mapping[str, Mapping[str, Any]],
) -> dict[str, dict[str, bytes | None]]:
    return {
        plugin_name: {
            store_key: None if new_value is REMOVED else _encode_json(new_value)
            for store_key, new_value in changes.items()
        }
        for plugin_name, changes in changed_stores.items()
    }
