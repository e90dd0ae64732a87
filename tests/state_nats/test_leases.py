"""Leases: one holder at a time, over when it says, also for a process that was asleep."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from nats_server import NatsServer
from nats_sites import NatsSite, nats_site
from tcp_link import Fate, drop_nth, linked
from waiting import PATIENCE, wait_until

from sgevents_core.errors import BrokerUnreachable
from sgevents_core.state.nats.jetstream import call
from sgevents_core.state.nats.leases import Leases, boot_seconds
from sgevents_core.state.nats.streams import lease_definition
from sgevents_core.state.protocols import LeaseEntry

SUPPORT = Path(__file__).parents[1] / "support"
SLEEPER = """
import sys
from nats_sites import NatsSite, connected
with connected(int(sys.argv[1])) as broker:
    leases = NatsSite(broker, sys.argv[2]).leases(1.0)
    held = leases.take("feed", b"sleeper")
    print("held", flush=True)
    sys.stdin.readline()
    from sgevents_core.state.nats.leases import boot_seconds
    print(boot_seconds() < held.valid_until, leases.renew(held), flush=True)
"""


def test_one_holder_at_a_time(site: NatsSite) -> None:
    """Everybody sees who it is; what is given back is free at once."""
    leases = site.leases()
    assert leases.read_all() == {}
    held = leases.take("lane.default", b"render01")
    assert held is not None
    assert leases.take("lane.default", b"render02") is None
    assert leases.take("feed", b"render02") is not None
    assert leases.read_all() == {
        "lane.default": LeaseEntry(b"render01", 1),
        "feed": LeaseEntry(b"render02", 2),
    }
    renewed = leases.renew(held, b"render01 busy")
    assert renewed is not None
    assert leases.read_all()["lane.default"] == LeaseEntry(b"render01 busy", renewed.revision)
    leases.give_back(renewed)
    assert set(leases.read_all()) == {"feed"}
    assert leases.take("lane.default", b"render02") is not None
    assert leases.renew(renewed) is None
    leases.give_back(renewed)  # no longer its own: nothing happens
    assert leases.read_all()["lane.default"].holder == b"render02"


def test_the_right_to_begin_ends_before_the_lease(site: NatsSite) -> None:
    """It counts from when the renewal was sent, however late its answer comes."""
    now = [1000.0]

    def clock() -> float:
        now[0] += 1.0  # what each look takes
        return now[0]

    bucket = lease_definition(site.names, site.url, replicas=1, lease=5.0)
    leases = Leases(site.broker, bucket, 5.0, clock)
    held = leases.take("feed", b"render01")
    assert held is not None
    assert held.valid_until == 1001.0 + 5.0 - 0.3
    renewed = leases.renew(held)
    assert renewed is not None
    assert renewed.valid_until == 1002.0 + 5.0 - 0.3


def test_what_is_not_renewed_is_taken_by_others(nats_server: NatsServer) -> None:
    """And its holder learns that it has lost it."""
    with nats_site(nats_server.port) as site:
        short = site.leases(1.0)
        call(site.broker, "STREAM.DELETE", stream=f"KV_{site.names.lease_bucket}")
        assert short.read_all() == {}  # it makes the bucket anew
        held = short.take("feed", b"render01")
        assert held is not None
        wait_until(lambda: short.take("feed", b"render02"), what="the end of the lease")
        assert boot_seconds() > held.valid_until
        assert short.renew(held) is None


def test_a_process_that_was_asleep_begins_nothing(nats_server: NatsServer) -> None:
    """When it wakes, its right is over, and another has the lease."""
    with nats_site(nats_server.port) as site:
        call(site.broker, "STREAM.DELETE", stream=f"KV_{site.names.lease_bucket}")
        leases = site.leases(1.0)
        leases.read_all()
        with subprocess.Popen(
            [sys.executable, "-c", SLEEPER, str(nats_server.port), site.url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(SUPPORT)},
        ) as sleeper:
            assert sleeper.stdout is not None
            assert sleeper.stdout.readline() == "held\n"
            sleeper.send_signal(signal.SIGSTOP)
            wait_until(lambda: leases.take("feed", b"successor"), what="the end of the lease")
            sleeper.send_signal(signal.SIGCONT)
            said = sleeper.communicate("go on\n", timeout=PATIENCE)[0]
        assert said == "False None\n"


@pytest.mark.parametrize("fate", [Fate.CUT, Fate.DROP])
def test_an_answer_that_was_lost_costs_nothing(
    nats_server: NatsServer, site: NatsSite, fate: Fate
) -> None:
    """Taken or renewed again, the lease turns out to be its holder's own."""
    with linked(nats_server.port) as link, nats_site(link.port, site.url) as far_site:
        leases = far_site.leases(1.0)  # which is how long it waits; the bucket has 5 s
        link.rule = drop_nth("to client", b"MSG _INBOX", 1, fate)
        with pytest.raises(BrokerUnreachable) as caught:
            leases.take("feed", b"render01-1")
        assert caught.value.is_sent
        wait_until(lambda: far_site.broker.is_connected)
        held = leases.take("feed", b"render01-1")
        assert held is not None
        link.rule = drop_nth("to client", b"MSG _INBOX", 1, fate)
        with pytest.raises(BrokerUnreachable):
            leases.renew(held)
        wait_until(lambda: far_site.broker.is_connected)
        assert leases.renew(held) is not None
        assert leases.take("feed", b"render02-1") is None


def test_leases_of_a_bucket_that_is_gone_begin_anew(site: NatsSite) -> None:
    """Nothing rests on them, so hosts make the bucket themselves."""
    leases = site.leases()
    held = leases.take("feed", b"render01")
    assert held is not None
    call(site.broker, "STREAM.DELETE", stream=f"KV_{site.names.lease_bucket}")
    assert leases.read_all() == {}
    assert leases.renew(held) is None
    assert leases.take("feed", b"render02") is not None
    call(site.broker, "STREAM.DELETE", stream=f"KV_{site.names.lease_bucket}")
    assert leases.renew(held) is None  # without anybody's look at all leases before
    assert leases.take("feed", b"render03") is not None
