"""What each of several hosts is to work at: leases taken, renewed, lost and given back."""

from __future__ import annotations

import pytest
from leases_in_memory import Bucket, MemoryLeases, MemoryNotes
from waiting import wait_until

from sgevents_core.errors import HostNameTaken
from sgevents_core.hosts.host_files import HostFiles
from sgevents_core.hosts.leased_work import FOLLOW_SECONDS, LeasedWork
from sgevents_core.hosts.leases import HolderNote
from sgevents_core.hosts.rolling import WANTED_KEY, RollingReload
from sgevents_core.hosts.spread import FEED, PresentHost, lane_work
from sgevents_core.hosts.wanted import WantedVersion, read_wanted
from sgevents_core.hosts.work import Everything
from sgevents_core.state.protocols import StoredNote

LANES = ["one", "two", "three"]
ALL_WORK = {FEED, *map(lane_work, LANES)}


class Cluster:
    """Hosts whose turns the test takes, and what their main threads do."""

    def __init__(self) -> None:
        self.bucket = Bucket()
        self.leases: dict[str, MemoryLeases] = {}
        self.works: dict[str, LeasedWork] = {}
        self.doing: dict[str, set[str]] = {}
        self.notes: dict[str, StoredNote] = {}
        self.rolling: dict[str, RollingReload] = {}
        self.reluctant: set[str] = set()
        """Hosts that show that they are there, and take nothing."""

    def start(
        self, host_name: str, *, home: str = "", run: str = "1", program: str = "1"
    ) -> LeasedWork:
        """Let a host come; its thread does not run, the test takes its turns."""
        self.leases[host_name] = leases = MemoryLeases(self.bucket)
        files = HostFiles(program)
        note = HolderNote(host_name, home or host_name, run, 0.0, files.version())
        rolling = RollingReload(MemoryNotes(self.notes), host_name, files)
        work = LeasedWork(leases, note, LANES, _describe, rolling)
        self.rolling[host_name] = rolling
        work._appear()
        self.works[host_name], self.doing[host_name] = work, set()
        return work

    def turn(self, seconds: float = 0.5) -> None:
        """Let half a second pass: each host looks, and its main thread begins and ends work."""
        self.bucket.pass_time(seconds)
        for host_name, work in self.works.items():
            if host_name in self.reluctant:
                work._renew_all()
                continue
            work._turn_safely()
            doing, wanted = self.doing[host_name], set(work.wanted())
            for work_name in doing - wanted:
                doing.remove(work_name)
                work.finish(work_name)
            for work_name in wanted - doing:
                doing.add(work_name)
                work.begin(work_name)
            assert sum(map(len, self.doing.values())) == len(set.union(*self.doing.values()))

    def settle(self) -> None:
        """Let time pass until it is spread."""
        for _ in range(20):
            self.turn()

    def stop(self, host_name: str) -> None:
        """Let a host stop in order."""
        work = self.works[host_name]
        work.leave()
        self.turn()
        self.turn()
        work.close()
        del self.works[host_name], self.doing[host_name], self.rolling[host_name]

    def wanted(self) -> WantedVersion:
        """Return what is recorded."""
        wanted = read_wanted(self.notes[WANTED_KEY].content)
        assert wanted is not None
        return wanted

    def shares(self) -> list[int]:
        """Return how much each host does."""
        return sorted(len(doing) for doing in self.doing.values())


def _describe(host_name: str) -> PresentHost:
    return PresentHost(name=host_name)


@pytest.fixture
def cluster() -> Cluster:
    """No host yet."""
    return Cluster()


def test_one_host_does_everything_and_others_get_their_share(cluster: Cluster) -> None:
    """Nothing is done twice at any moment, and everything in the end."""
    cluster.start("alpha")
    cluster.turn()
    assert cluster.doing["alpha"] == ALL_WORK
    cluster.start("beta")
    cluster.settle()
    assert cluster.shares() == [2, 2]
    cluster.start("gamma")
    cluster.settle()
    assert cluster.shares() == [1, 1, 2]
    assert set.union(*cluster.doing.values()) == ALL_WORK


def test_dead_host_is_replaced_within_its_lease_and_half_a_second(cluster: Cluster) -> None:
    """Its keys vanish, and the others share what it had."""
    cluster.start("alpha")
    cluster.start("beta")
    cluster.settle()
    del cluster.works["alpha"], cluster.doing["alpha"]
    for _ in range(11):
        cluster.turn()
    assert cluster.doing["beta"] == ALL_WORK


