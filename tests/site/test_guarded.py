"""What plugins' connections make of bodies that are no answer: an error, never a value."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from xmlrpc.client import ProtocolError

import pytest
from scripted_site import ScriptedSite
from shotgun_api3.shotgun import ShotgunError

from sgevents_core.calling.connection import CountingShotgun
from sgevents_core.calling.policy import FailureRules, facts_of, judge
from sgevents_core.errors import SgEventsError, SiteAnswerError, SiteAnswerTooLarge
from sgevents_core.site import answers

SHOT: dict[str, Any] = {"type": "Shot", "id": 5}
CALLS: dict[str, Callable[[Any], object]] = {
    "find": lambda sg: sg.find("Shot", []),
    "find_one": lambda sg: sg.find_one("Shot", []),
    "summarize": lambda sg: sg.summarize("Shot", [], [{"field": "id", "type": "count"}]),
    "create": lambda sg: sg.create("Shot", {"code": "x"}),
    "update": lambda sg: sg.update("Shot", 5, {"code": "x"}),
    "delete": lambda sg: sg.delete("Shot", 5),
    "revive": lambda sg: sg.revive("Shot", 5),
    "batch": lambda sg: sg.batch(
        [{"request_type": "update", "entity_type": "Shot", "entity_id": 5, "data": {"code": "x"}}]
    ),
    "schema_read": lambda sg: sg.schema_read(),
    "schema_field_create": lambda sg: sg.schema_field_create("Shot", "text", "Colour"),
    "schema_field_delete": lambda sg: sg.schema_field_delete("Shot", "sg_colour"),
    "follow": lambda sg: sg.follow({"type": "HumanUser", "id": 1}, SHOT),
    "unfollow": lambda sg: sg.unfollow({"type": "HumanUser", "id": 1}, SHOT),
    "followers": lambda sg: sg.followers(SHOT),
    "note_thread_read": lambda sg: sg.note_thread_read(3),
    "text_search": lambda sg: sg.text_search("x", {"Shot": []}),
    "activity_stream_read": lambda sg: sg.activity_stream_read("Shot", 5),
    "preferences_read": lambda sg: sg.preferences_read(),
    "work_schedule_update": lambda sg: sg.work_schedule_update("2026-01-31", True),
    "session_token": lambda sg: sg.get_session_token(),
    "user_subscriptions_read": lambda sg: sg.user_subscriptions_read(),
    "project_accessed": lambda sg: sg.update_project_last_accessed({"id": 5}, {"id": 1}),
}
BODIES = [
    b"",
    b" \r\n",
    b"<html><head><title>Sign in</title></head></html>",
    b"<!DOCTYPE html>",
    b'{"results": {"id": 5, "type": "Sh',
    b"null",
    b"true",
    b"5",
    b'"ok"',
    b"[]",
    b"{}",
    b'{"status": "ok"}',
    b'{"errors": [{"title": "Bad gateway"}]}',
    b'{"exception": "java.lang.NullPointerException", "message": "gateway", "status": 500}',
    b"\x1f\x8b\x08\x00garbage",
    b"\x00\xff\xfe",
    b"{" * 100_000,
]


@pytest.fixture
def sg(scripted: ScriptedSite) -> Iterator[CountingShotgun]:
    """A plugin's connection to the scripted site."""
    client = CountingShotgun(scripted.url, "sgevents", "demo-key", connect=False)
    yield client
    client.close()


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_what_is_no_answer_raises(
    scripted: ScriptedSite, sg: CountingShotgun, call: Callable[[Any], object]
) -> None:
    """Whatever is called, whatever comes instead of an answer: an error that may pass."""
    for body in BODIES:
        scripted.body = body
        for kind in ("text/html", "application/json"):
            scripted.headers = {"Content-Type": kind}
            with pytest.raises(SiteAnswerError) as caught:
                call(sg)
            assert isinstance(caught.value, ShotgunError)
            assert isinstance(caught.value, SgEventsError)
            raised = facts_of(caught.value, 0.0)
            assert judge(raised, 1, FailureRules(), 0.5).outcome == "retry"


OTHER_SHAPES: dict[str, list[Any]] = {
    "find": [None, [], {"entities": None}, {"entities": []}],
    "summarize": [None, [], {}],
    "create": [None, True, [], {}, {"type": "Shot"}, {"id": "5"}, [None]],
    "update": [None, True, [], {}, {"type": "Shot"}, {"id": 6, "type": "Shot"}],
    "delete": [None, {}, "true", 1],
    "revive": [None, {}, "true", 1],
    "batch": [None, [], {}, [None], [{}], [True], [{"id": 6}], [{"id": 5}, {"id": 5}]],
    "schema_read": [None, [], "x"],
    "followers": [None, {}],
}


