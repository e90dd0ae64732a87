"""Which version is wanted, who may take work, and who reloads next: in every order of events."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgevents_core.hosts.wanted import (
    HostVersion,
    WantedVersion,
    arrive,
    ask_for,
    follow_hosts,
    is_rolling,
    read_wanted,
    ready_hosts,
    refuse_turn,
    take_turn,
)

HOST_NAMES = ["alpha", "beta", "gamma"]


class Studio:
    """Hosts that come, reload, are upgraded by hand and die, and the record that they share."""

    def __init__(self, names: list[str]) -> None:
        self.wanted: WantedVersion | None = None
        self.installed = dict.fromkeys(names, "one")
        self.shown: dict[str, HostVersion] = {}
        self.away: set[str] = set()
        """Hosts that are starting again in their turn."""

    def start(self, host_name: str) -> None:
        """Start a host with what is installed there."""
        version = self.installed[host_name]
        self.shown[host_name] = HostVersion(version)
        self.away.discard(host_name)
        if self.wanted is not None:
            self.wanted = arrive(self.wanted, host_name, version) or self.wanted

    def end(self, host_name: str) -> None:
        """Stop or kill a host."""
        self.shown.pop(host_name, None)
        self.away.discard(host_name)

    def ask(self, host_name: str) -> None:
        """Let a person ask for what is installed on a host; its trial shows it."""
        self.wanted = ask_for(
            self.wanted, self.installed[host_name], self.shown, host_name, asked_at=1.0
        )

    def turn(self, host_name: str) -> None:
        """Let a host look at the record once, and do its part."""
        if host_name not in self.shown:
            return
        wanted = self.wanted
        if wanted is not None and wanted.reloading == host_name:
            if self.installed[host_name] == wanted.version:
                assert not self.away, "two hosts reload at once"
                self.end(host_name)
                self.away.add(host_name)
            else:
                self.wanted = refuse_turn(wanted, host_name, "it has other files")
            return
        taken = None if wanted is None else take_turn(wanted, self.shown, host_name)
        self.wanted = taken or follow_hosts(wanted, self.shown, host_name) or wanted

    def settle(self) -> None:
        """Let time pass: hosts look, and those that reload come back."""
        for _ in range(40):
            for host_name in list(self.installed):
                self.turn(host_name)
            for host_name in list(self.away):
                self.start(host_name)

    def ready(self) -> frozenset[str]:
        """Return the hosts that take work before others."""
        return ready_hosts(self.wanted, self.shown)


@pytest.fixture
def studio() -> Studio:
    """Three hosts with the same files, which have settled."""
    made = Studio(HOST_NAMES)
    for host_name in HOST_NAMES:
        made.start(host_name)
    made.settle()
    return made


def test_request_rolls_through_all_hosts_one_at_a_time(studio: Studio) -> None:
    """The host that was asked comes first; in the end all have what is wanted."""
    studio.installed = dict.fromkeys(HOST_NAMES, "two")
    studio.ask("beta")
    assert studio.wanted is not None
    assert (studio.wanted.reloading, studio.wanted.waiting) == ("beta", ("beta", "alpha", "gamma"))
    studio.settle()
    assert studio.ready() == set(HOST_NAMES)
    assert {shown.version for shown in studio.shown.values()} == {"two"}
    assert studio.wanted == WantedVersion("two", number=1, asked_on="beta", asked_at=1.0, turn=1)


def test_reload_without_a_change_rolls_too(studio: Studio) -> None:
    """A version may not show what changed: a module that plugins import, a secret."""
    studio.ask("alpha")
    away = []
    for _ in range(20):
        for host_name in HOST_NAMES:
            studio.turn(host_name)
        away += list(studio.away)
        for host_name in list(studio.away):
            studio.start(host_name)
    assert away == HOST_NAMES


def test_roll_stops_at_a_host_with_other_files_and_goes_on_when_it_has_them(
    studio: Studio,
) -> None:
    """The reason is recorded, later hosts wait, and only the first takes work before others."""
    studio.installed |= {"alpha": "two", "gamma": "two"}
    studio.ask("alpha")
    studio.settle()
    assert studio.wanted is not None
    assert (studio.wanted.stopped_on, studio.wanted.reason) == ("beta", "it has other files")
    assert studio.wanted.waiting == ("beta", "gamma")
    assert studio.ready() == {"alpha"}
    studio.installed["beta"] = "two"
    studio.end("beta")
    studio.start("beta")
    studio.settle()
    assert studio.ready() == set(HOST_NAMES)
    assert not studio.wanted.reason or studio.wanted.stopped_on == ""


def test_second_request_goes_on_where_the_first_was_stopped(studio: Studio) -> None:
    """Hosts that have what is wanted already do not reload again, but for the one that is asked."""
    studio.installed |= {"alpha": "two", "gamma": "two"}
    studio.ask("alpha")
    studio.settle()
    studio.installed["beta"] = "two"
    studio.ask("beta")
    assert studio.wanted is not None
    assert (studio.wanted.waiting, studio.wanted.stopped_on) == (("beta", "gamma"), "")
    studio.settle()
    assert studio.ready() == set(HOST_NAMES)


def test_hosts_upgraded_by_hand_wait_for_more_than_half(studio: Studio) -> None:
    """The first waits, with the second the new version is wanted, and the third follows."""
    for host_name, ready in [
        ("gamma", {"alpha", "beta"}),
        ("beta", {"beta", "gamma"}),
        ("alpha", set(HOST_NAMES)),
    ]:
        studio.end(host_name)
        studio.settle()
        studio.installed[host_name] = "two"
        studio.start(host_name)
        studio.settle()
        assert studio.ready() == ready


def test_two_hosts_upgraded_by_hand_take_over_when_the_old_version_is_gone() -> None:
    """The first waits while the other has what is wanted, and works while that is restarted."""
    studio = Studio(["alpha", "beta"])
    studio.start("alpha")
    studio.start("beta")
    studio.settle()
    studio.end("alpha")
    studio.installed = {"alpha": "two", "beta": "two"}
    studio.start("alpha")
    studio.settle()
    assert studio.ready() == {"beta"}
    studio.end("beta")
    studio.settle()
    assert studio.ready() == {"alpha"}
    studio.start("beta")
    studio.settle()
    assert studio.ready() == {"alpha", "beta"}


def test_outdated_host_that_starts_alone_gives_way_when_most_are_back(studio: Studio) -> None:
    """After a power cut, the one that was forgotten in the last upgrade is up first."""
    for host_name in HOST_NAMES:
        studio.end(host_name)
    studio.installed["gamma"] = "old"
    studio.start("gamma")
    studio.settle()
    assert studio.ready() == {"gamma"}
    studio.start("alpha")
    studio.start("beta")
    studio.settle()
    assert studio.ready() == {"alpha", "beta"}


def test_request_outlives_the_host_that_was_asked(studio: Studio) -> None:
    """It dies with the only process of the new version: the others go on reloading."""
    studio.installed = dict.fromkeys(HOST_NAMES, "two")
    studio.ask("alpha")
    studio.turn("alpha")
    studio.start("alpha")
    studio.end("alpha")
    assert studio.wanted is not None
    assert studio.wanted.version == "two"
    studio.settle()
    assert studio.ready() == {"beta", "gamma"}


def test_hosts_that_are_down_during_a_roll_reload_when_they_are_back(studio: Studio) -> None:
    """Their old version is no majority that could undo what a person asked for."""
    studio.installed["alpha"] = "two"
    studio.end("beta")
    studio.ask("alpha")
    studio.end("gamma")
    studio.settle()
    studio.start("gamma")
    studio.start("beta")
    studio.settle()
    assert studio.ready() == {"alpha"}


def test_host_that_starts_with_another_version_than_its_trial_showed_stops_the_roll(
    studio: Studio,
) -> None:
    """Its files changed in between: it does not reload again and again."""
    studio.installed["alpha"] = "two"
    studio.ask("alpha")
    studio.turn("alpha")
    studio.installed["alpha"] = "three"
    studio.settle()
    assert studio.wanted is not None
    assert studio.wanted.stopped_on == "alpha"
    assert "another version" in studio.wanted.reason


def test_something_else_wanted_meanwhile_gives_a_host_another_turn(studio: Studio) -> None:
    """It reloads for the first request while a person asks for something else on another host."""
    studio.installed = dict.fromkeys(HOST_NAMES, "two")
    studio.ask("alpha")
    studio.installed = dict.fromkeys(HOST_NAMES, "three")
    studio.ask("beta")
    assert studio.wanted is not None
    assert (studio.wanted.reloading, studio.wanted.version) == ("alpha", "three")
    studio.turn("alpha")
    studio.settle()
    assert studio.ready() == set(HOST_NAMES)
    earlier = WantedVersion("three", number=2, waiting=("alpha",), reloading="alpha", turn=1)
    assert arrive(earlier, "alpha", "two") == WantedVersion(
        "three", number=2, waiting=("alpha",), turn=1
    )
    refused = refuse_turn(earlier, "alpha", "it does not load")
    assert refused is not None
    assert (refused.reloading, refused.stopped_on) == ("", "")


def test_host_that_waits_dead_in_its_turn_is_passed_by_the_next_request(studio: Studio) -> None:
    """Until then nobody else reloads: one host at a time, whatever became of that one."""
    studio.installed = dict.fromkeys(HOST_NAMES, "two")
    studio.ask("alpha")
    studio.turn("alpha")
    studio.away.clear()
    studio.settle()
    assert studio.wanted is not None
    assert studio.wanted.reloading == "alpha"
    assert {shown.version for shown in studio.shown.values()} == {"one"}
    studio.ask("gamma")
    studio.settle()
    assert studio.ready() == {"beta", "gamma"}


def test_changed_file_gives_all_hosts_time_to_follow(studio: Studio) -> None:
    """A host whose file changed stays ready for a while, and all change together."""
    studio.shown["alpha"] = HostVersion("two", "one")
    studio.settle()
    assert studio.ready() == set(HOST_NAMES)
    studio.shown["beta"] = HostVersion("two", "one")
    studio.settle()
    assert studio.wanted == WantedVersion("one")
    studio.shown["gamma"] = HostVersion("two", "one")
    studio.settle()
    assert studio.wanted == WantedVersion("two")
    assert studio.ready() == set(HOST_NAMES)


def test_file_changed_on_one_host_alone_takes_its_work_after_a_while(studio: Studio) -> None:
    """Whoever edits on one host only does not take over the studio."""
    studio.shown["alpha"] = HostVersion("two", "one")
    studio.settle()
    studio.shown["alpha"] = HostVersion("two")
    studio.settle()
    assert studio.ready() == {"beta", "gamma"}


def test_host_that_shows_no_version_makes_all_equal(studio: Studio) -> None:
    """Its program is older and takes all hosts to be ready, so nobody else may differ from it."""
    studio.shown["beta"] = HostVersion("")
    studio.shown["gamma"] = HostVersion("two")
    studio.settle()
    assert studio.ready() == set(HOST_NAMES)
    assert studio.wanted == WantedVersion("one")
    studio.ask("alpha")
    assert studio.wanted is not None
    assert studio.wanted.waiting == ("alpha", "gamma")


def test_record_is_stored_and_an_unknown_one_is_passed_over() -> None:
    """A newer version may add to it, and one that this version cannot read counts as none."""
    wanted = WantedVersion("two", number=3, waiting=("beta",), stopped_on="beta", reason="no")
    assert read_wanted(wanted.encode()) == wanted
    assert read_wanted(b'{"version": "two", "colour": "red"}') == WantedVersion("two")
    assert read_wanted(b"nonsense") is None


ACTS = st.sampled_from(["start", "end", "install", "ask", "turn", "turn", "return"])


@given(
    acts=st.lists(st.tuples(ACTS, st.sampled_from(HOST_NAMES)), max_size=60),
    seed=st.integers(0, 999),
)
def test_in_every_order_of_events_one_reloads_at_a_time_and_nobody_is_stuck(
    acts: list[tuple[str, str]], seed: int
) -> None:
    """Once all files are alike and a person asks again, every host has them and is ready."""
    studio, order = Studio(HOST_NAMES), random.Random(seed)
    for act, host_name in acts:
        if act == "start" and host_name not in studio.shown and host_name not in studio.away:
            studio.start(host_name)
        elif act == "end":
            studio.end(host_name)
        elif act == "install":
            studio.installed[host_name] = order.choice(["one", "two", "three"])
        elif act == "ask" and host_name in studio.shown:
            studio.away.clear()  # a request may pass by a host that is away
            studio.ask(host_name)
        elif act == "turn":
            studio.turn(host_name)
        elif act == "return" and host_name in studio.away:
            studio.start(host_name)
    studio.installed = dict.fromkeys(HOST_NAMES, "last")
    for host_name in HOST_NAMES:
        if host_name not in studio.shown:
            studio.start(host_name)
    studio.ask("beta")
    studio.settle()
    assert studio.ready() == set(HOST_NAMES)
    assert studio.wanted is not None
    assert not is_rolling(studio.wanted, studio.shown)


@given(
    versions=st.dictionaries(
        st.sampled_from(HOST_NAMES), st.sampled_from(["one", "two", "three"]), min_size=1
    ),
    recorded=st.none() | st.sampled_from(["one", "two", "four"]),
)
def test_without_a_request_hosts_agree_on_one_version_and_keep_it(
    versions: dict[str, str], recorded: str | None
) -> None:
    """Whoever looks first: some host is ready, and more than half never wait for fewer."""
    results = set()
    for first in versions:
        studio = Studio(list(versions))
        studio.shown = {name: HostVersion(version) for name, version in versions.items()}
        studio.wanted = None if recorded is None else WantedVersion(recorded)
        studio.turn(first)
        studio.settle()
        assert studio.wanted is not None
        results.add(studio.wanted.version)
        assert studio.ready()
        settled = studio.wanted
        studio.settle()
        assert studio.wanted == settled
    assert len(results) == 1
    most = max(set(versions.values()), key=list(versions.values()).count)
    if 2 * list(versions.values()).count(most) > len(versions):
        assert results == {most}