def test_host_that_is_cut_off_loses_its_rights_before_others_get_them(cluster: Cluster) -> None:
    """It begins nothing more, and takes its share again when the servers answer."""
    alpha = cluster.start("alpha")
    cluster.start("beta")
    cluster.settle()
    had = set(cluster.doing["alpha"])
    rights = [alpha.right_to(work_name) for work_name in had]
    assert all(may_begin() for may_begin in rights)
    cluster.leases["alpha"].is_cut_off = True
    for _ in range(9):
        cluster.turn()
    cluster.bucket.pass_time(0.25)
    assert cluster.doing["alpha"] == had or not any(may_begin() for may_begin in rights)
    for _ in range(3):
        cluster.turn()
    assert not any(may_begin() for may_begin in rights)
    assert cluster.doing["beta"] == ALL_WORK
    cluster.leases["alpha"].is_cut_off = False
    cluster.settle()
    assert cluster.shares() == [2, 2]


def test_host_that_is_there_and_takes_nothing_is_not_waited_for(cluster: Cluster) -> None:
    """What it should take, others take two seconds later, and they give it nothing for a while."""
    cluster.start("alpha")
    cluster.start("beta")
    cluster.start("gamma")
    cluster.reluctant.add("gamma")
    cluster.settle()
    assert not cluster.doing["gamma"]
    assert cluster.doing["alpha"] | cluster.doing["beta"] == ALL_WORK
    for _ in range(30):
        cluster.turn()
        assert cluster.doing["alpha"] | cluster.doing["beta"] == ALL_WORK
    cluster.reluctant.clear()
    for _ in range(80):
        cluster.turn()
    assert cluster.shares() == [1, 1, 2]


def test_two_hosts_that_die_one_after_the_other_are_replaced_in_time(cluster: Cluster) -> None:
    """What one leaves is not kept for another that dies before it takes it."""
    for host_name in ("alpha", "beta", "gamma"):
        cluster.start(host_name)
    cluster.settle()
    del cluster.works["alpha"], cluster.doing["alpha"]
    for _ in range(8):
        cluster.turn()
    had = set(cluster.doing["beta"])
    del cluster.works["beta"], cluster.doing["beta"]
    for _ in range(8):
        cluster.turn()
    assert cluster.doing["gamma"] >= ALL_WORK - had
    cluster.settle()
    assert cluster.doing["gamma"] == ALL_WORK


def test_process_woken_after_a_minute_begins_nothing(cluster: Cluster) -> None:
    """The clock counts suspension: the right is over before anybody looks."""
    alpha = cluster.start("alpha")
    cluster.turn()
    may_begin = alpha.right_to(FEED)
    assert may_begin()
    cluster.bucket.pass_time(60.0)
    assert not may_begin()
    assert not alpha.wanted()


def test_leaving_host_lets_others_work_at_once(cluster: Cluster) -> None:
    """It wants nothing more, and gives back what has ended."""
    alpha = cluster.start("alpha")
    cluster.start("beta")
    cluster.settle()
    alpha.leave()
    cluster.turn()
    cluster.turn()
    assert (cluster.doing["alpha"], cluster.doing["beta"]) == (set(), ALL_WORK)
    alpha.close()
    assert all(b'"host":"beta"' in stored.holder for stored in cluster.bucket.keys.values())


def test_lane_whose_call_lasts_is_not_taken_again_before_it_ends(cluster: Cluster) -> None:
    """After a lost lease the host that still has a call there leaves it to others, or waits."""
    alpha = cluster.start("alpha")
    cluster.turn()
    cluster.bucket.pass_time(6.0)  # all its leases are over, and every call still runs
    for _ in range(4):
        cluster.bucket.pass_time(0.5)
        alpha._turn_safely()
    assert not alpha.wanted()
    for work_name in ALL_WORK:
        alpha.finish(work_name)
    cluster.doing["alpha"].clear()
    cluster.settle()
    assert cluster.doing["alpha"] == ALL_WORK


def test_next_process_of_a_host_takes_its_leases_at_once(cluster: Cluster) -> None:
    """It has the lock of the host's files, so the one before it is dead."""
    cluster.start("alpha", run="1")
    cluster.turn()
    del cluster.works["alpha"]
    cluster.start("alpha", run="2")
    cluster.turn(0.0)
    assert cluster.doing["alpha"] == ALL_WORK


def test_two_hosts_of_one_name_are_refused(cluster: Cluster) -> None:
    """The second says so, and works at nothing."""
    cluster.start("alpha", home="here")
    with pytest.raises(HostNameTaken, match="host = "):
        cluster.start("alpha", home="there")


def test_host_that_starts_while_servers_take_nothing_waits_for_them(cluster: Cluster) -> None:
    """It says why, and takes its leases once that is possible."""
    leases = MemoryLeases(cluster.bucket)
    leases.is_cut_off = True
    work = LeasedWork(leases, HolderNote("alpha", "here", "1", 0.0), LANES, _describe)
    work.start()
    try:
        assert work.trouble is not None
        assert not work.wanted()
        leases.is_cut_off = False
        cluster.bucket.pass_time(2.0)
        wait_until(lambda: set(work.wanted()) == ALL_WORK)
        assert work.trouble is None
    finally:
        work.close()


