"""A console in this process, with a client that stands for a browser."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import tzinfo
from pathlib import Path

from starlette.testclient import TestClient

from sgevents_core.console.app import ConsoleParts, make_console
from sgevents_core.console.gate import Gate
from sgevents_core.console.sessions import Sessions
from sgevents_core.console.sites import Sites
from sgevents_core.console.ways_in import OpenWay, WayIn
from sgevents_core.settings import read_settings

ADDRESS = "http://127.0.0.1:8090"
CONFIG = """
[site]
url = "https://{name}.shotgrid.autodesk.com"
script_name = "sgevents"
api_key = "key-of-{name}"
[state]
path = "{name}"
"""


def config_file(folder: Path, name: str = "studio", more: str = "") -> Path:
    """Return a configuration file in a folder, whose state is beside it."""
    path = folder / f"{name}.toml"
    path.write_text(CONFIG.format(name=name) + more, encoding="utf-8")
    return path


@contextmanager
def console_client(
    configs: Sequence[Path],
    way_in: WayIn | None = None,
    peer: str = "127.0.0.1",
    *,
    zone: tzinfo | None = None,
) -> Iterator[TestClient]:
    """Yield a browser's client of a console.

    Args:
        configs: The configuration files.
        way_in: How people come in; by default, everybody as `anna@host`.
        peer: The address that the client calls from.
        zone: The studio's time zone.
    """
    all_settings = [
        read_settings(path.read_text(encoding="utf-8"), path, secrets_required=False)
        for path in configs
    ]
    parts = ConsoleParts(
        sites=Sites(all_settings),
        gate=Gate(
            way_in or OpenWay("anna@host"), Sessions(b"key of these tests, 32 bytes at least")
        ),
        hosts=frozenset({"127.0.0.1", "localhost"}),
        zone=zone,
    )
    client = TestClient(
        make_console(parts), base_url=ADDRESS, client=(peer, 50000), follow_redirects=False
    )
    with client:
        yield client


def form_token(client: TestClient, root: str = "/sites/studio", **headers: str) -> str:
    """Return the token that the forms of this session carry."""
    page = client.get(f"{root}/requests", headers=headers)
    match = re.search(r'name="form-token" content="([0-9a-f]+)"', page.text)
    assert match is not None, page.text
    return match[1]
