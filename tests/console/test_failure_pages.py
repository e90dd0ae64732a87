"""Dead letters in groups: what they have in common, and what is done about many at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from console_states import requests_of
from console_visits import config_file, console_client, form_token
from journal_rows import event_row, grow
from starlette.testclient import TestClient
from state_values import failure

from sgevents_core.console.acting import _answers_text
from sgevents_core.state.opening import open_state
from sgevents_core.state.plugin_record import PluginRecord
from sgevents_core.state.requests import RequestAnswer
from sgevents_core.state.steps import Step

API = "/api/v1/sites/studio"


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    """A browser of a state with dead letters of two kinds, and a failure that was tried again."""
    (tmp_path / "studio").mkdir()
    with closing(open_state(tmp_path / "studio").writer()) as state:
        grow(state, [event_row(n) for n in range(1, 131)])
        fence = state.take_lane("main")
        record = PluginRecord("notify", "main")
        record.pause("too many failures")
        state.record("main", fence, Step(plugins=[record, PluginRecord("count", "main")]))
        for seq in range(1, 121):
            error = f"ValueError: no frames for {seq}"
            failed = failure(seq=seq, event_id=seq, error=error, traceback=f"at line {seq}")
            state.record("main", fence, Step(failure=failed, dead=True))
        other = failure("count", seq=121, event_id=121, error="KeyError: 'a'")
        state.record("main", fence, Step(failure=other, dead=True))
        state.record("main", fence, Step(failure=failure("count", seq=122, event_id=122)))
    more = "[plugins.notify]\nenabled = true\n"
    with console_client([config_file(tmp_path, more=more)]) as browser:
        yield browser


def read(client: TestClient, page: str, **query: Any) -> Any:
    """A page as JSON."""
    return client.get(f"{API}/{page}", params=query).json()


def test_groups(client: TestClient) -> None:
    """By plugin, callback and error without numbers, the largest first; other failures apart."""
    view = read(client, "failures")
    groups = [(group["plugin"], group["error"], group["letters"]) for group in view["groups"]]
    assert groups == [
        ("notify", "ValueError: no frames for #", 120),
        ("count", "KeyError: 'a'", 1),
    ]
    assert [(one["plugin"], one["outcome"]) for one in view["others"]] == [("count", "retry")]
    assert (view["letters_total"], view["letters"]) == (121, [])


def test_one_group(client: TestClient) -> None:
    """Its letters page by page, with the traceback of one, and links to what can be done."""
    query = {"plugin": "notify", "error": "ValueError: no frames for #"}
    view = read(client, "failures", **query)
    assert (len(view["letters"]), view["letters_left"]) == (100, 20)
    assert view["traceback"] == "at line 100"
    rest = read(client, "failures", after=100, **query)
    assert [letter["event_id"] for letter in rest["letters"]] == list(range(101, 121))
    page = client.get("/sites/studio/failures", params=query).text
    assert "Retry all 120" in page
    assert "failures-preview?action=dismiss" in page


def test_preview_says_what_would_be_done(client: TestClient) -> None:
    """How many calls, of which callbacks, and in which state their plugins are."""
    view = read(client, "failures-preview", action="retry", plugin="notify")
    assert view["calls"] == 120
    (line,) = view["lines"]
    assert (line["plugin"], line["state"], line["reason"]) == (
        "notify",
        "paused",
        "too many failures",
    )
    page = client.get("/sites/studio/failures-preview?action=retry&plugin=notify").text
    assert "It stays paused" in page
    assert "No daemon is running" in page
    chosen = read(client, "failures-preview", action="dismiss", letters=[1, 2, 999])
    assert (chosen["calls"], chosen["letters"]) == (2, [1, 2, 999])
    assert read(client, "failures-preview", action="dismiss")["calls"] == 0


def test_actions_are_the_requests_of_the_commands(client: TestClient, tmp_path: Path) -> None:
    """A retry of each letter; one dismissal for many; a selection; the next page shows progress."""
    client.headers["X-Form-Token"] = form_token(client)
    group = {"plugin": "notify", "error": "no frames"}
    retried = client.post(f"{API}/failures/retry", json={"letters": [3, 5, 5]}).json()
    assert len(retried["requests"]) == 2
    dismissed = client.post(f"{API}/failures/dismiss", json={**group, "reason": "old"}).json()
    assert len(dismissed["requests"]) == 1
    kinds = [request[:2] for request in requests_of(tmp_path / "studio.toml")]
    assert kinds == [("retry", "notify"), ("retry", "notify"), ("dismiss", "notify")]
    progress = read(client, "failures")["progress"]
    assert [(one["kind"], one["waiting"]) for one in progress] == [("dismiss", 1), ("retry", 2)]
    assert "2 to come" in " ".join(client.get("/sites/studio/failures").text.replace(
        '<span class="num">', "").replace("</span>", "").split())  # fmt: skip


@pytest.mark.parametrize("body", [{}, {"letters": [999]}, {"plugin": "nobody"}, {"letters": []}])
def test_nothing_chosen_changes_nothing(
    client: TestClient, tmp_path: Path, body: dict[str, Any]
) -> None:
    """All that there are are never chosen by mistake."""
    client.headers["X-Form-Token"] = form_token(client)
    assert client.post(f"{API}/failures/dismiss", json=body).status_code == 404
    assert requests_of(tmp_path / "studio.toml") == []


def test_answers_to_many_requests_are_counted() -> None:
    """A few are shown one by one; of many, the numbers and one of the worst."""
    few = [RequestAnswer("done", f"dead letter {number} was handled") for number in (1, 2)]
    assert _answers_text(few, few[0]) == "dead letter 1 was handled; dead letter 2 was handled"
    failed = [RequestAnswer("failed", f"dead letter {number} failed again") for number in (3, 4)]
    many = [*failed, *few, RequestAnswer("refused", "it is not loaded")]
    assert _answers_text(many, many[0]) == (
        "5 requests: 2 failed, 2 done, 1 refused; one of them: dead letter 3 failed again"
    )
