"""Values of fields of type url: files uploaded, web addresses, and paths in a local storage."""

from __future__ import annotations

import mimetypes
from typing import Any, Final

from sgevents_core.sandbox.data_types import HASH_CLASSES, ValueContext
from sgevents_core.sandbox.filter_relations import parse_entity_hash
from sgevents_core.sandbox.records import EntityRef, Record
from sgevents_core.sandbox.refused_calls import refused_call, ruby_text
from sgevents_core.sandbox.site_database import SiteDatabase
from sgevents_core.sandbox.stored_files import StoredFile, StoredFiles

PLATFORMS: Final = ("linux", "mac", "windows")


def uploaded_file_value(
    attachment: Record, stored_file: StoredFile, shown_name: str
) -> dict[str, Any]:
    """Return the value of a field that a file was uploaded to."""
    return {
        "url": StoredFiles.attachment_path(attachment.id),
        "name": shown_name,
        "content_type": stored_file.content_type,
        "link_type": "upload",
        "type": "Attachment",
        "id": attachment.id,
    }


def stored_url_value(
    database: SiteDatabase, context: ValueContext, given_value: Any
) -> dict[str, Any] | None:
    """Return the stored value of a url field that is written, except its Attachment.

    Args:
        database: The database with the local storages.
        context: Where it was given.
        given_value: `{"url": ...}`, `{"local_path": ...}`, or a relative path with its storage.

    Raises:
        RefusedCallError: It is none of these, or the path is not in a storage.
    """
    if given_value is None:
        return None
    if not isinstance(given_value, dict):
        context.refuse_class(HASH_CLASSES, given_value)
    if isinstance(given_value.get("url"), str):
        shown_name = given_value.get("name") or given_value["url"].rstrip("/").rpartition("/")[2]
        return {
            "url": given_value["url"],
            "name": shown_name,
            "content_type": None,
            "link_type": "web",
        }
    if isinstance(given_value.get("local_path"), str):
        return _local_file_value(
            *_storage_above(database, context, given_value["local_path"]), given_value
        )
    if isinstance(given_value.get("relative_path"), str) and isinstance(
        given_value.get("local_storage"), dict
    ):
        storage = database.records.live(
            parse_entity_hash(context.method, given_value["local_storage"])
        )
        if storage is None:
            raise context.field_refusal("Value is not legal.")
        return _local_file_value(storage, given_value["relative_path"], given_value)
    raise refused_call(
        context.method, f"invalid/missing url hash string 'url': {ruby_text(given_value)}"
    )


def _storage_above(
    database: SiteDatabase, context: ValueContext, local_path: str
) -> tuple[Record, str]:
    """Return the storage whose root is the deepest above a path, and the rest of the path."""
    matching_storages: list[tuple[int, EntityRef, Record, str]] = []
    for storage in database.records.of_type("LocalStorage"):
        for platform in PLATFORMS:
            root_path = (
                (storage.values.get(f"{platform}_path") or "").replace("\\", "/").rstrip("/")
            )
            if root_path and local_path.startswith(f"{root_path}/"):
                matching_storages.append(
                    (
                        len(root_path),
                        storage.ref,
                        storage,
                        local_path[len(root_path) + 1 :],
                    )
                )
    if not matching_storages:
        raise context.field_refusal(f"Path '{local_path}' doesn't match any defined Local Storage.")
    _root_length, _storage_ref, storage, relative_path = max(
        matching_storages, key=lambda storage_match: storage_match[:2]
    )
    return storage, relative_path


def _local_file_value(
    storage: Record, relative_path: str, given_value: dict[str, Any]
) -> dict[str, Any]:
    file_name = relative_path.rpartition("/")[2]
    platform_paths = {
        f"local_path_{platform}": _join_path(storage.values.get(f"{platform}_path"), relative_path)
        for platform in PLATFORMS
    }
    return {
        "link_type": "local",
        "name": given_value.get("name") or file_name,
        "content_type": given_value.get("content_type") or mimetypes.guess_type(file_name)[0],
        "local_storage": dict(storage.link),
        "relative_path": relative_path,
        **platform_paths,
    }


def _join_path(root_path: str | None, relative_path: str) -> str | None:
    if not root_path:
        return None
    path_separator = "\\" if "\\" in root_path or root_path[1:2] == ":" else "/"
    return root_path.rstrip("/\\") + path_separator + relative_path.replace("/", path_separator)


def shown_url_value(database: SiteDatabase, record: Record, stored_value: Any) -> Any:
    """Return the value of a url field as it is read, with its full URL."""
    if not isinstance(stored_value, dict):
        return stored_value
    shown_url = dict(stored_value)
    if record.type == "Attachment":
        shown_url.update(type=record.type, id=record.id)
    if str(stored_value.get("url", "")).startswith("/"):
        shown_url["url"] = database.site_url + stored_value["url"]
    return shown_url
