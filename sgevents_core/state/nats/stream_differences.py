"""How a stream that exists differs from what the promise needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from sgevents_core.printable import counted
from sgevents_core.state.nats.faults import Fault, FaultWeight
from sgevents_core.state.nats.streams import SECOND, SITE_KEY, StreamDefinition


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
    compared = (_compare_storage, _compare_limits, _compare_access)
    return [
        Fault(definition.name, problem, fix, weight)
        for compare in compared
        for problem, fix, weight in compare(definition, info["config"])
    ]


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
