"""Try the servers and the streams of a site: is what they confirm kept, and is all permitted?

Nothing is changed: messages that are tried name a last sequence that no stream has. Only whether
there is room is tried by storing something: a number that nobody gets.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

from sgevents_core.errors import (
    BrokerError,
    BrokerForbids,
    BrokerFull,
    BrokerUnreachable,
    ClusterNotReadyError,
)
from sgevents_core.printable import counted
from sgevents_core.settings.state_settings import StateSettings
from sgevents_core.state.nats.connection import Broker
from sgevents_core.state.nats.counter import Counter
from sgevents_core.state.nats.exchange import NO_RESPONDERS
from sgevents_core.state.nats.faults import Fault
from sgevents_core.state.nats.jetstream import (
    call,
    decode_answer,
    read_directly,
    read_from_leader,
    stream_info,
    write_expecting,
)
from sgevents_core.state.nats.stream_differences import (
    COMFORTABLE_SHARE,
    LEAST_PAYLOAD,
    differences,
)
from sgevents_core.state.nats.stream_names import StreamNames
from sgevents_core.state.nats.streams import StreamDefinition, create_stream, find_stream

OLDEST_VERSION: Final = (2, 11, 0)
ADVISED_VERSION: Final = (2, 12, 3)
_NO_SUCH_SEQUENCE: Final = str(2**62)
_SETTINGS_SUBJECT: Final = "$SYS.REQ.SERVER.PING.VARZ"
_SETTINGS_WITHIN: Final = 2.0
_RIGHTS_FIX: Final = "give the user the rights that the page on NATS servers lists"
_SYNC_FIX: Final = "set `sync_interval: always` in its block `jetstream`, or store on 3 replicas"


def find_faults(
    broker: Broker, state: StateSettings, names: StreamNames, wanted: Sequence[StreamDefinition]
) -> list[Fault]:
    """Return everything that is wrong with the servers and the streams of a site.

    Args:
        broker: The servers, connected.
        state: `[state]`.
        names: The site's names.
        wanted: What the site needs; see `streams.definitions`.

    Raises:
        BrokerError: The servers do not answer.
    """
    faults = list(server_faults(broker.server_info))
    account, account_fault = _read_account(broker)
    if account_fault is not None:
        faults.append(account_fault)
        if account_fault.weight == "unusable":
            return faults
    faults += _limit_faults(account)
    if state.replicas == 1:
        faults += sync_faults(read_server_settings(broker))
    infos = {definition.name: find_stream(broker, definition.name) for definition in wanted}
    missing = [name for name, info in infos.items() if info is None]
    if missing:
        problem = f"{counted(len(missing), 'stream')} missing there: {', '.join(missing)}"
        return [*faults, Fault("", problem, "make them with `sgevents cluster init`")]
    for definition in wanted:
        faults += differences(definition, infos[definition.name] or {})
    if any(fault.weight == "unusable" for fault in faults):
        return faults
    return faults + list(_rights_faults(broker, names, wanted))


def find_full_servers(broker: Broker, names: StreamNames) -> list[Fault]:
    """Return that the servers store nothing more, if so; a daemon that starts waits for room.

    Args:
        broker: The servers, connected.
        names: The site's names.

    Raises:
        BrokerUnreachable: The servers do not answer.
    """
    try:
        Counter(broker, names.numbers, names.number_subject).next_numbers()
    except BrokerFull as error:
        return [Fault("", f"it stores nothing more: {error.reason}", BrokerFull.fix)]
    except BrokerUnreachable:
        raise
    except BrokerError:  # a missing right or stream is a fault of its own
        return []
    return []


def refuse_unsafe_servers(
    broker: Broker, state: StateSettings, names: StreamNames, wanted: Sequence[StreamDefinition]
) -> list[Fault]:
    """Refuse servers that cannot keep the promise, and return what is wrong with others.

    Args:
        broker: The servers, connected.
        state: `[state]`, whose `durability` decides.
        names: The site's names.
        wanted: What the site needs; see `streams.definitions`.

    Raises:
        ClusterNotReadyError: Something prevents a run.
        BrokerError: The servers do not answer.
    """
    faults = find_faults(broker, state, names, wanted)
    listing = "\n".join(str(fault) for fault in faults if fault.prevents_run(state.durability))
    if listing:
        raise ClusterNotReadyError(path=str(broker), listing=listing)
    return faults


def parse_version(version_text: str) -> tuple[int, ...]:
    """Return the numbers of a version, those of a pre-release left out."""
    return tuple(int(number) for number in re.findall(r"\d+", version_text.partition("-")[0])[:3])


def server_faults(server_info: Mapping[str, Any]) -> Iterator[Fault]:
    """Yield what is wrong with what a server says about itself."""
    version_text = str(server_info.get("version", "0"))
    version = parse_version(version_text)
    if version < OLDEST_VERSION:
        fix = "install nats-server 2.12.3 or newer"
        yield Fault("", f"nats-server {version_text} is too old", fix)
    elif version < ADVISED_VERSION:
        problem = f"nats-server {version_text} is older than is advised"
        yield Fault("", problem, "install nats-server 2.12.3 or newer", "remark")
    max_payload = int(server_info.get("max_payload", 0))
    if max_payload < LEAST_PAYLOAD:
        problem = f"it takes messages of at most {max_payload:,} bytes"
        yield Fault("", problem, "set max_payload to 1MB, which is the default")


def read_server_settings(broker: Broker) -> Mapping[str, Any] | None:
    """Return the settings of JetStream on the server; None if the user may not read them."""
    try:
        reply = broker.request(_SETTINGS_SUBJECT, within=_SETTINGS_WITHIN)
    except (BrokerForbids, BrokerUnreachable):
        return None
    if reply.status == NO_RESPONDERS:
        return None
    answer = decode_answer(reply)
    config = answer.get("data", answer).get("jetstream", {}).get("config")
    return dict(config) if config else None


def sync_faults(server_settings: Mapping[str, Any] | None) -> Iterator[Fault]:
    """Yield what could lose messages of streams that are stored on one server."""
    if server_settings is None:
        problem = (
            "whether it syncs each message to its disk cannot be read; if not, a power cut loses "
            "what it has confirmed"
        )
        fix = f"{_SYNC_FIX}; the page on NATS servers says how to let the user read it"
        yield Fault("", problem, fix, "remark")
    elif not server_settings.get("sync_always"):
        problem = "it does not sync each message to its disk: a power cut loses what it confirmed"
        yield Fault("", problem, _SYNC_FIX, "unsafe")


def _read_account(broker: Broker) -> tuple[Mapping[str, Any], Fault | None]:
    """Return what the server says about the account, or why it says nothing."""
    try:
        return call(broker, "INFO"), None
    except BrokerForbids as error:
        return {}, Fault("", f"not permitted: {error.reason}", _RIGHTS_FIX, "remark")
    except BrokerUnreachable:
        raise
    except BrokerError as error:
        fix = "add a block `jetstream` to the server, and enable it for the account of the user"
        return {}, Fault("", error.reason, fix)


def _limit_faults(account: Mapping[str, Any]) -> Iterator[Fault]:
    most, used = account.get("limits", {}).get("max_storage", -1), account.get("storage", 0)
    if most > 0 and used > most * COMFORTABLE_SHARE:
        problem = f"the account uses {used / 1e6:,.0f} MB of the {most / 1e6:,.0f} MB it may store"
        yield Fault("", problem, "raise the account's limit; when it is full, all waits", "remark")


def _rights_faults(
    broker: Broker, names: StreamNames, wanted: Sequence[StreamDefinition]
) -> Iterator[Fault]:
    """Yield what the user may not do, by trying it."""
    for attempt in _attempts(broker, names, wanted):
        try:
            attempt()
        except BrokerForbids as error:
            yield Fault("", f"not permitted: {error.reason}", _RIGHTS_FIX)
        except BrokerUnreachable:
            raise
        except BrokerError:  # it is permitted, and that is what was tried
            continue
    broker.listen(names.hints, lambda hint: None)
    stream_info(broker, names.journal)  # its answer comes behind what is said of the subscription
    for refusal in broker.refusals:
        yield Fault("", f"not permitted: {refusal}", _RIGHTS_FIX, "remark")


def _attempts(
    broker: Broker, names: StreamNames, wanted: Sequence[StreamDefinition]
) -> Iterator[Callable[[], object]]:
    """Yield calls that change nothing, one for each right that is needed."""
    yield partial(call, broker, "STREAM.NAMES", {"subject": f"sge.{names.site}.>"})
    for definition in wanted:
        stream = definition.name
        headers = {"Nats-Expected-Last-Sequence": _NO_SUCH_SEQUENCE}
        for subject in definition.config["subjects"]:
            tried = subject.replace(">", "x")
            yield partial(write_expecting, broker, tried, b"", headers)
        yield partial(read_from_leader, broker, stream, {"seq": 1})
        yield partial(read_directly, broker, stream, {"seq": 1, "batch": 1})
        if definition.is_changeable:
            yield partial(create_stream, broker, definition)  # as it is: that changes nothing
        if not stream.startswith("KV_"):
            nothing = {"filter": definition.config["subjects"][0].replace(">", "none")}
            yield partial(call, broker, "STREAM.PURGE", nothing, stream=stream)
