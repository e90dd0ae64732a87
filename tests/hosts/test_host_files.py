"""The version of configuration and plugins that a host has: what counts, and what is shown."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
from msgspec import Struct

from sgevents_core import __version__
from sgevents_core.hosts.host_files import (
    HOST_KEYS,
    HostFiles,
    PluginVersion,
    describe_host_files,
    difference_text,
    digest_tables,
    find_differences,
    read_classic_contents,
    read_host_files,
)
from sgevents_core.plugins.implementing import Registry
from sgevents_core.plugins.loading import Loaded
from sgevents_core.plugins.plugin_status import PluginStatus
from sgevents_core.settings import load_settings
from sgevents_core.settings.fitting import model_keys_of
from sgevents_core.settings.model import FeedSettings, LaneSettings, PluginSettings, SiteSettings
from sgevents_core.settings.state_settings import StateSettings
from sgevents_core.settings.value_kinds import ExistingFile

_EXISTING_FILE = get_args(ExistingFile)[1]
SECRET = "correct-horse-battery"
CONFIG = """
[site]
url = "https://studio.shotgrid.autodesk.com"
script_name = "sgevents"
api_key = "{key}"

[state]
path = "{path}"
url = "nats://{server}:4222"
host = "{host}"
retention = "{retention}"

[log]
level = "{level}"

[metrics]
listen = "127.0.0.1:{port}"

[hosts.alpha]
weight = {weight}

[[groups]]
name = "{group}"

[plugins.tool]
enabled = true
group = "{group}"
max_attempts = {attempts}

[plugins.tool.settings]
folder = "{folder}"
deep = {{ limit = {limit} }}

[plugins.idle]
max_attempts = {idle_attempts}
"""
VALUES = {
    "key": SECRET,
    "path": "state",
    "server": "127.0.0.1",
    "host": "alpha",
    "retention": "30d",
    "level": "info",
    "port": "9108",
    "weight": "1",
    "group": "first",
    "attempts": "5",
    "folder": "/jobs",
    "limit": "3",
    "idle_attempts": "3",
}


def files_of(
    config_folder: Path, version: str = "1.0", status: str = "enabled", **values: str
) -> HostFiles:
    """Return what a host with this configuration runs."""
    config = config_folder / "sgevents.toml"
    config.write_text(CONFIG.format(**{**VALUES, **values}))
    config.chmod(0o600)
    settings = load_settings(config)
    tool = PluginStatus(name="tool", status=status, distribution="studio-tool", version=version)  # type: ignore[arg-type]  # one of them
    idle = PluginStatus(name="idle", status="disabled", distribution="studio-idle", version="9")
    loaded = Loaded(plugins=(), statuses=(tool, idle), registry=Registry())
    return describe_host_files(settings, loaded, read_classic_contents(settings))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("key", "another-secret-text"),
        ("path", "elsewhere"),
        ("server", "localhost"),
        ("host", "beta"),
        ("level", "debug"),
        ("port", "9109"),
        ("weight", "2"),
        ("idle_attempts", "4"),
    ],
)
def test_what_is_a_hosts_own_makes_no_version(tmp_path: Path, key: str, value: str) -> None:
    """Paths, addresses, secrets, the log, tables of hosts, and plugins that are not enabled."""
    assert files_of(tmp_path, **{key: value}).version() == files_of(tmp_path).version()


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [
        ("retention", "20d", "state.retention"),
        ("attempts", "6", "plugins.tool.max_attempts"),
        ("folder", "/projects", "plugins.tool.settings.folder"),
        ("limit", "4", "plugins.tool.settings.deep.limit"),
        ("group", "second", "groups"),
    ],
)
def test_key_that_must_be_equal_is_named(tmp_path: Path, key: str, value: str, named: str) -> None:
    """The key, and never its value: it may be a secret that no model declares."""
    wanted, other = files_of(tmp_path), files_of(tmp_path, **{key: value})
    assert wanted.version() != other.version()
    text = difference_text(find_differences(wanted, other))
    assert f"{named}: has another value" in text
    assert value not in text


def test_plugins_differ_by_distribution_version_and_whether_they_load(tmp_path: Path) -> None:
    """Each is named with what the host has and what is wanted."""
    wanted = files_of(tmp_path)
    newer = find_differences(wanted, files_of(tmp_path, version="1.1"))
    assert list(map(str, newer)) == ["plugin tool: studio-tool 1.1, and studio-tool 1.0 is wanted"]
    broken = find_differences(wanted, files_of(tmp_path, status="broken"))
    assert list(map(str, broken)) == ["plugin tool: is broken, and enabled is wanted"]
    missing = HostFiles(__version__, {}, wanted.keys)
    assert str(find_differences(wanted, missing)[0]) == "plugin tool: is not enabled"
    assert str(find_differences(missing, wanted)[0]) == "plugin tool: is enabled, and is not wanted"


def test_program_differs_by_its_version() -> None:
    """Two versions of sgevents on one state are named first."""
    text = difference_text(find_differences(HostFiles("2.0"), HostFiles("1.9")))
    assert text == "sgevents: 1.9, and 2.0 is wanted"


def test_classic_file_counts_with_its_content() -> None:
    """Where it is does not matter, nor when it was written."""
    wanted = HostFiles("1", {"classic:a/b": PluginVersion(content="1234")})
    other = HostFiles("1", {"classic:a/b": PluginVersion(content="5678")})
    assert wanted.version() != other.version()
    text = difference_text(find_differences(wanted, other))
    assert text == "plugin classic:a/b: its file has another content"


def test_many_differences_are_shortened() -> None:
    """A host with another configuration file has dozens."""
    other = HostFiles("1", {}, {f"feed.key{number}": "x" for number in range(12)})
    assert difference_text(find_differences(HostFiles("1"), other)).endswith("; and 4 more")


def test_no_secret_is_stored(tmp_path: Path) -> None:
    """Neither its text nor a digest of it, also where a plugin's settings repeat it."""
    stored = files_of(tmp_path, folder=SECRET)
    assert SECRET.encode() not in stored.encode()
    with_other_secret = files_of(tmp_path, key="another-secret-text", folder="another-secret-text")
    assert stored.version() == with_other_secret.version()


