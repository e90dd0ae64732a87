"""What a callback gets beside the event: `ctx`."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from sgevents_core.dispatch.store import Store
from sgevents_core.events import Event
from sgevents_core.plugins.loading import LoadedPlugin
from sgevents_core.settings import PluginSettings, SiteSettings

if TYPE_CHECKING:
    from shotgun_api3.shotgun import Shotgun


class Services:
    """What all calls of one plugin share.

    Args:
        plugin: The plugin.
        site: The site and the daemon's own credentials.
        own: The plugin's table of the config, with its own credentials if it has some.
        store: Its durable mapping.
        site_key: What names the site and era in `ctx.key`.
    """

    def __init__(
        self,
        plugin: LoadedPlugin,
        site: SiteSettings,
        own: PluginSettings,
        store: Store,
        site_key: str,
    ) -> None:
        self.name = plugin.name
        self.logger = logging.getLogger(f"sgevents.plugin.{plugin.name}")
        self.settings: Mapping[str, Any] = MappingProxyType(dict(own.settings))
        self.store = store
        self.site_key = site_key
        self._site = site
        self._script_name = own.script_name or site.script_name
        self._api_key = own.api_key if own.api_key is not None else site.api_key
        self._local = threading.local()

    @property
    def secrets(self) -> list[str]:
        """Texts that must not be in anything kept or shown."""
        return [self._api_key.reveal(), self._site.api_key.reveal()]

    def connect(self, session_uuid: str | None) -> Shotgun:
        """Return this thread's connection, set to speak for the session that caused the event."""
        sg = getattr(self._local, "sg", None)
        if sg is None:
            from shotgun_api3.shotgun import Shotgun  # noqa: PLC0415 - many plugins never ask for it

            sg = Shotgun(
                self._site.url,
                script_name=self._script_name,
                api_key=self._api_key.reveal(),
                http_proxy=self._site.http_proxy,
                ca_certs=self._site.ca_certs,
                connect=False,
            )
            sg.config.timeout_secs = self._site.timeout
            self._local.sg = sg
        sg.config.session_uuid = session_uuid
        return sg


class CallContext:
    """The `ctx` of one call of one callback; see `sgevents_core.Context`."""

    __slots__ = ("_callback", "_event", "_services", "attempt")

    def __init__(
        self, services: Services, event: Event | None, callback: str, attempt: int = 1
    ) -> None:
        self._services = services
        self._event = event
        self._callback = callback
        self.attempt = attempt

    @property
    def sg(self) -> Shotgun:
        """A connection to the site with the plugin's credentials."""
        return self._services.connect(self._event.session_uuid if self._event else None)

    @property
    def logger(self) -> logging.Logger:
        """The plugin's logger."""
        return self._services.logger

    @property
    def settings(self) -> Mapping[str, Any]:
        """The plugin's own settings."""
        return self._services.settings

    @property
    def store(self) -> Store:
        """The plugin's durable mapping."""
        return self._services.store

    @property
    def key(self) -> str:
        """A name for this call that stays the same whenever it is made again."""
        event_id = self._event.id if self._event else ""
        return f"{self._services.site_key}:{event_id}:{self._services.name}:{self._callback}"

    @property
    def plugin(self) -> str:
        """The plugin's name."""
        return self._services.name

    @property
    def dry_run(self) -> bool:
        """Whether writes through `sg` are only shown."""
        return False
