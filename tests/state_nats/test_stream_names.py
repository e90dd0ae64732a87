"""What the streams of a site and its lanes are called, and which servers will do."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgevents_core.state.nats.server_checks import parse_version, server_faults, sync_faults
from sgevents_core.state.nats.stream_names import (
    StreamNames,
    escape_name,
    site_names,
    site_word,
    unescape_name,
)

NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)


@given(NAMES)
def test_every_name_is_a_word_and_comes_back(name: str) -> None:
    """Of letters, digits, `-` and `_` alone, which all of NATS takes."""
    assert re.fullmatch(r"[A-Za-z0-9_-]+", escape_name(name))
    assert unescape_name(escape_name(name)) == name


@given(st.text("_a-é0F", min_size=1, max_size=8), st.text("_a-é0F", min_size=1, max_size=8))
def test_two_names_are_two_words(first: str, second: str) -> None:
    """However many `_` they have."""
    assert (first == second) == (escape_name(first) == escape_name(second))


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("default", "default"),
        ("slow_lane-2", "slow_lane-2"),
        ("a.b", "a__2Eb"),
        ("a__b", "a__5F_b"),
    ],
)
def test_plain_names_stay_as_they_are(name: str, word: str) -> None:
    """So that the server's operator recognizes them."""
    assert escape_name(name) == word


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("https://studio.shotgrid.autodesk.com", "studio"),
        ("https://Studio.shotgrid.autodesk.com/", "studio"),
        ("https://flow.studio-x.example", "flow-studio-x-example"),
        ("http://127.0.0.1:8090", "127-0-0-1-8090"),
    ],
)
def test_a_site_is_one_word(url: str, word: str) -> None:
    """Without `_`, so that no lane of one site is called like a stream of another."""
    assert site_word(url) == word


def test_a_lane_is_known_by_its_stream() -> None:
    """And other streams are no lane's."""
    names = site_names("https://studio.shotgrid.autodesk.com")
    assert names == StreamNames("studio")
    assert names.lane_of(names.lane("my lane.2")) == "my lane.2"
    assert names.lane_of(names.journal) is None


@pytest.mark.parametrize(
    ("version", "weights"),
    [
        ("2.10.29", ["unusable"]),
        ("2.11.0", ["remark"]),
        ("2.12.2", ["remark"]),
        ("2.12.3", []),
        ("2.15.1", []),
        ("3.0.0-beta.1", []),
        ("", ["unusable"]),
    ],
)
def test_old_servers_are_refused(version: str, weights: list[str]) -> None:
    """And those that are a little older than is advised are remarked on."""
    info = {"version": version, "max_payload": 1024 * 1024}
    assert [fault.weight for fault in server_faults(info)] == weights


def test_a_server_that_takes_too_short_messages_is_refused() -> None:
    """A part of a long message has to fit, its headers included."""
    info = {"version": "2.15.1", "max_payload": 512 * 1024}
    (fault,) = server_faults(info)
    assert fault.problem == "it takes messages of at most 524,288 bytes"
    assert fault.prevents_run("relaxed")


@pytest.mark.parametrize(
    ("server_settings", "weight"),
    [(None, "remark"), ({}, "unsafe"), ({"sync_always": False}, "unsafe")],
)
def test_a_server_has_to_sync(server_settings: dict[str, bool] | None, weight: str) -> None:
    """If it is known not to, it is refused unless people say that they accept that."""
    (fault,) = sync_faults(server_settings)
    assert fault.weight == weight
    assert fault.prevents_run("full") == (weight == "unsafe")
    assert not fault.prevents_run("relaxed")


def test_versions_are_numbers() -> None:
    """A pre-release counts as its version."""
    assert parse_version("2.12.3-RC.1") == (2, 12, 3)
