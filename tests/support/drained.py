"""A daemon in this process: one that handles all events and ends, one that keeps running."""

from __future__ import annotations

import threading
from collections.abc import Container, Iterator
from contextlib import contextmanager
from pathlib import Path

from sgevents_core.daemon.daemon import Daemon
from sgevents_core.daemon.remains import Remains
from sgevents_core.sandbox import Sandbox
from sgevents_core.settings import Settings, load_settings


def drain(folder: Path, site: Sandbox, tables: str, *, without: Container[str] = ()) -> Remains:
    """Run until everything is handled; the state stays, so the next call continues from it.

    Args:
        folder: Where configuration and state are.
        site: The site.
        tables: The tables of the plugins, as the configuration has them.
        without: Plugins to leave out.
    """
    return Daemon(configured(folder, site, tables), drain=True, without=without).run()


@contextmanager
def going_on(folder: Path, site: Sandbox, tables: str) -> Iterator[None]:
    """Run while the block lasts; the arguments are those of `drain`."""
    daemon = Daemon(configured(folder, site, tables))
    thread = threading.Thread(target=daemon.run)
    thread.start()
    try:
        yield
    finally:
        daemon.stop()
        thread.join()


def configured(folder: Path, site: Sandbox, tables: str) -> Settings:
    """Write a configuration, and return the settings in it."""
    config = folder / "sgevents.toml"
    text = f'[site]\nurl = "{site.url}"\nscript_name = "{site.script_name}"\n'
    text += f'api_key = "{site.api_key}"\n[feed]\npoll_interval = "10ms"\nstart = 1\n{tables}'
    config.write_text(text, encoding="utf-8")
    config.chmod(0o600)
    return load_settings(config)