def test_stored_files_of_another_version_are_read_as_far_as_they_are_known() -> None:
    """A newer program says what its version is, whatever it adds."""
    files = HostFiles("1", {"tool": PluginVersion("studio-tool", "1.0")})
    stored = read_host_files(files.encode())
    assert stored is not None
    assert (stored.version, stored.files) == (files.version(), files)
    newer = b'{"version": "abc", "files": {"program": "2", "colours": []}, "more": 1}'
    read = read_host_files(newer)
    assert read is not None
    assert (read.version, read.files) == ("abc", HostFiles("2"))
    assert read_host_files(b"nonsense") is None


def test_tables_of_hosts_have_a_digest_of_their_own(tmp_path: Path) -> None:
    """They make no version, since a host that weighs less is no reason to wait."""
    digests = set()
    for weight in ("1", "2", "2"):
        files_of(tmp_path, weight=weight)
        digests.add(digest_tables(load_settings(tmp_path / "sgevents.toml")))
    assert len(digests) == 2


def test_every_path_and_address_of_the_compared_tables_is_a_hosts_own() -> None:
    """A key with a path that is added to them must be listed, or all hosts need equal folders."""
    tables: dict[str, type[Struct]] = {
        "site": SiteSettings,
        "feed": FeedSettings,
        "state": StateSettings,
        "lanes.x": LaneSettings,
        "plugins.x": PluginSettings,
    }
    with_paths = {
        f"{section}.{key.name}"
        for section, model in tables.items()
        for key in model_keys_of(model)
        if Path in {key.shape.core_type, *get_args(key.shape.core_type)}
        or getattr(key.shape.value_kind, "read", None) is _EXISTING_FILE.read
    }
    assert {"state.path", "state.credentials", "site.ca_certs"} <= with_paths
    assert with_paths <= HOST_KEYS
