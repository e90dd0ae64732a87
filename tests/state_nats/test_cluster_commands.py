"""`sgevents cluster`, `check` and `run` with the servers of [state] url."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from doc_pages import DOCS
from nats_server import NatsServer, new_site_url, running_nats
from nats_sites import NatsSite, connected

from sgevents_core.cli.check_broker import broker_findings
from sgevents_core.cli.root import sgevents
from sgevents_core.cli.servers import refuse_servers
from sgevents_core.errors import ClusterNotReadyError
from sgevents_core.hosts.host_files import HostFiles
from sgevents_core.hosts.leases import HolderNote
from sgevents_core.hosts.rolling import files_key
from sgevents_core.hosts.wanted import WantedVersion
from sgevents_core.settings import load_settings
from sgevents_core.state import opening
from sgevents_core.state.nats.jetstream import call, stream_info
from sgevents_core.state.nats.nats_state import NatsState
from sgevents_core.state.nats.server_checks import refuse_unsafe_servers
from sgevents_core.state.nats.streams import wanted_streams

PASSWORD = "hunter2-secret"


class Studio:
    """A configuration with servers, and commands for it."""

    def __init__(self, folder: Path, url: str) -> None:
        self.site_url = new_site_url()
        self.config = folder / "sgevents.toml"
        self.write(url)

    def write(self, url: str, state: str = "", rest: str = "") -> None:
        """Write the configuration."""
        self.config.write_text(
            f'[site]\nurl = "{self.site_url}"\nscript_name = "a"\napi_key = "k"\n'
            f'[state]\nurl = "{url}"\n{state}\n{rest}'
        )
        self.config.chmod(0o600)

    def __call__(self, *words: str) -> Any:
        """Run a command, and return click's result."""
        result = CliRunner().invoke(sgevents, [*words, "--config", str(self.config)])
        assert result.exception is None or isinstance(result.exception, SystemExit), result
        return result

    def findings(self) -> list[tuple[str, str]]:
        """The status and the message of each finding about the servers."""
        found = broker_findings(load_settings(self.config))
        return [(finding.status, f"{finding.subject} {finding.message}") for finding in found]


@pytest.fixture
def studio(nats_server: NatsServer, tmp_path: Path) -> Iterator[Studio]:
    """A site whose streams are not made yet."""
    yield Studio(tmp_path, nats_server.url)
    opened = opening._other_homes.pop(tmp_path / "state", None)
    if isinstance(opened, NatsState):
        opened.close()


@pytest.fixture
def streams(nats_server: NatsServer, studio: Studio) -> Iterator[NatsSite]:
    """The streams of the studio, made."""
    assert studio("cluster", "init").exit_code == 0
    with connected(nats_server.port) as broker:
        yield NatsSite(broker, studio.site_url)


def edit(streams: NatsSite, stream: str, **changes: Any) -> None:
    """Change a stream as its operator could."""
    config = stream_info(streams.broker, stream)["config"]
    call(streams.broker, "STREAM.UPDATE", {**config, **changes}, stream=stream)


def remake(streams: NatsSite, stream: str, **changes: Any) -> None:
    """Delete a stream and make it in another way."""
    config = stream_info(streams.broker, stream)["config"]
    call(streams.broker, "STREAM.DELETE", stream=stream)
    call(streams.broker, "STREAM.CREATE", {**config, **changes}, stream=stream)


def test_init_makes_what_is_missing_and_can_be_repeated(
    nats_server: NatsServer, studio: Studio
) -> None:
    """It shows each stream, and makes that of a new lane later."""
    first = studio("cluster", "init")
    assert first.exit_code == 0
    assert first.stdout.count("made     ") == 7
    again = studio("cluster", "init")
    assert again.exit_code == 0
    assert again.stdout.count("there    ") == 7
    studio.write(nats_server.url, rest='[[groups]]\nname = "slow"\nlane = "my lane.2"\n')
    with_lane = studio("cluster", "init")
    assert "L_my__20lane__2E2: the lane my lane.2" in with_lane.stdout
    assert with_lane.stdout.count("made     ") == 1


