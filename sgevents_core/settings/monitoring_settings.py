"""What others are told: the figures that monitoring reads, and the alerts that people get."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from sgevents_core.choices import ALERT_KINDS, AlertKind
from sgevents_core.settings.listen_address import ListenSetting
from sgevents_core.settings.value_kinds import SecretList, SecretText
from sgevents_core.settings.value_limits import Duration, LongDuration, NonEmptyName


class MetricsSettings(Struct, frozen=True, kw_only=True):
    """`[metrics]`: where monitoring reads figures and health; nothing listens without `listen`."""

    listen: Annotated[
        ListenSetting | None,
        Meta(
            examples=["127.0.0.1:9108"],
            description="The address at which the daemon answers `/metrics`, `/healthz` and "
            '`/readyz`, such as `"127.0.0.1:9108"`; port `0` takes one that is free. Whoever can '
            "connect to it can read names of plugins and callbacks, versions and figures.",
        ),
    ] = None
    ready_within: Annotated[
        LongDuration,
        Meta(
            description="How far the daemon may be behind the site and still count as ready, at "
            'least `"1s"`: longer than `idle_interval` in `[feed]`.'
        ),
    ] = 120.0


class AlertSettings(Struct, frozen=True, kw_only=True):
    """One table of `[[alerts]]`: who is told of what."""

    urls: Annotated[
        SecretList,
        Meta(
            description="Who is told: addresses as Apprise has them, such as "
            '`"mailto://user:password@mail.studio"`. Each may be given by a reference.'
        ),
    ]
    on: Annotated[
        tuple[AlertKind, ...],
        Meta(description="What they are told of; by default, everything."),
    ] = ALERT_KINDS
    plugins: Annotated[
        tuple[NonEmptyName, ...],
        Meta(
            description="Of which plugins they are told; by default, of all. What concerns no "
            "plugin, such as an outage, is told in any case."
        ),
    ] = ()
    every: Annotated[
        LongDuration,
        Meta(
            description="How long after a message about a problem they may get the next one about "
            'it, at least `"1s"`, while it lasts or if it comes again.'
        ),
    ] = 4 * 3600.0
    after: Annotated[
        Duration,
        Meta(
            description="How long a problem that may pass by itself has to last before they are "
            "told: `outage`, `held`, `lag` and `disk`."
        ),
    ] = 60.0
    lag: Annotated[
        LongDuration,
        Meta(description='How far a plugin has to be behind to count as `lag`, at least `"1s"`.'),
    ] = 600.0
    heartbeat: Annotated[
        SecretText | None,
        Meta(
            description="A URL, `https://` or `http://`, that is called while all is well: the "
            "daemon follows the site, and nothing that the table is about is wrong."
        ),
    ] = None
    heartbeat_every: Annotated[
        LongDuration, Meta(description='How often it is called, at least `"1s"`.')
    ] = 60.0
