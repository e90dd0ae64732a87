"""Files that hosts share, in an object store, and the pointer to the newest one.

The layout is that of NATS's own object stores, so that its command `nats object` reads them.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Iterator
from typing import Any, BinaryIO, Final, NamedTuple

import msgspec

from sgevents_core.errors import BrokerError
from sgevents_core.state.nats.connection import REQUEST_WITHIN, Broker
from sgevents_core.state.nats.jetstream import (
    call,
    publish,
    read_directly,
    read_from_leader,
    write_expecting,
)

_CHUNK_BYTES: Final = 128 * 1024
_CHUNKS_AT_ONCE: Final = 32
_DIGEST: Final = "SHA-256="
_ROLLUP: Final = {"Nats-Rollup": "sub"}
_EXPECTED_REVISION: Final = "Nats-Expected-Last-Subject-Sequence"


class Pointer(NamedTuple):
    """What a key points to, and the revision that a change of it has to name."""

    text: bytes
    revision: int


class SnapshotStore:
    """The shared files of one site.

    Args:
        broker: The servers.
        bucket: The name of the object store and of the bucket of the pointer.
    """

    def __init__(self, broker: Broker, bucket: str) -> None:
        self._broker = broker
        self._bucket = bucket
        self._objects = f"OBJ_{bucket}"

    def put(self, name: str, source: BinaryIO) -> int:
        """Store what a file holds under a name, and return its size in bytes.

        Raises:
            BrokerError: The server refused, or did not answer.
        """
        before = self._read_info(name)
        chunks, size, digest = secrets.token_hex(11), 0, hashlib.sha256()
        count = 0
        while chunk := source.read(_CHUNK_BYTES):
            publish(self._broker, self._chunk_subject(chunks), chunk)
            digest.update(chunk)
            size, count = size + len(chunk), count + 1
        encoded_digest = base64.urlsafe_b64encode(digest.digest()).decode()
        info = {
            "name": name,
            "bucket": self._bucket,
            "nuid": chunks,
            "size": size,
            "chunks": count,
            "digest": f"{_DIGEST}{encoded_digest}",
            "options": {"max_chunk_size": _CHUNK_BYTES},
        }
        publish(self._broker, self._info_subject(name), msgspec.json.encode(info), _ROLLUP)
        if before is not None and not before.get("deleted"):
            self._delete_chunks(before["nuid"])
        return size

    def get(self, name: str, target: BinaryIO) -> bool:
        """Write what is stored under a name to a file; return whether there is such a name.

        Raises:
            BrokerError: The server refused, did not answer, or has not the whole of it.
        """
        info = self._read_info(name)
        if info is None or info.get("deleted"):
            return False
        digest = hashlib.sha256()
        for chunk in self._chunks(info["nuid"], info.get("chunks", 0)):
            digest.update(chunk)
            target.write(chunk)
        encoded_digest = base64.urlsafe_b64encode(digest.digest()).decode()
        if info["digest"] != f"{_DIGEST}{encoded_digest}":
            raise BrokerError(path=str(self._broker), reason=f"{name} is damaged in {self._bucket}")
        return True

    def has(self, name: str) -> bool:
        """Return whether something is stored under a name; whether it is whole is not known.

        Raises:
            BrokerError: The server refused, or did not answer.
        """
        info = self._read_info(name)
        return info is not None and not info.get("deleted")

    def delete(self, name: str) -> None:
        """Remove what is stored under a name; does nothing if there is no such name.

        Raises:
            BrokerError: The server refused, or did not answer.
        """
        info = self._read_info(name)
        if info is None or info.get("deleted"):
            return
        marker = {"name": name, "bucket": self._bucket, "nuid": info["nuid"], "deleted": True}
        marker |= {"size": 0, "chunks": 0, "digest": ""}
        publish(self._broker, self._info_subject(name), msgspec.json.encode(marker), _ROLLUP)
        self._delete_chunks(info["nuid"])

    def names(self) -> list[str]:
        """Return the names that something is stored under.

        Raises:
            BrokerError: The server refused, or did not answer.
        """
        wanted = {"multi_last": [f"$O.{self._bucket}.M.>"]}
        infos = [
            msgspec.json.decode(message.data)
            for message in read_directly(self._broker, self._objects, wanted)
        ]
        return sorted(info["name"] for info in infos if not info.get("deleted"))

    def read_pointer(self, key: str, within: float = REQUEST_WITHIN) -> Pointer | None:
        """Return what a key points to, from the leader; None if nothing was ever written.

        Args:
            key: The key.
            within: For how many seconds to wait.

        Raises:
            BrokerError: The server refused, or did not answer.
        """
        wanted = {"last_by_subj": f"$KV.{self._bucket}.{key}"}
        message = read_from_leader(self._broker, f"KV_{self._bucket}", wanted, within)
        return None if message is None else Pointer(message.data, message.sequence)

    def move_pointer(
        self, key: str, text: bytes, revision: int, within: float = REQUEST_WITHIN
    ) -> int | None:
        """Let a key point elsewhere; return its new revision, None if another has moved it.

        Args:
            key: The key.
            text: What it points to from now on.
            revision: The revision that was read before; 0 if there was none.
            within: For how many seconds to wait.

        Raises:
            BrokerError: The server refused, or did not answer; read the pointer then.
        """
        headers = {_EXPECTED_REVISION: str(revision)}
        return write_expecting(self._broker, f"$KV.{self._bucket}.{key}", text, headers, within)

    def _chunk_subject(self, chunks: str) -> str:
        return f"$O.{self._bucket}.C.{chunks}"

    def _info_subject(self, name: str) -> str:
        return f"$O.{self._bucket}.M.{base64.urlsafe_b64encode(name.encode()).decode()}"

    def _read_info(self, name: str) -> dict[str, Any] | None:
        wanted = {"last_by_subj": self._info_subject(name)}
        message = read_from_leader(self._broker, self._objects, wanted)
        return None if message is None else dict(msgspec.json.decode(message.data))

    def _chunks(self, chunks: str, count: int) -> Iterator[bytes]:
        place, left = 0, count
        while left > 0:
            wanted = {
                "next_by_subj": self._chunk_subject(chunks),
                "seq": place + 1,
                "batch": min(left, _CHUNKS_AT_ONCE),
            }
            messages = read_directly(self._broker, self._objects, wanted)
            if not messages:
                return  # the digest shows that something is missing
            for message in messages:
                yield message.data
            place, left = messages[-1].sequence, left - len(messages)

    def _delete_chunks(self, chunks: str) -> None:
        filtered = {"filter": self._chunk_subject(chunks)}
        call(self._broker, "STREAM.PURGE", filtered, stream=self._objects)
