"""Who may come into the console: settings that would let in others, or nobody."""

from __future__ import annotations

from pathlib import Path

import pytest

from sgevents_core.errors import ConfigError
from sgevents_core.settings import Settings, read_settings

CONFIG = """
[site]
url = "https://studio.shotgrid.autodesk.com"
script_name = "sgevents"
api_key = "key"
"""


def settings_with(table: str) -> Settings:
    """Return the settings of a configuration with another table."""
    return read_settings(CONFIG + table, Path("sgevents.toml"))


@pytest.mark.parametrize(
    "header",
    ["Host", "cookie", "Authorization", "X-Forwarded-For", "User-Agent", "Sec-Fetch-Site"],
)
def test_a_header_of_the_callers_own_does_not_say_who_calls(header: str) -> None:
    """A proxy passes those on, so everybody could be anybody."""
    table = f'[console.access]\nheader = "{header}"\nfrom = ["10.1.2.3"]\n'
    with pytest.raises(ConfigError, match="callers themselves"):
        settings_with(table)


@pytest.mark.parametrize("header", ["X Remote User", "X-Remote-User:", "X-R\u00e9mote", "a/b"])
def test_a_header_that_cannot_be_sent_is_refused(header: str) -> None:
    """Nobody could come in."""
    table = f'[console.access]\nheader = "{header}"\nfrom = ["10.1.2.3"]\n'
    with pytest.raises(ConfigError, match="no name of a header"):
        settings_with(table)


@pytest.mark.parametrize("header", ["X-Remote-User", "Remote-User", "X_User", "X-Forwarded-User"])
def test_headers_of_proxies_are_taken(header: str) -> None:
    """Those that the usual ones set."""
    table = f'[console.access]\nheader = "{header}"\nfrom = ["10.1.2.3"]\n'
    access = settings_with(table).console_access
    assert access is not None
    assert access.header == header


@pytest.mark.parametrize(
    "host", ["*", "*.studio.example", "console:8090", "https://console", "a/b", "a b", "::1"]
)
def test_a_host_that_no_browser_calls_is_refused(host: str) -> None:
    """It would let nobody in, and look as if it did."""
    with pytest.raises(ConfigError, match="no name that a browser could call"):
        settings_with(f'[console]\nhosts = ["{host}"]\n')


@pytest.mark.parametrize("host", ["console", "console.studio.example", "10.1.2.3", "[::1]", "a_b"])
def test_names_and_addresses_are_hosts(host: str) -> None:
    """As browsers send them."""
    assert settings_with(f'[console]\nhosts = ["{host}"]\n').console.hosts == (host,)
