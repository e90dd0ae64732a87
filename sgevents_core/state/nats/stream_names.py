"""What the streams, subjects and keys of a site are called."""

from __future__ import annotations

import re
from typing import Final, NamedTuple
from urllib.parse import urlsplit

HINT: Final = "hint"
"""What stands in front of the subject under which a message is announced."""
_SITES: Final = ".shotgrid.autodesk.com"
_PLAIN: Final = re.compile(r"[A-Za-z0-9-]")
_REST: Final = ">"


def escape_name(name: str) -> str:
    """Return a lane's or host's name as a word of stream names, subjects and keys.

    Letters, digits, `-` and single `_` stay; every other byte is `__` and two hexadecimal digits.
    """
    escaped = []
    for place, letter in enumerate(name):
        is_single = letter == "_" and _PLAIN.fullmatch(name[place + 1 : place + 2] or "-")
        if _PLAIN.fullmatch(letter) or is_single:
            escaped.append(letter)
        else:
            escaped.extend(f"__{byte:02X}" for byte in letter.encode())
    return "".join(escaped)


def unescape_name(word: str) -> str:
    """Return the name that a word was made of; see `escape_name`."""
    raw = re.sub(rb"__([0-9A-F]{2})", lambda match: bytes([int(match[1], 16)]), word.encode())
    return raw.decode("utf-8", "replace")


def site_word(site_url: str) -> str:
    """Return one word for a site, which its streams are named after; it has no `_`."""
    address = urlsplit(site_url).netloc.rpartition("@")[2].lower().removesuffix(_SITES)
    return re.sub(r"[^a-z0-9]+", "-", address).strip("-")


class StreamNames(NamedTuple):
    """The names of everything that belongs to one site.

    Args:
        site: The site's word; see `site_word`.
    """

    site: str

    @property
    def journal(self) -> str:
        """The stream of the journal."""
        return f"SGE_{self.site}_J"

    @property
    def requests(self) -> str:
        """The stream of people's requests."""
        return f"SGE_{self.site}_A"

    @property
    def numbers(self) -> str:
        """The stream that counts failures and letters."""
        return f"SGE_{self.site}_N"

    @property
    def lease_bucket(self) -> str:
        """The bucket of the leases."""
        return f"SGE_{self.site}_lease"

    @property
    def bucket(self) -> str:
        """The bucket of the pointer to the newest snapshot, and of the snapshots."""
        return f"SGE_{self.site}"

    def lane(self, lane_name: str) -> str:
        """The stream of a lane."""
        return f"SGE_{self.site}_L_{escape_name(lane_name)}"

    def lane_of(self, stream_name: str) -> str | None:
        """The lane that a stream is of; None if it is none's."""
        start = self.lane("")
        return (
            unescape_name(stream_name.removeprefix(start))
            if stream_name.startswith(start)
            else None
        )

    def journal_subject(self, kind: str) -> str:
        """The subject of a kind of message of the journal."""
        return f"sge.{self.site}.j.{kind}"

    def lane_subject(self, lane_name: str, kind: str) -> str:
        """The subject of a kind of message of a lane."""
        return f"sge.{self.site}.l.{escape_name(lane_name)}.{kind}"

    @property
    def request_subject(self) -> str:
        """The subject of requests."""
        return f"sge.{self.site}.a.x"

    @property
    def number_subject(self) -> str:
        """The subject of the counter."""
        return f"sge.{self.site}.n.x"

    @property
    def hints(self) -> str:
        """The subject under which every message of the site is announced."""
        return f"{HINT}.sge.{self.site}.{_REST}"


def site_names(site_url: str) -> StreamNames:
    """Return the names of everything that belongs to a site."""
    return StreamNames(site_word(site_url))
