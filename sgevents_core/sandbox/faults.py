"""Faults of the sandbox site on demand: which, how often, and a count of them."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sgevents_core.errors import UnknownFaultError

FAULT_KINDS: Final[dict[str, dict[str, Any]]] = {
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

TRANSACTION_FAULTS: Final = frozenset({"commit-late", "commit-never", "burn"})
"""Faults that strike transactions rather than calls."""

_CALL_FILTERS: Final[tuple[str, ...]] = ("method", "entity_type", "script")


@dataclass(eq=False, slots=True)
class Fault:
    """A fault that strikes calls until it is removed or its calls are used up.

    Args:
        id: Its number, for the control endpoint.
        kind: One of `FAULT_KINDS`.
        options: The kind's own options, such as the seconds of a latency.
        calls: The number of calls it still strikes; None for any number.
        probability: The likelihood of striking a matching call, from 0 to 1.
        call_filter: What a call must match: `method`, `entity_type`, `script`.
        injected: The number of calls it has struck.
    """

    id: int
    kind: str
    options: dict[str, Any]
    calls: int | None = None
    probability: float = 1.0
    call_filter: dict[str, str] = field(default_factory=dict)
    injected: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Return it in the form of the control endpoint."""
        state = {"id": self.id, "kind": self.kind, "injected": self.injected, "calls": self.calls}
        return {**state, "probability": self.probability, **self.call_filter, **self.options}


class Faults:
    """The faults in force. With the same seed, the same calls meet the same faults.

    Args:
        seed: The seed of everything random.
    """

    def __init__(self, seed: int) -> None:
        self._random_source = random.Random(f"faults {seed}")  # noqa: S311 - chance, not a secret
        self._faults_lock = threading.Lock()
        self._active_faults: list[Fault] = []
        self._injected_by_kind: dict[str, int] = dict.fromkeys(FAULT_KINDS, 0)
        self._last_fault_id = 0

    def add(
        self, kind: str, *, calls: int | None = None, probability: float = 1.0, **options: Any
    ) -> Fault:
        """Add a fault.

        Args:
            kind: One of `FAULT_KINDS`.
            calls: Strike only this many calls, the next ones.
            probability: Strike a call with this likelihood, from 0 to 1.
            options: The kind's own options; `method`, `entity_type` and `script` restrict it to
                matching calls.

        Raises:
            UnknownFaultError: The kind does not exist, or does not have the option.
        """
        defaults = FAULT_KINDS.get(kind)
        if defaults is None:
            raise UnknownFaultError(culprit=kind, known=", ".join(FAULT_KINDS))
        unknown = options.keys() - defaults.keys() - set(_CALL_FILTERS)
        if unknown:
            allowed = ", ".join(("calls", "probability", *_CALL_FILTERS, *defaults))
            raise UnknownFaultError(culprit=f"{kind}:{min(unknown)}", known=allowed)
        call_filter = {name: str(options.pop(name)) for name in _CALL_FILTERS if name in options}
        with self._faults_lock:
            self._last_fault_id += 1
            all_options = {**defaults, **options}
            fault = Fault(self._last_fault_id, kind, all_options, calls, probability, call_filter)
            self._active_faults.append(fault)
        return fault

    @staticmethod
    def kinds() -> tuple[str, ...]:
        """Return all kinds of faults."""
        return tuple(FAULT_KINDS)

    def add_all(self, faults: Iterable[Mapping[str, Any]]) -> None:
        """Add faults given as mappings with the key `kind` and the options of `add`."""
        for fault in faults:
            self.add(**fault)

    def remove(self, fault: Fault | int) -> None:
        """End one fault, even if it has ended by itself."""
        wanted_id = fault.id if isinstance(fault, Fault) else fault
        with self._faults_lock:
            self._active_faults = [other for other in self._active_faults if other.id != wanted_id]

    def clear(self) -> None:
        """End all faults; the counts stay."""
        with self._faults_lock:
            self._active_faults.clear()

    def injected(self, kind: str | None = None) -> int:
        """Return how many faults were injected: all, or of one kind."""
        with self._faults_lock:
            injected = self._injected_by_kind
            return sum(injected.values()) if kind is None else injected[kind]

    def as_list(self) -> list[dict[str, Any]]:
        """Return the faults in force in the form of the control endpoint."""
        with self._faults_lock:
            return [fault.as_dict() for fault in self._active_faults]

    def strike_call(
        self, *, is_transaction: bool = False, **call_values: str | None
    ) -> list[Fault]:
        """Return the faults that strike a call, in the order they were added, and count them.

        Args:
            is_transaction: Whether it is a transaction rather than a call.
            call_values: Its `method`, `entity_type` and `script`.
        """
        with self._faults_lock:
            faults = [
                fault
                for fault in self._active_faults
                if (fault.kind in TRANSACTION_FAULTS) is is_transaction
                and self._is_struck(fault, call_values)
            ]
            for fault in faults:
                self._count_strike(fault)
            self._active_faults = [fault for fault in self._active_faults if fault.calls != 0]
            return faults

    def _is_struck(self, fault: Fault, call: Mapping[str, str | None]) -> bool:
        if any(call.get(name) != wanted for name, wanted in fault.call_filter.items()):
            return False
        return fault.probability >= 1.0 or self._random_source.random() < fault.probability

    def _count_strike(self, fault: Fault) -> None:
        fault.injected += 1
        self._injected_by_kind[fault.kind] += 1
        if fault.calls is not None:
            fault.calls -= 1


def parse_fault(fault_text: str) -> dict[str, Any]:
    """Return the fault that an option such as "status:status=500,probability=0.1" describes.

    Raises:
        UnknownFaultError: The kind does not exist, or a part is not `name=value`.
    """
    fault_kind, _, options_text = fault_text.partition(":")
    if fault_kind not in FAULT_KINDS:
        raise UnknownFaultError(culprit=fault_kind, known=", ".join(FAULT_KINDS))
    fault_options: dict[str, Any] = {"kind": fault_kind}
    for option_text in filter(None, options_text.split(",")):
        name, equals_sign, value_text = option_text.partition("=")
        if not equals_sign:
            raise UnknownFaultError(culprit=fault_text, known="KIND:name=value,name=value")
        fault_options[name.strip().replace("-", "_")] = _option_value(value_text.strip())
    return fault_options


def _option_value(value_text: str) -> int | float | str:
    for number_type in (int, float):
        try:
            return number_type(value_text)
        except ValueError:
            continue
    return value_text
