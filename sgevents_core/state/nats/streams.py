"""The streams and buckets of one site: their names, what they must be like, making them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias
from urllib.parse import urlsplit

from sgevents_core.errors import StreamMissing
from sgevents_core.printable import counted
from sgevents_core.state.nats.connection import Broker
from sgevents_core.state.nats.faults import Fault, FaultWeight
from sgevents_core.state.nats.jetstream import call, stream_info

HINT: Final = "hint"
"""What stands in front of the subject under which a message is announced."""
_SITE_KEY: Final = "sgevents-site"
_SITES: Final = ".shotgrid.autodesk.com"
_SECOND: Final = 1_000_000_000
_REQUEST_DAYS: Final = 30
_PLAIN: Final = re.compile(r"[A-Za-z0-9-]")
_REST: Final = ">"


def escape_name(name: str) -> str:
    """Return a lane's or host's name as a word of stream names, subjects and keys.

    Letters, digits, `-` and single `_` stay; every other byte is `__` and two hexadecimal digits.
    """
    escaped = []
    for place, letter in enumerate(name):
        is_single = letter == "_" and _PLAIN.fullmatch(name[place + 1 : place + 2] or "-")
        if _PLAIN.fullmatch(letter) or is_single:
            escaped.append(letter)
        else:
            escaped.extend(f"__{byte:02X}" for byte in letter.encode())
    return "".join(escaped)


def unescape_name(word: str) -> str:
    """Return the name that a word was made of; see `escape_name`."""
    raw = re.sub(rb"__([0-9A-F]{2})", lambda match: bytes([int(match[1], 16)]), word.encode())
    return raw.decode("utf-8", "replace")


def site_word(site_url: str) -> str:
    """Return one word for a site, which its streams are named after; it has no `_`."""
    address = urlsplit(site_url).netloc.rpartition("@")[2].lower().removesuffix(_SITES)
    return re.sub(r"[^a-z0-9]+", "-", address).strip("-")


class StreamNames(NamedTuple):
    """The names of everything that belongs to one site.

    Args:
        site: The site's word; see `site_word`.
    """

    site: str

    @property
    def journal(self) -> str:
        """The stream of the journal."""
        return f"SGE_{self.site}_J"

    @property
    def requests(self) -> str:
        """The stream of people's requests."""
        return f"SGE_{self.site}_A"

    @property
    def numbers(self) -> str:
        """The stream that counts failures and letters."""
        return f"SGE_{self.site}_N"

    @property
    def lease_bucket(self) -> str:
        """The bucket of the leases."""
        return f"SGE_{self.site}_lease"

    @property
    def bucket(self) -> str:
        """The bucket of the pointer to the newest snapshot, and of the snapshots."""
        return f"SGE_{self.site}"

    def lane(self, lane_name: str) -> str:
        """The stream of a lane."""
        return f"SGE_{self.site}_L_{escape_name(lane_name)}"

    def lane_of(self, stream_name: str) -> str | None:
        """The lane that a stream is of; None if it is none's."""
        start = self.lane("")
        return (
            unescape_name(stream_name.removeprefix(start))
            if stream_name.startswith(start)
            else None
        )

    def journal_subject(self, kind: str) -> str:
        """The subject of a kind of message of the journal."""
        return f"sge.{self.site}.j.{kind}"

    def lane_subject(self, lane_name: str, kind: str) -> str:
        """The subject of a kind of message of a lane."""
        return f"sge.{self.site}.l.{escape_name(lane_name)}.{kind}"

    @property
    def request_subject(self) -> str:
        """The subject of requests."""
        return f"sge.{self.site}.a.x"

    @property
    def number_subject(self) -> str:
        """The subject of the counter."""
        return f"sge.{self.site}.n.x"

    @property
    def hints(self) -> str:
        """The subject under which every message of the site is announced."""
        return f"{HINT}.sge.{self.site}.{_REST}"


def site_names(site_url: str) -> StreamNames:
    """Return the names of everything that belongs to a site."""
    return StreamNames(site_word(site_url))


class StreamDefinition(NamedTuple):
    """A stream as it must be.

    Args:
        name: Its name.
        purpose: What is in it, for people.
        config: What it is made with, in JetStream's own words.
        is_changeable: Whether it may be changed while hosts use it: nothing rests on it.
    """

    name: str
    purpose: str
    config: Mapping[str, Any]
    is_changeable: bool = False


