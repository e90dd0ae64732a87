"""Who follows what: the API methods `follow`, `unfollow`, `followers`, `following`."""

from __future__ import annotations

from typing import Any, Final

from sgevents_core.sandbox.callers import ApiCaller
from sgevents_core.sandbox.filter_relations import parse_entity_hash
from sgevents_core.sandbox.records import EntityRef, Record, entity_hash
from sgevents_core.sandbox.refused_calls import CRUD_ERROR, refused_call, refused_value
from sgevents_core.sandbox.site_database import SiteDatabase

JsonObject = dict[str, Any]
"""The parameters of a call, or its results."""


def required_record(database: SiteDatabase, method: str, entity_value: Any) -> Record:
    """Return the live record of an entity hash.

    Raises:
        RefusedCallError: It is not an entity hash, or the record does not exist.
    """
    if not isinstance(entity_value, dict):
        raise refused_value(method, "invalid/missing entity hash", entity_value)
    ref = parse_entity_hash(method, entity_value)
    database.schema.required_type(method, ref[0])
    live_record = database.records.live(ref)
    if live_record is None:
        raise refused_call(method, f"Couldn't find {ref[0]} with id={ref[1]}", CRUD_ERROR)
    return live_record


def _follow_entity(
    database: SiteDatabase, _caller: ApiCaller, parameters: JsonObject
) -> JsonObject:
    user = required_record(database, "follow", parameters.get("user"))
    entity = required_record(database, "follow", parameters.get("entity"))
    database.followed_by_person.setdefault(user.ref, {})[entity.ref] = None
    return {"followed": True, "user": parameters["user"], "entity": parameters["entity"]}


def _unfollow_entity(
    database: SiteDatabase, _caller: ApiCaller, parameters: JsonObject
) -> JsonObject:
    user = required_record(database, "unfollow", parameters.get("user"))
    entity = required_record(database, "unfollow", parameters.get("entity"))
    database.followed_by_person.get(user.ref, {}).pop(entity.ref, None)
    return {"unfollowed": True, "user": parameters["user"], "entity": parameters["entity"]}


def _read_followers(
    database: SiteDatabase, _caller: ApiCaller, parameters: JsonObject
) -> list[JsonObject]:
    ref = required_record(database, "followers", parameters.get("entity")).ref
    follower_refs = [
        person_ref for person_ref, refs in database.followed_by_person.items() if ref in refs
    ]
    followers = (database.records.live(person_ref) for person_ref in follower_refs)
    return [
        {**follower.link, "status": follower.values.get("sg_status_list"), "valid": "valid"}
        for follower in followers
        if follower is not None
    ]


def _read_following(
    database: SiteDatabase, _caller: ApiCaller, parameters: JsonObject
) -> list[JsonObject]:
    user = required_record(database, "following", parameters.get("user"))
    wanted_type, project = parameters.get("entity_type"), parameters.get("project")
    project_ref = required_record(database, "following", project).ref if project else None
    return [
        entity_hash(ref)
        for ref in database.followed_by_person.get(user.ref, {})
        if wanted_type in (None, ref[0]) and _belongs_to_project(database, ref, project_ref)
    ]


def _belongs_to_project(
    database: SiteDatabase, ref: EntityRef, project_ref: EntityRef | None
) -> bool:
    record = database.records.live(ref)
    if record is None:
        return False
    return project_ref is None or project_ref in (record.ref, record.values.get("project"))


API_METHODS: Final = {
    "follow": _follow_entity,
    "unfollow": _unfollow_entity,
    "followers": _read_followers,
    "following": _read_following,
}
