"""The command `sgevents record`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from journal_rows import event_row, grow

from sgevents_core.cli.root import sgevents
from sgevents_core.sandbox import Sandbox
from sgevents_core.state.opening import open_state
from sgevents_core.testing import load_events

Record = Callable[..., Result]


@pytest.fixture
def site() -> Iterator[Sandbox]:
    """A site with two rows: 1 and 2."""
    with Sandbox(project=False) as site:
        site.event("Studio_Day_Begun")
        site.event("Studio_Day_Ended")
        yield site


@pytest.fixture
def record(site: Sandbox, tmp_path: Path) -> Record:
    """Run the command with a configuration for the site; files are in the test's folder."""
    (tmp_path / "sgevents.toml").write_text(
        f'[site]\nurl = "{site.url}"\nscript_name = "sgevents"\n'
        'api_key = { env = "SGEVENTS_TEST_KEY" }\n'
    )

    def run(*arguments: object, key: str | None = "demo-key") -> Result:
        words = ["record", "-c", str(tmp_path / "sgevents.toml"), "-o", str(tmp_path / "out.jsonl")]
        env = {"SGEVENTS_TEST_KEY": key}
        return CliRunner().invoke(sgevents, [*words, *map(str, arguments)], env=env)

    return run


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """A journal that holds the events 1, 4, 3 and 7, in this order."""
    folder = tmp_path / "state"
    folder.mkdir()
    state = open_state(folder).writer()
    rows = [event_row(1, at=100), event_row(4, at=400), event_row(3, at=300), event_row(7, at=700)]
    grow(state, rows, late=[3])
    state.close()
    return folder


def recorded(folder: Path) -> list[Any]:
    """The ids of the events in the file that was written."""
    return [event.id for event in load_events(folder / "out.jsonl")]


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        (["--last", 2], [3, 7]),
        (["--last", 99], [1, 4, 3, 7]),
        ([7, 3, 7], [3, 7]),
        (["--since", "1970-01-01T00:05Z"], [4, 3, 7]),
        (["--since", "1h"], []),
    ],
)
def test_events_of_the_journal(
    record: Record, journal: Path, tmp_path: Path, wanted: list[object], ids: list[int]
) -> None:
    """Events are recorded in the order seen, without calls to the site: no key is needed."""
    done = record(*wanted, key=None)
    assert done.exit_code == 0, done.output
    assert recorded(tmp_path) == ids
    assert f"out.jsonl: {len(ids)} events" in done.output


def test_events_that_the_journal_has_not_are_the_sites(
    record: Record, journal: Path, tmp_path: Path
) -> None:
    """Events that the journal lacks are read from the site."""
    assert record(2, 3).exit_code == 0
    assert recorded(tmp_path) == [2, 3]


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [(["--last", 1], [2]), (["--last", 9], [1, 2]), ([1], [1]), (["--since", "1h"], [1, 2])],
)
def test_events_of_the_site(
    record: Record, tmp_path: Path, wanted: list[object], ids: list[int]
) -> None:
    """Without a journal, events are read from the site, which is reported."""
    done = record(*wanted)
    assert done.exit_code == 0, done.output
    assert recorded(tmp_path) == ids
    assert "no journal yet" in done.stderr
    assert not (tmp_path / "state").exists()


def test_the_site_though_there_is_a_journal(
    record: Record, journal: Path, tmp_path: Path, site: Sandbox
) -> None:
    """With --from-site, events are read from the site, also over several pages."""
    site.fill(1200)
    assert record("--from-site", "--last", 1100).exit_code == 0
    assert recorded(tmp_path) == list(range(103, 1203))
    assert record("--from-site", "--since", "2000-01-01", "--force").exit_code == 0
    assert recorded(tmp_path) == list(range(1, 1203))
    assert record("--from-site", "--force", *range(1, 700)).exit_code == 0
    assert recorded(tmp_path) == list(range(1, 700))


def test_missing_events_are_reported(record: Record, journal: Path, tmp_path: Path) -> None:
    """Missing events are reported, and nothing is written."""
    done = record(1, 50, 60)
    assert done.exit_code == 1
    assert "Neither the journal nor the site has the events 50, 60." in done.stderr
    assert not (tmp_path / "out.jsonl").exists()


def test_secrets_of_the_configuration_are_left_out(
    record: Record, site: Sandbox, tmp_path: Path
) -> None:
    """Secrets are redacted, also in events."""
    site.event("Studio_Key_Told", meta={"text": "the key is demo-key"})
    assert record("--last", 1).exit_code == 0
    assert "demo-key" not in (tmp_path / "out.jsonl").read_text()
    assert load_events(tmp_path / "out.jsonl")[0].meta == {"text": "the key is ***"}


def test_secret_of_digits_is_no_part_of_a_number(record: Record, tmp_path: Path) -> None:
    """The file stays valid JSON, whatever a secret is."""
    (tmp_path / "state").mkdir()
    with closing(open_state(tmp_path / "state").writer()) as state:
        grow(state, [event_row(12345678, at=100)])
    assert record("--last", 1, key="12345678").exit_code == 0
    assert recorded(tmp_path) == [12345678]


def test_people_can_be_left_out(record: Record, tmp_path: Path, site: Sandbox) -> None:
    """With --anonymise, people are replaced."""
    ada = site.create("HumanUser", {"name": "Ada Park", "login": "ada"})
    site.create("Shot", {"code": "sh010"}, user="ada")
    assert record("--last", 2).exit_code == 0
    assert "Ada Park" in (tmp_path / "out.jsonl").read_text()
    assert record("--last", 2, "--anonymise", "--force").exit_code == 0
    assert "Ada" not in (tmp_path / "out.jsonl").read_text()
    assert load_events(tmp_path / "out.jsonl")[0].user == {
        "type": "HumanUser",
        "id": ada["id"],
        "name": f"Person {ada['id']}",
    }


def test_existing_files_are_kept(record: Record, tmp_path: Path) -> None:
    """An existing file is replaced only with --force."""
    (tmp_path / "out.jsonl").write_text("precious")
    done = record("--last", 1)
    assert done.exit_code == 2
    assert "--force" in done.stderr
    assert (tmp_path / "out.jsonl").read_text() == "precious"


def test_a_file_that_cannot_be_written(record: Record, tmp_path: Path) -> None:
    """A file that cannot be written is reported with the reason."""
    done = record("--last", 1, "-o", tmp_path / "none" / "out.jsonl")
    assert done.exit_code == 1
    assert "No such file or directory" in done.stderr


@pytest.mark.parametrize("wanted", [[], [1, "--last", 1], ["--last", 1, "--since", "1h"]])
def test_one_way_of_choosing(record: Record, wanted: list[object]) -> None:
    """The events are selected in one way only."""
    done = record(*wanted)
    assert done.exit_code == 2
    assert "Say which events" in done.stderr