def test_state_that_nobody_shares_is_worked_at_for_ever() -> None:
    """Everything is wanted, always may begin, and nothing is given up."""
    work = Everything(LANES)
    work.finish(FEED)
    work.leave()
    work.close()
    assert set(work.wanted()) == ALL_WORK
    assert (work.is_shared, work.right_to(FEED)) == (False, None)


def test_host_whose_name_is_taken_while_it_was_away_stops_with_the_reason(cluster: Cluster) -> None:
    """Its own lease was over, and another host came in with the same name."""
    alpha = cluster.start("alpha", home="here")
    cluster.turn()
    cluster.bucket.pass_time(6.0)
    del cluster.works["alpha"]
    cluster.start("alpha", home="there")
    alpha._turn_safely()
    with pytest.raises(HostNameTaken):
        alpha.wanted()
    assert not alpha.wanted()


def test_only_hosts_that_have_what_is_wanted_take_work(cluster: Cluster) -> None:
    """A host with other files waits, named with what differs, until its files are wanted."""
    cluster.start("alpha")
    cluster.start("beta")
    cluster.settle()
    cluster.start("gamma", program="2")
    cluster.settle()
    assert (cluster.doing["gamma"], cluster.shares()) == (set(), [0, 2, 2])
    objection = cluster.rolling["gamma"].find_objection(HostFiles("2"))
    assert objection == "sgevents: 2, and 1 is wanted"
    assert cluster.rolling["alpha"].find_objection(HostFiles("1")) == ""
    cluster.stop("beta")
    cluster.start("beta", run="2", program="2")
    cluster.settle()
    assert cluster.wanted().version == HostFiles("2").version()
    assert (cluster.doing["alpha"], cluster.shares()) == (set(), [0, 2, 2])


def test_request_is_answered_and_hosts_have_their_turns(cluster: Cluster) -> None:
    """The one that was asked reloads at once; the next when that is back; each once."""
    for host_name in ("alpha", "beta"):
        cluster.start(host_name)
    cluster.settle()
    alpha, beta = cluster.rolling["alpha"], cluster.rolling["beta"]
    alpha.ask(HostFiles("2"))
    cluster.turn()
    assert (alpha.answer, alpha.notice_turn(), beta.notice_turn()) == ("its turn", True, False)
    assert not alpha.notice_turn()
    cluster.stop("alpha")
    cluster.start("alpha", run="2", program="2")
    cluster.settle()
    assert cluster.doing["alpha"] == ALL_WORK
    assert (beta.notice_turn(), beta.notice_turn()) == (True, False)
    beta.refuse("it does not load")
    cluster.settle()
    assert (cluster.wanted().stopped_on, cluster.wanted().reason) == ("beta", "it does not load")
    assert cluster.doing["alpha"] == ALL_WORK
    beta.ask(HostFiles("2"))
    cluster.turn()
    assert (beta.answer, cluster.wanted().stopped_on) == ("its turn", "")
    cluster.stop("beta")
    cluster.start("beta", run="2", program="2")
    cluster.settle()
    assert cluster.shares() == [2, 2]
    assert cluster.wanted().waiting == ()


def test_request_during_another_hosts_turn_is_for_later(cluster: Cluster) -> None:
    """One host reloads at a time, whoever asks where."""
    for host_name in ("alpha", "beta"):
        cluster.start(host_name)
    cluster.settle()
    cluster.rolling["alpha"].ask(HostFiles("2"))
    cluster.turn()
    cluster.rolling["beta"].ask(HostFiles("2"))
    cluster.turn()
    assert cluster.rolling["beta"].answer == "later"
    assert cluster.wanted().reloading == "alpha"


def test_changed_files_are_followed_by_all_without_moving_anything(cluster: Cluster) -> None:
    """A host whose files change while it runs keeps what it has while others follow."""
    for host_name in ("alpha", "beta", "gamma"):
        cluster.start(host_name)
    cluster.settle()
    before = {name: set(doing) for name, doing in cluster.doing.items()}
    for work in cluster.works.values():
        work.change_files(HostFiles("2"))
        for _ in range(4):
            cluster.turn()
            assert cluster.doing == before
    assert cluster.wanted().version == HostFiles("2").version()
    cluster.works["alpha"].change_files(HostFiles("3"))
    for _ in range(int(FOLLOW_SECONDS)):
        cluster.turn()
        assert cluster.doing == before
    cluster.settle()
    cluster.settle()
    assert (cluster.doing["alpha"], cluster.shares()) == (set(), [0, 2, 2])


def test_hosts_go_on_while_what_is_wanted_cannot_be_read(cluster: Cluster) -> None:
    """The servers answer about leases, and not about notes: everybody stays as it was."""
    cluster.start("alpha")
    cluster.start("beta", program="2")
    cluster.settle()
    assert cluster.shares() == [0, 4]
    for rolling in cluster.rolling.values():
        rolling._notes.is_cut_off = True  # type: ignore[attr-defined]  # the test's own
    cluster.settle()
    assert cluster.shares() == [0, 4]
