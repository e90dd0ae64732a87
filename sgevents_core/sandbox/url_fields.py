"""Values of fields of type url: files uploaded, web addresses, and paths in a local storage."""

from __future__ import annotations

import mimetypes
from typing import Any, Final

from sgevents_core.sandbox.data_types import HASH_CLASSES, ValueContext
from sgevents_core.sandbox.filter_relations import parse_entity_hash
from sgevents_core.sandbox.records import EntityRef, Record
from sgevents_core.sandbox.refused_calls import refused_value
from sgevents_core.sandbox.site_database import SiteDatabase
from sgevents_core.sandbox.stored_files import StoredFile, StoredFiles

PLATFORMS: Final = ("linux", "mac", "windows")


def uploaded_file_value(attachment: Record, file: StoredFile, shown_name: str) -> dict[str, Any]:
    """Return the value of a field that a file was uploaded to."""
    return {
        "url": StoredFiles.attachment_path(attachment.id),
        "name": shown_name,
        "content_type": file.content_type,
        "link_type": "upload",
        "type": "Attachment",
        "id": attachment.id,
    }


def stored_url_value(
    database: SiteDatabase, context: ValueContext, value: Any
) -> dict[str, Any] | None:
    """Return the stored value of a url field that is written, except its Attachment.

    Args:
        database: The database with the local storages.
        context: Where it was given.
        value: `{"url": ...}`, `{"local_path": ...}`, or a relative path with its storage.

    Raises:
        RefusedCallError: It is none of these, or the path is not in a storage.
    """
    if value is None:
        return None
    if not isinstance(value, dict):
        context.refuse_class(HASH_CLASSES, value)
    if isinstance(value.get("url"), str):
        shown_name = value.get("name") or value["url"].rstrip("/").rpartition("/")[2]
        return {"url": value["url"], "name": shown_name, "content_type": None, "link_type": "web"}
    if isinstance(value.get("local_path"), str):
        return _local_file_value(*_storage_above(database, context, value["local_path"]), value)
    relative, storage_hash = value.get("relative_path"), value.get("local_storage")
    if isinstance(relative, str) and isinstance(storage_hash, dict):
        named_storage = database.records.live(parse_entity_hash(context.method, storage_hash))
        if named_storage is None:
            raise context.field_refusal("Value is not legal.")
        return _local_file_value(named_storage, value["relative_path"], value)
    raise refused_value(context.method, "invalid/missing url hash string 'url'", value)


def _storage_above(
    database: SiteDatabase, context: ValueContext, local_path: str
) -> tuple[Record, str]:
    """Return the storage whose root is the deepest above a path, and the rest of the path."""
    found: list[tuple[int, EntityRef, Record, str]] = []
    for storage in database.records.of_type("LocalStorage"):
        for platform in PLATFORMS:
            root = (storage.values.get(f"{platform}_path") or "").replace("\\", "/").rstrip("/")
            if root and local_path.startswith(f"{root}/"):
                found.append((len(root), storage.ref, storage, local_path[len(root) + 1 :]))
    if not found:
        raise context.field_refusal(f"Path '{local_path}' doesn't match any defined Local Storage.")
    _length, _ref, storage, relative = max(found, key=lambda match: match[:2])
    return storage, relative


def _local_file_value(storage: Record, relative: str, value: dict[str, Any]) -> dict[str, Any]:
    file_name = relative.rpartition("/")[2]
    paths = {
        f"local_path_{platform}": _join_path(storage.values.get(f"{platform}_path"), relative)
        for platform in PLATFORMS
    }
    return {
        "link_type": "local",
        "name": value.get("name") or file_name,
        "content_type": value.get("content_type") or mimetypes.guess_type(file_name)[0],
        "local_storage": dict(storage.link),
        "relative_path": relative,
        **paths,
    }


def _join_path(root: str | None, relative: str) -> str | None:
    if not root:
        return None
    separator = "\\" if "\\" in root or root[1:2] == ":" else "/"
    return root.rstrip("/\\") + separator + relative.replace("/", separator)


def shown_url_value(database: SiteDatabase, record: Record, value: Any) -> Any:
    """Return the value of a url field as it is read, with its full URL."""
    if not isinstance(value, dict):
        return value
    shown_url = dict(value)
    if record.type == "Attachment":
        shown_url.update(type=record.type, id=record.id)
    if str(value.get("url", "")).startswith("/"):
        shown_url["url"] = database.site_url + value["url"]
    return shown_url