def definitions(
    names: StreamNames, site_url: str, lane_names: Iterable[str], *, replicas: int, lease: float
) -> list[StreamDefinition]:
    """Return everything that a site needs.

    Args:
        names: The site's names.
        site_url: The site's address, which is written into the streams.
        lane_names: The lanes of the configuration.
        replicas: On how many servers each is stored.
        lease: How many seconds a lease lasts.
    """

    def log(name: str, purpose: str, subjects: str, **more: Any) -> StreamDefinition:
        return StreamDefinition(
            name, purpose, _log_config(name, subjects, site_url, replicas) | more
        )

    start = f"sge.{names.site}"
    month = _REQUEST_DAYS * 86400 * _SECOND
    bucket = {"subject": f"$KV.{names.bucket}.>", "name": f"KV_{names.bucket}"}
    return [
        log(names.journal, "the journal", f"{start}.j.>"),
        *(
            log(names.lane(lane), f"the lane {lane}", f"{start}.l.{escape_name(lane)}.>")
            for lane in sorted(lane_names)
        ),
        log(
            names.requests,
            "people's requests",
            f"{start}.a.>",
            max_age=month,
            duplicate_window=120 * _SECOND,
        ),
        log(names.numbers, "a counter", f"{start}.n.>", max_msgs=1, discard="old"),
        lease_definition(names, site_url, replicas=replicas, lease=lease),
        StreamDefinition(
            bucket["name"],
            "the pointer to the newest snapshot",
            _bucket_config(bucket["name"], [bucket["subject"]], site_url, replicas),
        ),
        StreamDefinition(
            f"OBJ_{names.bucket}",
            "snapshots",
            _bucket_config(
                f"OBJ_{names.bucket}",
                [f"$O.{names.bucket}.C.>", f"$O.{names.bucket}.M.>"],
                site_url,
                replicas,
            )
            | {"max_msgs_per_subject": -1},
        ),
    ]


def lease_definition(
    names: StreamNames, site_url: str, *, replicas: int, lease: float
) -> StreamDefinition:
    """Return the bucket of the leases, which a daemon may make anew: nothing rests on it."""
    stream = f"KV_{names.lease_bucket}"
    config = _bucket_config(stream, [f"$KV.{names.lease_bucket}.>"], site_url, replicas)
    config["max_age"] = int(lease * _SECOND)
    return StreamDefinition(stream, "the leases", config, is_changeable=True)


def _log_config(name: str, subjects: str, site_url: str, replicas: int) -> dict[str, Any]:
    return {
        "name": name,
        "subjects": [subjects],
        "storage": "file",
        "retention": "limits",
        "discard": "new",
        "num_replicas": replicas,
        "allow_direct": True,
        "republish": {"src": subjects, "dest": f"{HINT}.{subjects}", "headers_only": True},
        "metadata": {_SITE_KEY: site_url},
    }


def _bucket_config(
    name: str, subjects: Sequence[str], site_url: str, replicas: int
) -> dict[str, Any]:
    return {
        "name": name,
        "subjects": list(subjects),
        "storage": "file",
        "retention": "limits",
        "discard": "new",
        "num_replicas": replicas,
        "allow_direct": True,
        "allow_rollup_hdrs": True,
        "max_msgs_per_subject": 1,
        "metadata": {_SITE_KEY: site_url},
    }


def create_stream(broker: Broker, definition: StreamDefinition) -> None:
    """Make a stream; does nothing if it is there and just like that.

    Raises:
        BrokerError: It cannot be made, or another one of that name is there.
    """
    call(broker, "STREAM.CREATE", definition.config, stream=definition.name)


def create_streams(broker: Broker, wanted: Iterable[StreamDefinition]) -> list[str]:
    """Make the streams that are missing, and return their names. Only for `cluster init`.

    Raises:
        BrokerError: One cannot be made.
    """
    made = []
    for definition in wanted:
        if find_stream(broker, definition.name) is None:
            create_stream(broker, definition)
            made.append(definition.name)
    return made


def update_stream(broker: Broker, definition: StreamDefinition) -> None:
    """Change a stream to what it must be; only for one that nothing rests on.

    Raises:
        BrokerError: It cannot be changed.
    """
    call(broker, "STREAM.UPDATE", definition.config, stream=definition.name)


def find_stream(broker: Broker, name: str) -> dict[str, Any] | None:
    """Return what the server says about a stream; None if there is none."""
    try:
        return stream_info(broker, name)
    except StreamMissing:
        return None


def differences(definition: StreamDefinition, info: Mapping[str, Any]) -> list[Fault]:
    """Compare a stream with what the promise needs.

    Args:
        definition: What it must be.
        info: What the server says about it.
    """
    owner = info["config"].get("metadata", {}).get(_SITE_KEY, "")
    if urlsplit(owner).netloc != urlsplit(definition.config["metadata"][_SITE_KEY]).netloc:
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
    seconds, wanted_seconds = config["max_age"] / _SECOND, wanted.get("max_age", 0) / _SECOND
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