def test_init_changes_how_long_leases_last(
    nats_server: NatsServer, studio: Studio, streams: NatsSite
) -> None:
    """It is the one thing that may be changed while hosts run: nothing rests on it."""
    studio.write(nats_server.url, 'lease = "10s"')
    assert "KV_" in str(studio.findings())
    changed = studio("cluster", "init")
    assert (changed.exit_code, changed.stdout.count("changed  ")) == (0, 1)
    bucket = f"KV_{streams.names.lease_bucket}"
    assert stream_info(streams.broker, bucket)["config"]["max_age"] == 10_000_000_000


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"discard": "old"}, "discard is old: when it is full, it drops its oldest messages"),
        ({"max_age": 3_600_000_000_000, "duplicate_window": 0}, "last 3600 s, not 0 s"),
        ({"max_msgs_per_subject": 5}, "max_msgs_per_subject is 5, not -1"),
    ],
)
def test_a_stream_that_could_lose_messages_is_refused(
    nats_server: NatsServer, studio: Studio, streams: NatsSite, changes: Any, reason: str
) -> None:
    """With the reason and the fix; `durability = "relaxed"` takes it."""
    edit(streams, streams.names.journal, **changes)
    refused = studio("cluster", "init")
    assert refused.exit_code == 1
    assert "refused  " in refused.stdout
    assert reason in " ".join(refused.stderr.split())
    assert f"fix: `nats stream edit {streams.names.journal}" in refused.stderr or (
        "fix: edit the stream" in refused.stderr
    )
    assert ("problem", reason) in [
        (status, reason) for status, message in studio.findings() if reason in message
    ]
    assert studio("cluster", "status").exit_code == 1
    studio.write(nats_server.url, 'durability = "relaxed"')
    assert {status for status, message in studio.findings() if reason in message} == {"warning"}
    assert studio("cluster", "status").exit_code == 0


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"storage": "memory"}, "it is in memory"),
        ({"metadata": {}}, "it was not made by sgevents"),
        ({"metadata": {"sgevents-site": "https://other.test"}}, "of the site https://other.test"),
        ({"allow_direct": False}, "it cannot be read directly"),
        ({"republish": None}, "it announces nothing"),
        ({"subjects": ["other.>"], "republish": None}, "its subjects are other.>"),
        ({"retention": "interest"}, "its retention is interest: it drops messages by itself"),
        ({"retention": "workqueue"}, "its retention is workqueue"),
        ({"no_ack": True}, "it confirms nothing"),
        ({"max_msg_size": 1000}, "it takes messages of at most 1,000 bytes"),
        ({"deny_purge": True}, "nothing can be cut off it"),
        ({"sources": [{"name": "other"}]}, "it takes messages from other streams too"),
        (
            {"subject_transform": {"src": ">", "dest": "else.>"}, "republish": None},
            "it renames the subjects of its messages",
        ),
    ],
)
def test_a_stream_that_is_something_else_is_shown(
    studio: Studio, streams: NatsSite, changes: Any, reason: str
) -> None:
    """Whoever made it."""
    remake(streams, streams.names.journal, **changes)
    assert any(reason in message for _status, message in studio.findings())


def test_a_stream_that_is_sealed_is_shown(studio: Studio, streams: NatsSite) -> None:
    """Which no operator can undo."""
    edit(streams, streams.names.journal, sealed=True)
    assert any("it is sealed" in message for _status, message in studio.findings())


def test_a_log_with_a_hole_is_shown(studio: Studio, streams: NatsSite) -> None:
    """A host that makes its copy anew would not know that something is missing."""
    for number in range(3):
        streams.journal().append(streams.page, b"x", number, f"render01-1/{number + 1}")
    call(streams.broker, "STREAM.MSG.DELETE", {"seq": 2}, stream=streams.names.journal)
    problems = [message for status, message in studio.findings() if status == "problem"]
    assert len(problems) == 1
    assert "1 message was deleted in the middle of it" in problems[0]


