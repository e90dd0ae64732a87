"""Values of fields of type url: files uploaded, web addresses, and paths in a local storage."""

from __future__ import annotations

import mimetypes
from typing import Any, Final

from sgevents_core.sandbox.datatypes import HASH, ValuePlace
from sgevents_core.sandbox.records import Record, Ref
from sgevents_core.sandbox.refusal import RefusedCallError, shown
from sgevents_core.sandbox.relations import entity_hash
from sgevents_core.sandbox.site_database import SiteDatabase
from sgevents_core.sandbox.stored_files import File, Files

PLATFORMS: Final = ("linux", "mac", "windows")


def uploaded(attachment: Record, file: File, name: str) -> dict[str, Any]:
    """Return the value of a field that a file was uploaded to."""
    return {
        "url": Files.address(attachment.id),
        "name": name,
        "content_type": file.kind,
        "link_type": "upload",
        "type": "Attachment",
        "id": attachment.id,
    }


def written(database: SiteDatabase, place: ValuePlace, value: Any) -> dict[str, Any] | None:
    """Return the stored value of a url field that is written, except its Attachment.

    Args:
        database: The database with the local storages.
        place: Where it was given.
        value: `{"url": ...}`, `{"local_path": ...}`, or a relative path with its storage.

    Raises:
        RefusedCallError: It is none of these, or the path is not in a storage.
    """
    if value is None:
        return None
    if not isinstance(value, dict):
        place.wrong_class(HASH, value)
    if isinstance(value.get("url"), str):
        name = value.get("name") or value["url"].rstrip("/").rpartition("/")[2]
        return {"url": value["url"], "name": name, "content_type": None, "link_type": "web"}
    if isinstance(value.get("local_path"), str):
        return _local(*_storage_of(database, place, value["local_path"]), value)
    if isinstance(value.get("relative_path"), str) and isinstance(value.get("local_storage"), dict):
        storage = database.records.live(entity_hash(place.method, value["local_storage"]))
        if storage is None:
            raise place.failed("Value is not legal.")
        return _local(storage, value["relative_path"], value)
    raise RefusedCallError(
        f"API {place.method}() invalid/missing url hash string 'url': {shown(value)}"
    )


def _storage_of(database: SiteDatabase, place: ValuePlace, path: str) -> tuple[Record, str]:
    """Return the storage whose root is the deepest above a path, and the rest of the path."""
    found: list[tuple[int, Ref, Record, str]] = []
    for storage in database.records.of_type("LocalStorage"):
        for platform in PLATFORMS:
            root = (storage.values.get(f"{platform}_path") or "").replace("\\", "/").rstrip("/")
            if root and path.startswith(f"{root}/"):
                found.append((len(root), storage.ref, storage, path[len(root) + 1 :]))
    if not found:
        raise place.failed(f"Path '{path}' doesn't match any defined Local Storage.")
    _length, _ref, storage, rest = max(found, key=lambda one: one[:2])
    return storage, rest


def _local(storage: Record, relative: str, value: dict[str, Any]) -> dict[str, Any]:
    name = relative.rpartition("/")[2]
    paths = {
        f"local_path_{platform}": _joined(storage.values.get(f"{platform}_path"), relative)
        for platform in PLATFORMS
    }
    return {
        "link_type": "local",
        "name": value.get("name") or name,
        "content_type": value.get("content_type") or mimetypes.guess_type(name)[0],
        "local_storage": dict(storage.link),
        "relative_path": relative,
        **paths,
    }


def _joined(root: str | None, relative: str) -> str | None:
    if not root:
        return None
    separator = "\\" if "\\" in root or root[1:2] == ":" else "/"
    return root.rstrip("/\\") + separator + relative.replace("/", separator)


def as_read(database: SiteDatabase, record: Record, value: Any) -> Any:
    """Return the value of a url field as it is read, with its full URL."""
    if not isinstance(value, dict):
        return value
    shown_value = dict(value)
    if record.type == "Attachment":
        shown_value.update(type=record.type, id=record.id)
    if str(value.get("url", "")).startswith("/"):
        shown_value["url"] = database.address + value["url"]
    return shown_value
