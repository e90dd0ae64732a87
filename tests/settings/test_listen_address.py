"""Addresses to listen on: what is taken, what is refused with a better one, what is warned of."""

from __future__ import annotations

from pathlib import Path

import pytest

from sgevents_core.errors import ConfigError
from sgevents_core.settings import ListenAddress, Settings, read_settings

SITE = '[site]\nurl = "https://studio.example"\nscript_name = "s"\napi_key = "only-a-demo-key"\n'


def read(metrics_keys: str) -> Settings:
    """Return the settings of a file with these keys in `[metrics]`."""
    return read_settings(f"{SITE}[metrics]\n{metrics_keys}\n", Path("/studio/sgevents.toml"))


@pytest.mark.parametrize(
    ("written", "address", "is_loopback"),
    [
        ("127.0.0.1:9108", ("127.0.0.1", 9108), True),
        ("127.8.0.1:0", ("127.8.0.1", 0), True),
        ("localhost:65535", ("localhost", 65535), True),
        ("[::1]:9108", ("::1", 9108), True),
        ("0.0.0.0:9108", ("0.0.0.0", 9108), False),
        ("[::]:9108", ("::", 9108), False),
        ("monitored.studio:80", ("monitored.studio", 80), False),
    ],
)
def test_addresses_are_taken(written: str, address: ListenAddress, is_loopback: bool) -> None:
    """An address is a host and a port, and says who can connect; others are warned of."""
    settings = read(f'listen = "{written}"')
    assert settings.metrics.listen == address
    assert settings.metrics.listen is not None
    assert str(settings.metrics.listen) == written
    assert settings.metrics.listen.is_loopback is is_loopback
    warned = [problem.key for problem in settings.warnings if "other machines" in problem.message]
    assert warned == ([] if is_loopback else ["metrics.listen"])


@pytest.mark.parametrize(
    ("written", "fix"),
    [
        ("9108", 'write listen = "127.0.0.1:9108"'),
        ('"9108"', 'write listen = "127.0.0.1:9108"'),
        ('":9108"', 'write listen = "127.0.0.1:9108"'),
        ('"localhost"', 'write listen = "127.0.0.1:9108"'),
        ('"10.0.0.7"', 'write listen = "10.0.0.7:9108"'),
        ('"::1"', 'write listen = "[::1]:9108"'),
        ('"http://127.0.0.1:9108/metrics"', 'write listen = "127.0.0.1:9108"'),
        ('"127.0.0.1:99999"', "the highest is 65535"),
        (f'"127.0.0.1:{"9" * 5000}"', "the highest is 65535"),
        ('"127.0.0.1:\\u0661"', 'write listen = "127.0.0.1:9108"'),
        ('"[::zz]:1"', 'write listen = "127.0.0.1:9108"'),
        ('"[1:2]:1"', 'write listen = "127.0.0.1:9108"'),
        ('"user@host:1"', 'write listen = "127.0.0.1:9108"'),
        ('"a b:1"', 'write listen = "127.0.0.1:9108"'),
        ('""', 'write listen = "127.0.0.1:9108"'),
        ("true", 'write listen = "127.0.0.1:9108"'),
    ],
)
def test_anything_else_is_refused_with_a_better_one(written: str, fix: str) -> None:
    """The problem names the key, and the fix can be pasted."""
    with pytest.raises(ConfigError) as raised:
        read(f"listen = {written}")
    (problem,) = raised.value.problems
    assert (problem.key, problem.line, problem.fix) == ("metrics.listen", 6, fix)


def test_readiness_that_idling_would_end_is_warned_of() -> None:
    """A daemon that asks less often than it must be ready would never be."""
    (warning,) = read('listen = "127.0.0.1:0"\nready_within = "5s"').warnings
    assert warning.key == "metrics.ready_within"
    assert not read('listen = "127.0.0.1:0"\nready_within = "6s"').warnings
    assert not read('ready_within = "5s"').warnings