@pytest.mark.parametrize(("limit", "most"), [("max_bytes", 1200), ("max_msgs", 2)])
def test_a_stream_that_is_nearly_full_is_shown(
    studio: Studio, streams: NatsSite, limit: str, most: int
) -> None:
    """Before nothing fits any more."""
    edit(streams, streams.names.journal, **{limit: most})
    assert not any(limit in message for _status, message in studio.findings())
    for number in range(2):
        streams.journal().append(streams.page, b"x" * 400, number, f"render01-1/{number + 1}")
    found = [(status, message) for status, message in studio.findings() if limit in message]
    assert [status for status, _message in found] == ["warning"]


def test_replicas_are_those_of_the_configuration(
    nats_server: NatsServer, studio: Studio, streams: NatsSite
) -> None:
    """Fewer are refused; and a single server cannot make three."""
    studio.write(nats_server.url, "replicas = 3")
    refused = studio("cluster", "init")
    assert refused.exit_code == 1
    assert "is stored on 1 server, and replicas is 3" in " ".join(refused.stderr.split())
    other = Studio(studio.config.parent, nats_server.url)
    other.write(nats_server.url, "replicas = 3")
    assert "replicas > 1 not supported" in " ".join(other("cluster", "init").output.split())


def test_status_shows_streams_and_leases(studio: Studio, streams: NatsSite) -> None:
    """For people, and as JSON with the keys that the documentation lists.

    A host that has other files than are wanted is named with what differs, also one with an odd
    name, and so is the host at which a reload has stopped.
    """
    streams.journal().append(streams.page, b"x" * 1000, 0, "render01-1/1")
    for key in ("feed", "lane.my lane", "host.render01", "host.render02"):
        host_name = key.removeprefix("host.") if "host." in key else "render01"
        assert streams.leases().take(key, HolderNote(host_name, "h", "r", 50.0).encode())
    assert streams.leases().take("lane.new", b"what a newer version writes")
    shown = studio("cluster", "status")
    assert shown.exit_code == 0
    assert re.search(r"_J +the journal +1 +1 +1 ", shown.stdout)
    for row in ("render01 +the feed", "render01 +lane my lane", "render02 +nothing yet"):
        assert re.search(rf"{row} +[\d,.]+ (d|h)", shown.stdout), row
    assert re.search("unknown +lane new", shown.stdout)
    wanted, other, odd_name = HostFiles("2"), HostFiles("1"), "render 0.2"
    note = HolderNote(odd_name, "home", "run", 0.0, other.version())
    assert streams.leases().take(f"host.{odd_name}", note.encode()) is not None
    record = WantedVersion(
        wanted.version(), asked_on="a", waiting=(odd_name,), stopped_on=odd_name, reason="a reason"
    )
    notes = streams.notes()
    assert notes.read("wanted") is None
    assert notes.replace("wanted", record.encode(), 0)
    assert not notes.replace("wanted", record.encode(), 0)
    assert notes.replace("wanted.files", wanted.encode(), 0)
    assert notes.replace(files_key(odd_name), other.encode(), 0)
    shown = studio("cluster", "status")
    text = "sgevents: 1, and 2 is wanted"
    assert f"{odd_name} differs from what is wanted: {text}" in shown.stdout
    assert f"stopped at {odd_name}\n  a reason" in shown.stdout
    report = studio("cluster", "status", "--json")
    value = json.loads(report.stdout)
    since = "1970-01-01T00:00:50.000+00:00"
    assert value["leases"][0] == {"key": "feed", "host": "render01", "since": since}
    assert {"key": "lane.new", "host": None, "since": None} in value["leases"]
    assert {"host": odd_name, "text": text} in value["differences"]
    assert value["streams"][0]["messages"] == 1
    page = (DOCS / "reference" / "json.md").read_text("utf-8")
    section = page.partition("## `sgevents cluster status`\n")[2].partition("\n## ")[0]
    documented = set(re.findall(r"^\| `([a-z_.\[\]]+)` \|", section, re.MULTILINE))
    written = set(value)
    for name in ("streams", "leases", "differences", "faults"):
        written |= {f"{name}[].{key}" for key in value[name][0]}
    assert written == documented


