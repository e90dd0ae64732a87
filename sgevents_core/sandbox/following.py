"""Who follows what: the API methods `follow`, `unfollow`, `followers`, `following`."""

from __future__ import annotations

from typing import Any, Final

from sgevents_core.sandbox.callers import ApiCaller
from sgevents_core.sandbox.filter_relations import parse_entity_hash
from sgevents_core.sandbox.records import EntityRef, Record
from sgevents_core.sandbox.refused_calls import CRUD_ERROR, refused_call, ruby_text
from sgevents_core.sandbox.site_database import SiteDatabase

Parameters = dict[str, Any]


def required_record(database: SiteDatabase, method: str, entity_value: Any) -> Record:
    """Return the live record of an entity hash.

    Raises:
        RefusedCallError: It is not an entity hash, or the record does not exist.
    """
    if not isinstance(entity_value, dict):
        raise refused_call(method, f"invalid/missing entity hash: {ruby_text(entity_value)}")
    entity_ref = parse_entity_hash(method, entity_value)
    database.schema.required_type(method, entity_ref[0])
    live_record = database.records.live(entity_ref)
    if live_record is None:
        raise refused_call(
            method, f"Couldn't find {entity_ref[0]} with id={entity_ref[1]}", CRUD_ERROR
        )
    return live_record


def _follow_entity(
    database: SiteDatabase, _caller: ApiCaller, parameters: Parameters
) -> Parameters:
    user_record = required_record(database, "follow", parameters.get("user"))
    entity_record = required_record(database, "follow", parameters.get("entity"))
    database.followed_by_person.setdefault(user_record.ref, {})[entity_record.ref] = None
    return {"followed": True, "user": parameters["user"], "entity": parameters["entity"]}


def _unfollow_entity(
    database: SiteDatabase, _caller: ApiCaller, parameters: Parameters
) -> Parameters:
    user_record = required_record(database, "unfollow", parameters.get("user"))
    entity_record = required_record(database, "unfollow", parameters.get("entity"))
    database.followed_by_person.get(user_record.ref, {}).pop(entity_record.ref, None)
    return {"unfollowed": True, "user": parameters["user"], "entity": parameters["entity"]}


def _read_followers(
    database: SiteDatabase, _caller: ApiCaller, parameters: Parameters
) -> list[Parameters]:
    followed_ref = required_record(database, "followers", parameters.get("entity")).ref
    follower_refs = [
        follower_ref
        for follower_ref, followed_refs in database.followed_by_person.items()
        if followed_ref in followed_refs
    ]
    followers = (database.records.live(follower_ref) for follower_ref in follower_refs)
    return [
        {
            **follower.link,
            "status": follower.values.get("sg_status_list"),
            "valid": "valid",
        }
        for follower in followers
        if follower is not None
    ]


def _read_following(
    database: SiteDatabase, _caller: ApiCaller, parameters: Parameters
) -> list[Parameters]:
    user_record = required_record(database, "following", parameters.get("user"))
    wanted_type, project = parameters.get("entity_type"), parameters.get("project")
    project_ref = required_record(database, "following", project).ref if project else None
    return [
        {"type": entity_ref[0], "id": entity_ref[1]}
        for entity_ref in database.followed_by_person.get(user_record.ref, {})
        if wanted_type in (None, entity_ref[0])
        and _belongs_to_project(database, entity_ref, project_ref)
    ]


def _belongs_to_project(
    database: SiteDatabase, followed_ref: EntityRef, project_ref: EntityRef | None
) -> bool:
    followed_record = database.records.live(followed_ref)
    if followed_record is None:
        return False
    return project_ref is None or project_ref in (
        followed_record.ref,
        followed_record.values.get("project"),
    )


API_METHODS: Final = {
    "follow": _follow_entity,
    "unfollow": _unfollow_entity,
    "followers": _read_followers,
    "following": _read_following,
}
