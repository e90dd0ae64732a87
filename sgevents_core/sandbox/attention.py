"""Who follows what: the API methods `follow`, `unfollow`, `followers`, `following`."""

from __future__ import annotations

from typing import Any, Final

from sgevents_core.sandbox.callers import SignedIn
from sgevents_core.sandbox.records import Record, Ref
from sgevents_core.sandbox.refusal import CRUD, RefusedCallError, shown
from sgevents_core.sandbox.relations import entity_hash
from sgevents_core.sandbox.site_database import SiteDatabase

Call = dict[str, Any]


def existing(database: SiteDatabase, method: str, value: Any) -> Record:
    """Return the live record of an entity hash.

    Raises:
        RefusedCallError: It is not an entity hash, or the record does not exist.
    """
    if not isinstance(value, dict):
        raise RefusedCallError(f"API {method}() invalid/missing entity hash: {shown(value)}")
    ref = entity_hash(method, value)
    database.schema.get(method, ref[0])
    record = database.records.live(ref)
    if record is None:
        raise RefusedCallError(f"API {method}() Couldn't find {ref[0]} with id={ref[1]}", CRUD)
    return record


def _follow(database: SiteDatabase, _caller: SignedIn, call: Call) -> Call:
    user = existing(database, "follow", call.get("user"))
    entity = existing(database, "follow", call.get("entity"))
    database.following.setdefault(user.ref, {})[entity.ref] = None
    return {"followed": True, "user": call["user"], "entity": call["entity"]}


def _unfollow(database: SiteDatabase, _caller: SignedIn, call: Call) -> Call:
    user = existing(database, "unfollow", call.get("user"))
    entity = existing(database, "unfollow", call.get("entity"))
    database.following.get(user.ref, {}).pop(entity.ref, None)
    return {"unfollowed": True, "user": call["user"], "entity": call["entity"]}


def _followers(database: SiteDatabase, _caller: SignedIn, call: Call) -> list[Call]:
    entity = existing(database, "followers", call.get("entity")).ref
    followers = [user for user, what in database.following.items() if entity in what]
    people = (database.records.live(user) for user in followers)
    return [
        {**person.link, "status": person.values.get("sg_status_list"), "valid": "valid"}
        for person in people
        if person is not None
    ]


def _following(database: SiteDatabase, _caller: SignedIn, call: Call) -> list[Call]:
    user = existing(database, "following", call.get("user"))
    wanted, project = call.get("entity_type"), call.get("project")
    of = existing(database, "following", project).ref if project else None
    return [
        {"type": ref[0], "id": ref[1]}
        for ref in database.following.get(user.ref, {})
        if wanted in (None, ref[0]) and _is_of(database, ref, of)
    ]


def _is_of(database: SiteDatabase, ref: Ref, project: Ref | None) -> bool:
    record = database.records.live(ref)
    if record is None:
        return False
    return project is None or project in (record.ref, record.values.get("project"))


METHODS: Final = {
    "follow": _follow,
    "unfollow": _unfollow,
    "followers": _followers,
    "following": _following,
}