def test_stream_of_a_former_lane_is_shown(studio: Studio, streams: NatsSite) -> None:
    """It is kept, and nobody has to wonder what it is."""
    streams.make_streams(["my lane.2"])
    shown = studio("cluster", "status")
    assert shown.exit_code == 0
    assert "the lane my lane.2, which is not in the configuration" in " ".join(shown.stdout.split())
    rows = json.loads(studio("cluster", "status", "--json").stdout)["streams"]
    assert [row["is_there"] for row in rows] == [True] * 8


def test_streams_that_are_missing_are_named_once(studio: Studio) -> None:
    """With the one command that makes them."""
    problems = [message for status, message in studio.findings() if status == "problem"]
    assert len(problems) == 1
    assert "7 streams missing there" in problems[0]
    shown = studio("cluster", "status")
    assert (shown.exit_code, shown.stdout.count("missing")) == (1, 8)
    assert "sgevents cluster init" in " ".join(shown.stdout.split())


def test_a_start_refuses_what_could_lose_messages(
    nats_server: NatsServer, studio: Studio, streams: NatsSite
) -> None:
    """With every reason; otherwise it returns what people should know."""
    settings = load_settings(studio.config)
    wanted = wanted_streams(settings)
    remarks = refuse_unsafe_servers(streams.broker, settings.state, streams.names, wanted)
    assert [remark.weight for remark in remarks] == ["remark"]
    edit(streams, streams.names.journal, discard="old")
    with pytest.raises(ClusterNotReadyError, match="discard is old"):
        refuse_unsafe_servers(streams.broker, settings.state, streams.names, wanted)
    studio.write(nats_server.url, 'durability = "relaxed"')
    relaxed = load_settings(studio.config).state
    remarks = refuse_unsafe_servers(streams.broker, relaxed, streams.names, wanted)
    assert {remark.weight for remark in remarks} == {"remark", "unsafe"}


def test_status_says_that_durability_is_relaxed(
    nats_server: NatsServer, studio: Studio, streams: NatsSite
) -> None:
    """Whoever looks learns what the configuration accepts."""
    assert json.loads(studio("status", "--json").stdout)["durability"] == "full"
    assert "durability is relaxed" not in " ".join(studio("status").stdout.split())
    studio.write(nats_server.url, 'durability = "relaxed"')
    assert json.loads(studio("status", "--json").stdout)["durability"] == "relaxed"
    assert "durability is relaxed" in " ".join(studio("status").stdout.split())


def test_without_servers_there_is_nothing_to_do(studio: Studio) -> None:
    """A state of one host needs no streams."""
    studio.config.write_text(studio.config.read_text().partition("[state]")[0])
    for command in ("init", "status"):
        refused = studio("cluster", command)
        assert refused.exit_code == 2
        assert "names no NATS servers" in " ".join(refused.output.split())
    assert studio.findings() == []