@pytest.mark.parametrize(
    ("name", "results"),
    [(name, results) for name, all_ in OTHER_SHAPES.items() for results in all_],
)
def test_results_of_another_shape_raise(
    scripted: ScriptedSite, sg: CountingShotgun, name: str, results: Any
) -> None:
    """Results that the method never has are the answer to something else."""
    scripted.answers(results)
    with pytest.raises(SiteAnswerError):
        CALLS[name](sg)


def test_a_right_answer_of_a_wrong_type_is_one(scripted: ScriptedSite, sg: CountingShotgun) -> None:
    """What the answer says of its type does not count, only what it is."""
    scripted.headers = {"Content-Type": "text/html"}
    scripted.answers({"id": 5, "type": "Shot", "code": "x"})
    assert sg.update("Shot", 5, {"code": "x"})["id"] == 5
    scripted.answers(True)
    assert sg.delete("Shot", 5) is True
    scripted.answers(False)
    assert sg.revive("Shot", 5) is False


def test_a_page_in_plain_text(scripted: ScriptedSite, sg: Any) -> None:
    """An exported page is text, unless it is HTML."""
    scripted.headers = {"Content-Type": "text/csv"}
    scripted.body = b"ID,Name\n1,turn\n"
    page = {"format": "csv", "page_id": 1}  # older clients have no method of this name
    assert sg._call_rpc("export_page", page) == "ID,Name\n1,turn\n"
    scripted.body = b" <HTML>Sign in"
    with pytest.raises(SiteAnswerError, match="Sign in"):
        sg._call_rpc("export_page", page)


def test_a_version_that_is_no_site(scripted: ScriptedSite, sg: CountingShotgun) -> None:
    """JSON that does not tell a site's version is not the beginning of a connection."""
    scripted.info = {"portal": "please log in"}
    with pytest.raises(SiteAnswerError, match="version"):
        sg.connect()


def test_what_came_instead_is_shown_in_one_line(
    scripted: ScriptedSite, sg: CountingShotgun
) -> None:
    """The words of the page, without its tags, its control characters and the key."""
    scripted.body = b"<p>demo-key\x1b[31m\r\n<0>down " + b"for maintenance " * 500
    with pytest.raises(SiteAnswerError, match="down for maintenance") as caught:
        sg.update("Shot", 5, {"code": "x"})
    text = str(caught.value)
    assert "demo-key" not in text
    assert text.isprintable()
    assert len(text) < 500


@pytest.mark.parametrize("at", [*range(180, 205), 1995, 3995])
def test_no_part_of_a_key_is_shown_where_a_page_is_cut_off(
    scripted: ScriptedSite, sg: CountingShotgun, at: int
) -> None:
    """The key is taken out before anything is shortened, wherever it stands."""
    scripted.body = b"<p>" + b"x" * (at - 3) + b"demo-key and more of it" * 30
    with pytest.raises(SiteAnswerError) as caught:
        sg.update("Shot", 5, {"code": "x"})
    assert "demo" not in str(caught.value)
    tags = b"<i></i>" * 400
    scripted.body = tags[: at % 2000] + b"demo-key" + tags
    with pytest.raises(SiteAnswerError) as caught:
        sg.update("Shot", 5, {"code": "x"})
    assert "dem" not in str(caught.value)


def test_an_answer_of_too_many_values(
    scripted: ScriptedSite, sg: CountingShotgun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is short as text and takes far more memory is not decoded."""
    monkeypatch.setattr(answers, "MOST_VALUES", 1000)
    scripted.body = b'{"results": {"entities": [' + b"[]," * 1001 + b"[]]}}"
    with pytest.raises(SiteAnswerTooLarge, match="more than 1,000 values"):
        sg.find("Shot", [])


def test_threads_that_share_a_client(scripted: ScriptedSite, sg: CountingShotgun) -> None:
    """Each gets its answer judged as what it asked for, though clients are not made for that."""
    scripted.answers({"id": 5, "type": "Shot", "code": "x"})

    def work(_: int) -> object:
        assert isinstance(sg.info(), dict)
        return sg.update("Shot", 5, {"code": "x"})

    with ThreadPoolExecutor(8) as pool:
        assert len(list(pool.map(work, range(200)))) == 200


def test_a_refusal_with_a_page_is_short(scripted: ScriptedSite, sg: CountingShotgun) -> None:
    """A status 403 carries what can be read of its page, and not the whole of it."""
    assert sg.server_info
    scripted.status, scripted.body = 403, b"<html>demo-key\n  blocked</html>" + b"x" * 100_000
    with pytest.raises(ProtocolError, match="blocked") as caught:
        sg.find("Shot", [])
    assert len(caught.value.errmsg) < 500
    assert "demo-key" not in caught.value.errmsg
