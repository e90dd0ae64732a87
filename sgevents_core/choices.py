"""The fixed values that keys and arguments can have; each list is declared here alone."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias, get_args

OnError: TypeAlias = Literal["dead-letter", "pause", "skip"]
"""What happens when a callback fails for good."""
OrderBy: TypeAlias = Literal["entity", "project", "none"]
"""The order that several workers of a lane keep."""
Executor: TypeAlias = Literal["thread", "process"]
"""The kind of a worker."""
Level: TypeAlias = Literal["debug", "info", "warning", "error", "critical"]
"""The least severe records that are logged."""
LogFormat: TypeAlias = Literal["auto", "human", "json"]
"""The form of log records; `auto` is `human` on a terminal and `json` elsewhere."""
ConsoleWayIn: TypeAlias = Literal["token", "open"]
"""Who comes into a console that only this machine reaches."""
Durability: TypeAlias = Literal["full", "relaxed"]
"""Whether NATS servers that could lose what they have confirmed are accepted."""
MoveTarget: TypeAlias = Literal["servers", "disk"]
"""Where a state is moved: to the NATS servers of `[state] url`, or to this host's disk."""
ReplicaCount: TypeAlias = Literal[1, 3]
"""On how many NATS servers a stream is stored."""
AlertKind: TypeAlias = Literal[
    "outage",
    "dead_letter",
    "paused",
    "held",
    "broken",
    "lag",
    "parked",
    "rewound",
    "incomplete",
    "crash",
    "disk",
]
"""What `[[alerts]]` can be about."""
ALERT_KINDS: Final[tuple[AlertKind, ...]] = get_args(AlertKind)
