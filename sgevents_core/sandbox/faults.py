"""Ways in which the sandbox site misbehaves on demand: which, how often, and a count of them."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sgevents_core.errors import UnknownFaultError

KINDS: Final[dict[str, dict[str, Any]]] = {
    "latency": {"seconds": 0.5},
    "status": {"status": 503},
    "html": {},
    "garbage": {},
    "cut-json": {},
    "cut-body": {},
    "drop": {},
    "reset": {},
    "silent": {},
    "refused-key": {},
    "api-error": {"message": "The sandbox was told to refuse this call.", "code": 104},
    "lagging-replica": {"rows": 100},
    "outage": {"seconds": 5.0},
    "hide": {"rows": 10, "seconds": 2.0},
    "rewind": {"rows": 100},
    "commit-late": {"seconds": 2.0},
    "commit-never": {},
    "burn": {"ids": 1000},
}
"""Kind of fault -> its own options and their defaults."""

ON_WRITES: Final = frozenset({"commit-late", "commit-never", "burn"})
"""Faults that strike transactions rather than calls."""

_FILTERS: Final[tuple[str, ...]] = ("method", "entity_type", "script")


@dataclass(eq=False, slots=True)
class Fault:
    """One way to misbehave, until it is removed or its calls are used up.

    Args:
        id: Its number, for the control endpoint.
        kind: One of `KINDS`.
        options: The kind's own options, such as the seconds of a latency.
        calls: The number of calls it still strikes; None for any number.
        probability: The likelihood of striking a matching call, from 0 to 1.
        only: What a call must match: `method`, `entity_type`, `script`.
        injected: The number of calls it has struck.
    """

    id: int
    kind: str
    options: dict[str, Any]
    calls: int | None = None
    probability: float = 1.0
    only: dict[str, str] = field(default_factory=dict)
    injected: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Return it in the form of the control endpoint."""
        about = {"id": self.id, "kind": self.kind, "injected": self.injected, "calls": self.calls}
        return {**about, "probability": self.probability, **self.only, **self.options}


class Faults:
    """The faults in force. Chance comes from the seed, so the same calls meet the same faults.

    Args:
        seed: The seed of all chance.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(f"faults {seed}")  # noqa: S311 - chance, not a secret
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._injected: dict[str, int] = dict.fromkeys(KINDS, 0)
        self._last_id = 0

    def add(
        self,
        kind: str,
        *,
        calls: int | None = None,
        probability: float = 1.0,
        **options: Any,
    ) -> Fault:
        """Add a fault.

        Args:
            kind: One of `KINDS`.
            calls: Strike only this many calls, the next ones.
            probability: Strike a call with this likelihood, from 0 to 1.
            options: The kind's own options; `method`, `entity_type` and `script` restrict it to
                matching calls.

        Raises:
            UnknownFaultError: The kind does not exist, or does not have the option.
        """
        known = KINDS.get(kind)
        if known is None:
            raise UnknownFaultError(culprit=kind, known=", ".join(KINDS))
        unknown = options.keys() - known.keys() - set(_FILTERS)
        if unknown:
            allowed = ", ".join(("calls", "probability", *_FILTERS, *known))
            raise UnknownFaultError(culprit=f"{kind}:{min(unknown)}", known=allowed)
        only = {name: str(options.pop(name)) for name in _FILTERS if name in options}
        with self._lock:
            self._last_id += 1
            fault = Fault(self._last_id, kind, {**known, **options}, calls, probability, only)
            self._faults.append(fault)
        return fault

    @staticmethod
    def kinds() -> tuple[str, ...]:
        """Return all kinds of faults."""
        return tuple(KINDS)

    def add_all(self, faults: Iterable[Mapping[str, Any]]) -> None:
        """Add faults given as mappings with the key `kind` and the options of `add`."""
        for fault in faults:
            self.add(**fault)

    def remove(self, fault: Fault | int) -> None:
        """End one fault, even if it has ended by itself."""
        wanted = fault.id if isinstance(fault, Fault) else fault
        with self._lock:
            self._faults = [some for some in self._faults if some.id != wanted]

    def clear(self) -> None:
        """End all faults; the counts stay."""
        with self._lock:
            self._faults.clear()

    def injected(self, kind: str | None = None) -> int:
        """Return how many faults were injected: all, or of one kind."""
        with self._lock:
            return sum(self._injected.values()) if kind is None else self._injected[kind]

    def as_list(self) -> list[dict[str, Any]]:
        """Return the faults in force in the form of the control endpoint."""
        with self._lock:
            return [fault.as_dict() for fault in self._faults]

    def striking(self, *, writes: bool = False, **call: str | None) -> list[Fault]:
        """Return the faults that strike a call, in the order they were added, and count them.

        Args:
            writes: Whether a transaction is meant instead of a call.
            call: Its `method`, `entity_type` and `script`.
        """
        with self._lock:
            struck = [
                fault
                for fault in self._faults
                if (fault.kind in ON_WRITES) is writes and self._strikes(fault, call)
            ]
            for fault in struck:
                self._count(fault)
            self._faults = [fault for fault in self._faults if fault.calls != 0]
            return struck

    def _strikes(self, fault: Fault, call: Mapping[str, str | None]) -> bool:
        fits = all(call.get(name) == wanted for name, wanted in fault.only.items())
        return fits and (fault.probability >= 1.0 or self._random.random() < fault.probability)

    def _count(self, fault: Fault) -> None:
        fault.injected += 1
        self._injected[fault.kind] += 1
        if fault.calls is not None:
            fault.calls -= 1


def parse_fault(text: str) -> dict[str, Any]:
    """Return the fault that an option such as "status:status=500,probability=0.1" describes.

    Raises:
        UnknownFaultError: The kind does not exist, or a part is not `name=value`.
    """
    kind, _, rest = text.partition(":")
    if kind not in KINDS:
        raise UnknownFaultError(culprit=kind, known=", ".join(KINDS))
    fault: dict[str, Any] = {"kind": kind}
    for part in filter(None, rest.split(",")):
        name, equals, value = part.partition("=")
        if not equals:
            raise UnknownFaultError(culprit=text, known="KIND:name=value,name=value")
        fault[name.strip().replace("-", "_")] = _number(value.strip())
    return fault


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
