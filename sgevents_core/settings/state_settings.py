"""Where the journal and the ledger are: on this host, or on servers that several hosts share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

from sgevents_core.choices import Durability, ReplicaCount
from sgevents_core.settings.broker_url import BrokerSetting
from sgevents_core.settings.value_kinds import (
    ExistingFile,
    NoteSetting,
    PathSetting,
    ReferableText,
    SecretText,
    duration_kind,
)
from sgevents_core.settings.value_limits import Duration, NonEmptyName


class StateSettings(Struct, frozen=True, kw_only=True):
    """`[state]`: the journal and the ledger: their folder, or their NATS servers."""

    path: Annotated[
        PathSetting,
        Meta(
            description="The folder that contains them, on a local disk. It is created if it does "
            "not exist. With `url`: this host's copy of them, and its own files."
        ),
    ] = Path("state")
    retention: Annotated[
        Duration,
        Meta(description="How long events are kept after every enabled plugin has handled them."),
    ] = 30 * 86400.0
    url: Annotated[
        BrokerSetting | None,
        Meta(
            examples=["nats://b1:4222,b2:4222"],
            description="The NATS servers that several hosts share, `nats://HOST:PORT`, or "
            "`tls://HOST:PORT` for an encrypted connection, separated by commas; by default, "
            "there are none, and the state is this host's alone. The keys below need it.",
        ),
    ] = None
    user: Annotated[
        ReferableText | None,
        Meta(description="The user to sign in to them as. Requires `password`."),
    ] = None
    password: Annotated[SecretText | None, Meta(description="That user's password.")] = None
    credentials: Annotated[
        ExistingFile | None,
        Meta(description="The credentials file to sign in with, instead of a user."),
    ] = None
    nkey: Annotated[
        ExistingFile | None,
        Meta(description="The file with the NKey seed to sign in with, instead of a user."),
    ] = None
    ca_certs: Annotated[
        ExistingFile | None,
        Meta(
            description="A file of certificates to trust, if those of the servers are not signed "
            "by a public authority."
        ),
    ] = None
    cert: Annotated[
        ExistingFile | None,
        Meta(description="The certificate to show to servers that ask for one. Requires `key`."),
    ] = None
    key: Annotated[
        ExistingFile | None, Meta(description="The file with the certificate's private key.")
    ] = None
    replicas: Annotated[
        ReplicaCount,
        Meta(
            description="On how many servers each stream is stored, `1` or `3`; what "
            "`sgevents cluster init` makes, and what the streams must have."
        ),
    ] = 1
    host: Annotated[
        ReferableText | None,
        Meta(
            examples=["render01"],
            description="The name of this host among the others; by default, that of the machine. "
            "No two hosts may have the same.",
        ),
    ] = None
    lease: Annotated[
        float,
        duration_kind(2, 60),
        Meta(
            description='How long a host that no longer answers keeps its lanes, from `"2s"` to '
            '`"60s"`; half a second after that others take them.'
        ),
    ] = 5.0
    note: Annotated[
        NoteSetting,
        Meta(
            description='When the return of a callback is sent to the servers: `"call"`, before '
            "the next one begins, or how long quick calls are gathered, from `1ms` to `1s`. If the "
            "host dies and another one goes on, what was gathered is called again."
        ),
    ] = 0.0
    durability: Annotated[
        Durability,
        Meta(
            description='`"full"`: servers that could lose what they have confirmed are refused; '
            '`"relaxed"`: they are accepted with a warning.'
        ),
    ] = "full"


class HostSettings(Struct, frozen=True, kw_only=True):
    """`[hosts.NAME]`: what one of several hosts works at; NAME is its `host` in `[state]`."""

    weight: Annotated[
        int,
        Meta(
            ge=0,
            le=100,
            description="How large the host's share of the lanes is, compared with the other "
            "hosts; with `0` it only takes lanes that no other host can take.",
        ),
    ] = 1
    lanes: Annotated[
        tuple[NonEmptyName, ...] | None,
        Meta(
            examples=[["default"]],
            description="The lanes that the host may work at; by default, all.",
        ),
    ] = None
    pinned: Annotated[
        tuple[NonEmptyName, ...],
        Meta(
            description="The lanes that the host works at whenever it is there; another host "
            "takes them while it is not."
        ),
    ] = ()
    feed: Annotated[bool, Meta(description="Whether the host may follow the site's event log.")] = (
        True
    )
