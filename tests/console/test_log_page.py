"""The page of the log: the last day's ids, its gaps, and the decision about parked rows."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from console_visits import config_file, console_client, form_token
from journal_rows import event_row
from starlette.testclient import TestClient

from sgevents_core.state.entries import TakenRow
from sgevents_core.state.feed_values import FeedChange, FeedState, MissingRange, ParkedRange
from sgevents_core.state.opening import open_state

API = "/api/v1/sites/studio"


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    """A browser of a state with a gap that is waited for, and parked rows."""
    now = int(time.time())
    (tmp_path / "studio").mkdir()
    with closing(open_state(tmp_path / "studio").writer()) as state:
        rows = [TakenRow(event_row(n, at=now - 60 + n), n == 9) for n in (1, 2, 3, 7, 9, 10)]
        change = FeedChange(
            FeedState(frontier=10, floor=1, observed=50.0),
            put=[MissingRange(4, 6, now, 40.0, True)],
            put_parked=[ParkedRange(8, 8, 3, now)],
        )
        state.append(0, rows, change)
    with console_client([config_file(tmp_path)]) as browser:
        yield browser


def test_picture_and_ranges(client: TestClient) -> None:
    """Each cell has its ids and what is known of them; a gap says until when it is waited for."""
    view = client.get(f"{API}/log").json()
    standings = {cell["first"]: cell["standing"] for cell in view["cells"]}
    assert standings[1] == "taken"
    assert standings[4] == "waited for"
    assert standings[8] == "parked"
    assert standings[9] == "late"
    assert view["totals"] == {"waited for": 3, "parked": 1}
    waited = next(one for one in view["ranges"] if one["standing"] == "waited for")
    assert (waited["first"], waited["last"], waited["waits_s"]) == (4, 6, 290.0)
    page = client.get("/sites/studio/log").text
    assert page.count("<rect") == len(view["cells"])
    assert "log/parked" in page


@pytest.mark.parametrize("decision", ["handle", "drop"])
def test_decision_about_parked_rows(client: TestClient, tmp_path: Path, decision: str) -> None:
    """It is the request of the command."""
    client.headers["X-Form-Token"] = form_token(client)
    answer = client.post(f"{API}/log/parked", json={"decision": decision})
    assert answer.status_code == 202
    with closing(open_state(tmp_path / "studio").requests()) as requests:
        (request,) = requests.waiting()
    assert (request.kind, request.detail) == (
        "parked",
        {"decision": decision, "era": 1, "numbers": [3]},
    )


def test_nothing_read_yet(tmp_path: Path) -> None:
    """The page says so, and nothing can be decided."""
    with console_client([config_file(tmp_path)]) as client:
        assert "Nothing was read from the site yet" in client.get("/sites/studio/log").text
        client.headers["X-Form-Token"] = form_token(client)
        answer = client.post(f"{API}/log/parked", json={"decision": "drop"})
        assert answer.status_code == 404
