"""The web pages: where they are, under which names, and who may come in."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct, field

from sgevents_core.choices import ConsoleWayIn
from sgevents_core.settings.listen_address import ListenAddress, ListenSetting
from sgevents_core.settings.networks import NetworkSetting
from sgevents_core.settings.value_kinds import ExistingFile, PasswordHashes, SecretText
from sgevents_core.settings.value_limits import NonEmptyName


class ConsoleSettings(Struct, frozen=True, kw_only=True):
    """`[console]`: the web pages of `sgevents console`."""

    listen: Annotated[
        ListenSetting,
        Meta(
            description="Where the console listens, `host:port`. Beyond this machine only with "
            "`[console.access]`."
        ),
    ] = ListenAddress("127.0.0.1", 8090)
    access: Annotated[
        ConsoleWayIn,
        Meta(
            description='`"token"`: who has the token that is shown at the start comes in; '
            '`"open"`: everybody who can connect from this machine. Or a table, '
            "`[console.access]`."
        ),
    ] = "token"
    hosts: Annotated[
        tuple[NonEmptyName, ...],
        Meta(
            description="Names under which browsers may call the console, without a port, such as "
            "that of a proxy; besides the address in `listen` and, if that is of this machine, "
            "`localhost`."
        ),
    ] = ()
    webhook_secret: Annotated[
        SecretText | None,
        Meta(
            description="The secret token of the site's webhooks, which then wake the feed: the "
            "console takes them at `/hooks/flow`. Each site has its own, in its own file."
        ),
    ] = None
    certificate: Annotated[
        ExistingFile | None,
        Meta(
            description="A file with the certificate and its chain, to serve over HTTPS. Requires "
            "`certificate_key`."
        ),
    ] = None
    certificate_key: Annotated[
        ExistingFile | None, Meta(description="The file with the certificate's private key.")
    ] = None
    time_zone: Annotated[
        NonEmptyName | None,
        Meta(
            examples=["America/Vancouver"],
            description="The time zone of the studio, shown beside the reader's own, and that of "
            "times that are searched for; by default, that of this machine.",
        ),
    ] = None


class ConsoleAccess(Struct, frozen=True, kw_only=True, rename={"proxies": "from"}):
    """`[console.access]`: who may come in, and who may change something."""

    users: Annotated[
        PasswordHashes,
        Meta(
            description="Users with the hashes of their passwords: `[console.access.users]`, "
            "`NAME = HASH`, as `sgevents console --hash-password` prints it."
        ),
    ] = field(default_factory=dict)
    header: Annotated[
        NonEmptyName | None,
        Meta(
            examples=["X-Remote-User"],
            description="The header in which a proxy in front names the person. Requires `from`; "
            "not together with `users`.",
        ),
    ] = None
    proxies: Annotated[
        tuple[NetworkSetting, ...],
        Meta(
            description="The addresses or networks of that proxy, as the connection shows them; "
            "calls from any other are refused."
        ),
    ] = ()
    operators: Annotated[
        tuple[NonEmptyName, ...],
        Meta(description="The people who may make requests; all others only read."),
    ] = ()