def test_servers_that_do_not_answer_are_reported(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the address, and what is to be looked at."""
    from sgevents_core.state.nats import connection

    monkeypatch.setattr(connection, "CONNECT_WITHIN", 0.3)
    studio.write("nats://127.0.0.1:1")
    assert studio("cluster", "init").exit_code == 1
    ((status, message),) = studio.findings()
    assert status == "problem"
    assert "nats://127.0.0.1:1 does not answer: nothing listens there" in message


@pytest.mark.parametrize(
    ("url", "message", "fix"),
    [
        ("nats://no-such-host.invalid", "cannot be resolved", "whether the servers run"),
        ("tls://127.0.0.1:{port}", "offers no encryption", "the certificates there"),
    ],
)
def test_check_says_why_there_is_no_connection(
    nats_server: NatsServer, studio: Studio, url: str, message: str, fix: str
) -> None:
    """With what helps there, and within seconds."""
    studio.write(url.format(port=nats_server.port))
    (finding,) = broker_findings(load_settings(studio.config))
    assert finding.status == "problem"
    assert message in finding.message
    assert fix in finding.fix


def test_a_server_whose_messages_are_too_short_is_refused(tmp_path: Path) -> None:
    """Rows go in parts of 512 KiB, and none is left out."""
    with running_nats(tmp_path / "nats", more="max_payload: 100000") as server:
        studio = Studio(tmp_path, server.url)
        assert studio("cluster", "init").exit_code == 0
        assert ("problem", " it takes messages of at most 100,000 bytes") in studio.findings()
        refused = studio("run")
        assert refused.exit_code == 2
        assert "set max_payload to 1MB" in " ".join(refused.output.split())


@pytest.mark.parametrize(
    ("jetstream", "state", "expected"),
    [
        ("sync_interval: always", "", None),
        ("", "", ("problem", "it does not sync each message to its disk")),
        ("", 'durability = "relaxed"', ("warning", "it does not sync each message to its disk")),
    ],
)
def test_a_server_that_does_not_sync_is_refused(
    tmp_path: Path, jetstream: str, state: str, expected: tuple[str, str] | None
) -> None:
    """If its settings can be read, as the page on servers says."""
    with running_nats(tmp_path / "nats", jetstream, documented_block("system_account")) as server:
        studio = Studio(tmp_path, server.url)
        studio.write(server.url, f'user = "sgevents"\npassword = "{PASSWORD}"\n{state}')
        assert studio("cluster", "init").exit_code == 0
        found = [(status, message) for status, message in studio.findings() if status != "ok"]
        if expected is None:
            assert found == []
        else:
            assert [(status, expected[1] in message) for status, message in found] == [
                (expected[0], True)
            ]


def test_the_documented_rights_are_enough_and_needed(tmp_path: Path) -> None:
    """With each one that is left out, `check` names it; the password is never shown."""
    studio = Studio(tmp_path, "nats://127.0.0.1:1")
    site_word = studio.site_url.partition("//")[2].replace(".", "-")
    rights = documented_block("permissions").replace("SITE", site_word)
    entries = [*re.findall(r'"[^"]+"', rights.partition("subscribe")[0])]
    entries.append(f'"hint.sge.{site_word}.>"')
    assert len(entries) == 12
    users = [f"{{ user: admin, password: {PASSWORD} }}"]
    for number, entry in enumerate(["none", *entries]):
        permissions = rights.replace(entry, '"else"')
        users.append(f"{{ user: user{number}, password: {PASSWORD}, {permissions} }}")
    accounts = "authorization { users: [\n" + "\n".join(users) + "\n] }"
    with running_nats(tmp_path / "nats", more=accounts) as server:
        studio.write(server.url, f'user = "admin"\npassword = "{PASSWORD}"')
        assert studio("cluster", "init").exit_code == 0
        for number, entry in enumerate(["none", *entries]):
            studio.write(server.url, f'user = "user{number}"\npassword = "{PASSWORD}"')
            refused = [message for _, message in studio.findings() if "permit" in message]
            assert bool(refused) == (number > 0), entry
            stem = entry.strip('"').rstrip("*>").lower()
            assert all(f'"{stem}' in message.lower() for message in refused), (entry, refused)
            assert PASSWORD not in studio("cluster", "status").output


def documented_block(first_word: str) -> str:
    """A sample of the page on servers, with the password of the tests."""
    page = (DOCS / "how-to" / "run-nats-servers.md").read_text("utf-8")
    blocks = re.findall(r"```text\n(.*?)```", page, re.DOTALL)
    (block,) = [block for block in blocks if block.startswith(first_word)]
    return str(block).replace('"..."', PASSWORD)


def test_a_run_without_streams_names_the_command_that_makes_them(studio: Studio) -> None:
    """It begins nothing, and exits with 2."""
    refused = studio("run")
    assert refused.exit_code == 2
    assert "sgevents cluster init" in " ".join(refused.output.split())
    assert not (studio.config.parent / "state" / "copy").exists()


def test_a_start_says_what_is_wrong_and_what_helps_on_lines_of_their_own(
    studio: Studio, streams: NatsSite, capsys: pytest.CaptureFixture[str]
) -> None:
    """What does not prevent a run is printed like everywhere else."""
    refuse_servers(load_settings(studio.config))
    first_line, fix_line = capsys.readouterr().err.splitlines()[:2]
    assert first_line.startswith("sgevents: whether it syncs")
    assert fix_line.startswith("    fix: set")
