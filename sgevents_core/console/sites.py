"""The sites of a console: their settings, read again when a file changes, and their states."""

from __future__ import annotations

import re
import threading
from collections.abc import Hashable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from sgevents_core.console.dry_runs import DryRuns
from sgevents_core.console.inspections import Inspections
from sgevents_core.console.problems import StateUnreadable
from sgevents_core.errors import ConfigError
from sgevents_core.observe.redaction import Redactor
from sgevents_core.settings import Settings, load_settings
from sgevents_core.state.opening import open_state, open_storage
from sgevents_core.state.protocols import Requests
from sgevents_core.state.running import read_running_daemon


class ConsoleSite:
    """One site: its configuration file and its state.

    Args:
        settings: The settings, as read at the start.
        slug: The site's name in addresses.
    """

    def __init__(self, settings: Settings, slug: str) -> None:
        self.slug = slug
        self._settings = settings
        self._redactor = Redactor.of(settings)
        self._file_mark = _file_mark(settings.path)
        self._reading_lock = threading.Lock()
        self._config_problem = ""
        self.dry_runs = DryRuns(settings.path)
        self.inspections = Inspections(settings.path, self._inspection_mark)
        """What only loading the plugins tells."""
        self.config_name = ""
        """The name of its configuration, if another site has the same host."""

    def _inspection_mark(self) -> Hashable:
        running = read_running_daemon(self.state_folder)
        return (_file_mark(self._settings.path), running.run if running else "")

    @property
    def settings(self) -> Settings:
        """The settings, read again if the file has changed; the last usable ones."""
        self._refresh()
        return self._settings

    def _refresh(self) -> None:
        file_mark = _file_mark(self._settings.path)
        with self._reading_lock:
            if file_mark != self._file_mark:
                self._file_mark = file_mark
                self._read_again()

    def _read_again(self) -> None:
        try:
            self._settings = load_settings(self._settings.path, secrets_required=False)
        except ConfigError as error:
            self._config_problem = str(error)
        else:
            self._config_problem = ""
            self._redactor = Redactor.of(self._settings)

    @property
    def config_problem(self) -> str:
        """Why the configuration cannot be read any more; empty if it can."""
        self._refresh()
        return self._config_problem

    @property
    def config_path(self) -> Path:
        """The file of its configuration."""
        return self._settings.path

    @property
    def state_folder(self) -> Path:
        """The folder of the site's state."""
        return self._settings.state.path

    @contextmanager
    def open_requests(self) -> Iterator[Requests]:
        """Open people's requests while the block lasts, of a state that has some.

        Opening them upgrades a state, which is for the daemon's start alone.

        Raises:
            StateUnreadable: No daemon has run on the state, or none of this version.
        """
        if not open_state(self.state_folder).is_made():
            raise StateUnreadable("Nothing has run on this state yet: start with sgevents run.")
        if open_storage(self.state_folder).is_outdated():
            raise StateUnreadable(
                "The state is of an older version than this console. Restart the daemon with this "
                "version: it upgrades the state."
            )
        with closing(open_state(self.state_folder).requests()) as requests:
            yield requests

    @property
    def address(self) -> str:
        """The site's own address, without a slash at the end."""
        return self._settings.site.url.rstrip("/")

    @property
    def title(self) -> str:
        """The site's host, and the configuration if another one has that host; for people."""
        host = urlsplit(self.address).netloc or self.address
        return f"{host} ({self.config_name})" if self.config_name else host

    @property
    def redactor(self) -> Redactor:
        """Takes the configuration's secrets out of texts."""
        return self._redactor


class Sites:
    """The sites of a console, by their names in addresses.

    Args:
        all_settings: The settings of each site, the console's own first.
    """

    def __init__(self, all_settings: Sequence[Settings]) -> None:
        self._by_slug: dict[str, ConsoleSite] = {}
        for settings in all_settings:
            slug = self._free_slug(settings)
            self._by_slug[slug] = ConsoleSite(settings, slug)
        for sites_of_host in _by_title(self._by_slug.values()):
            _tell_apart(sites_of_host)

    def _free_slug(self, settings: Settings) -> str:
        site_host = urlsplit(settings.site.url).hostname or "site"
        is_name = re.fullmatch(r"[0-9.:]+", site_host) is None
        short_name = site_host.partition(".")[0] if is_name else site_host
        slug = re.sub(r"[^a-z0-9-]+", "-", short_name.lower()).strip("-") or "site"
        suffix_number = 1
        while (
            numbered_slug := slug if suffix_number == 1 else f"{slug}-{suffix_number}"
        ) in self._by_slug:
            suffix_number += 1
        return numbered_slug

    def __iter__(self) -> Iterator[ConsoleSite]:
        return iter(self._by_slug.values())

    def __len__(self) -> int:
        return len(self._by_slug)

    def get(self, slug: str) -> ConsoleSite | None:
        """Return the site with a name; None if there is none."""
        return self._by_slug.get(slug)


def _by_title(sites: Iterable[ConsoleSite]) -> list[list[ConsoleSite]]:
    """Return the sites with one title in lists."""
    by_title: dict[str, list[ConsoleSite]] = {}
    for site in sites:
        by_title.setdefault(site.title, []).append(site)
    return list(by_title.values())


def _tell_apart(sites_of_host: Sequence[ConsoleSite]) -> None:
    """Add the names of their configurations to the titles of sites of one host."""
    stems = {site.config_path.stem for site in sites_of_host}
    has_own_stems = len(stems) == len(sites_of_host)
    for site in sites_of_host if len(sites_of_host) > 1 else ():
        config_path = site.config_path
        site.config_name = config_path.stem if has_own_stems else config_path.parent.name


def _file_mark(config_path: Path) -> tuple[int, int, int] | None:
    """Return what changes with a file; None if it cannot be accessed."""
    try:
        file_status = config_path.stat()
    except OSError:
        return None
    return (file_status.st_mtime_ns, file_status.st_size, file_status.st_ino)
