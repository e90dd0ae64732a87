"""Names, numbers and durations within limits, as several tables of the configuration take them."""

from typing import Annotated, TypeAlias

from msgspec import Meta

from sgevents_core.settings.value_kinds import duration_kind

NonEmptyName: TypeAlias = Annotated[str, Meta(min_length=1)]
PositiveCount: TypeAlias = Annotated[int, Meta(ge=1)]
WorkerCount: TypeAlias = Annotated[int, Meta(ge=1, le=64)]
MemorySize: TypeAlias = Annotated[int, Meta(ge=1_000_000)]
Duration: TypeAlias = Annotated[float, duration_kind()]
ShortDuration: TypeAlias = Annotated[float, duration_kind(0.01)]
LongDuration: TypeAlias = Annotated[float, duration_kind(1)]
