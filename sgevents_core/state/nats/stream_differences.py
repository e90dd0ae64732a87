"""How a stream that exists differs from what the promise needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

from sgevents_core.printable import counted
from sgevents_core.state.nats.faults import Fault, FaultWeight
from sgevents_core.state.nats.stream_log import PART_BYTES
from sgevents_core.state.nats.streams import SECOND, SITE_KEY, StreamDefinition

LEAST_PAYLOAD: Final = PART_BYTES + 4096
"""The bytes that a message has to be allowed to have, headers included."""
COMFORTABLE_SHARE: Final = 0.8
"""How full something may be before people should know."""
_UNUSABLE_KEYS: Final = {
    "no_ack": "it confirms nothing (no_ack)",
    "sealed": "it is sealed, and takes nothing",
    "mirror": "it is a mirror of another stream, and takes nothing itself",
    "sources": "it takes messages from other streams too (sources)",
    "subject_transform": "it renames the subjects of its messages (subject_transform)",
    "deny_purge": "nothing can be cut off it (deny_purge), so that it grows for ever",
}


def differences(definition: StreamDefinition, info: Mapping[str, Any]) -> list[Fault]:
    """Compare a stream with what the promise needs.

    Args:
        definition: What it must be.
        info: What the server says about it.
    """
    owner = info["config"].get("metadata", {}).get(SITE_KEY, "")
    if urlsplit(owner).netloc != urlsplit(definition.config["metadata"][SITE_KEY]).netloc:
        problem = f"it is of the site {owner}" if owner else "it was not made by sgevents"
        return [Fault(definition.name, problem, "use an account of its own for this site")]
    compared = (_compare_storage, _compare_limits, _compare_taking, _compare_access)
    faults = [
        Fault(definition.name, problem, fix, weight)
        for compare in compared
        for problem, fix, weight in compare(definition, info["config"])
    ]
    return [*faults, *_find_deleted(definition, info), *_find_nearly_full(definition, info)]


def is_only_older(definition: StreamDefinition, info: Mapping[str, Any]) -> bool:
    """Return whether a stream is as it must be but for how long its messages last."""
    config = {**definition.config, "max_age": info["config"]["max_age"]}
    return not differences(definition._replace(config=config), info)


_Comparison: TypeAlias = Iterable[tuple[str, str, FaultWeight]]
"""What is wrong, what to do about it, and how much it matters."""


def _compare_storage(definition: StreamDefinition, config: Mapping[str, Any]) -> _Comparison:
    name, wanted = definition.name, definition.config
    if config["storage"] != wanted["storage"]:
        fix = "delete it if it is empty, and run `sgevents cluster init`"
        yield "it is in memory, and gone when its server restarts", fix, "unsafe"
    replicas, wanted_replicas = config["num_replicas"], wanted["num_replicas"]
    if replicas != wanted_replicas:
        fix = f"`nats stream edit {name} --replicas={wanted_replicas}`, or change the setting"
        stored = counted(replicas, "server")
        problem = f"it is stored on {stored}, and replicas is {wanted_replicas}"
        yield problem, fix, "unsafe" if replicas < wanted_replicas else "remark"


def _compare_limits(definition: StreamDefinition, config: Mapping[str, Any]) -> _Comparison:
    name, wanted = definition.name, definition.config
    if config["discard"] != wanted["discard"]:
        fix = f"`nats stream edit {name} --discard={wanted['discard']}`"
        if wanted["discard"] == "new":
            problem = "discard is old: when it is full, it drops its oldest messages in silence"
            yield problem, fix, "unsafe"
        else:
            yield "discard is new: it would take nothing more", fix, "unusable"
    seconds, wanted_seconds = config["max_age"] / SECOND, wanted.get("max_age", 0) / SECOND
    if seconds != wanted_seconds:
        problem = f"its messages last {seconds:g} s, not {wanted_seconds:g} s (0 is for ever)"
        yield problem, f"`nats stream edit {name} --max-age={wanted_seconds:g}s`", "unsafe"
    for limit in ("max_msgs_per_subject", *(["max_msgs"] if "max_msgs" in wanted else [])):
        if config[limit] != wanted.get(limit, -1):
            problem = f"{limit} is {config[limit]}, not {wanted.get(limit, -1)}"
            yield problem, f"edit the stream {name}", "unsafe"


def _compare_taking(definition: StreamDefinition, config: Mapping[str, Any]) -> _Comparison:
    """Compare what the stream takes, and for how long it keeps it."""
    name = definition.name
    if config["retention"] != "limits":
        problem = f"its retention is {config['retention']}: it drops messages by itself"
        yield problem, f"`nats stream edit {name} --retention=limits`", "unusable"
    longest = config.get("max_msg_size", -1)
    if 0 <= longest < LEAST_PAYLOAD:
        problem = f"it takes messages of at most {longest:,} bytes"
        yield problem, f"`nats stream edit {name} --max-msg-size=-1`", "unusable"
    for key, problem in _UNUSABLE_KEYS.items():
        if config.get(key):
            yield problem, f"edit the stream {name}: {key} has to be off", "unusable"
    if config.get("persist_mode", "default") not in {"", "default"}:
        problem = f"persist_mode is {config['persist_mode']}: a power cut loses what it confirmed"
        yield problem, f"make the stream {name} anew, without persist_mode", "unsafe"


def _find_deleted(definition: StreamDefinition, info: Mapping[str, Any]) -> list[Fault]:
    """Return that messages were deleted in the middle of a log, of which nobody could know."""
    deleted_count = info["state"].get("num_deleted", 0)
    if not deleted_count or "republish" not in definition.config:
        return []
    deleted = counted(deleted_count, "message was", "messages were")
    problem = f"{deleted} deleted in the middle of it, so that new copies lack something"
    fix = "stop all daemons, then `sgevents cluster restore` on a host that had everything"
    return [Fault(definition.name, problem, fix, "unsafe")]


def _find_nearly_full(definition: StreamDefinition, info: Mapping[str, Any]) -> list[Fault]:
    """Return a remark for each limit that a stream has nearly reached."""
    name, config, state = definition.name, info["config"], info["state"]
    if config["discard"] != "new":
        return []
    faults = []
    for limit, figure in (("max_bytes", "bytes"), ("max_msgs", "messages")):
        most, used = config.get(limit, -1), state[figure]
        if most > 0 and used > most * COMFORTABLE_SHARE:
            problem = f"it has {used:,} of the {most:,} {figure} that {limit} allows"
            fix = f"raise its {limit}, or set it to -1; when it is full, all waits"
            faults.append(Fault(name, problem, fix, "remark"))
    return faults


def _compare_access(definition: StreamDefinition, config: Mapping[str, Any]) -> _Comparison:
    name, wanted = definition.name, definition.config
    if sorted(config["subjects"]) != sorted(wanted["subjects"]):
        fix = f"give {name} {', '.join(wanted['subjects'])}"
        yield f"its subjects are {', '.join(config['subjects'])}", fix, "unusable"
    if not config.get("allow_direct"):
        fix = f"`nats stream edit {name} --allow-direct`"
        yield "it cannot be read directly", fix, "unusable"
    if "republish" in wanted and "republish" not in config:
        fix = f"`nats stream edit {name}` with a republish configuration"
        yield "it announces nothing, so hosts notice its messages later", fix, "remark"
