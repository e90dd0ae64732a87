"""Files and thumbnails: uploaded by the client, shown in fields, downloaded again."""

from __future__ import annotations

import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from shotgun_api3.shotgun import Fault, ShotgunError, ShotgunFileDownloadError
from shotgun_api3.shotgun import ShotgunThumbnailNotReady as NotReady
from waiting import PATIENCE

from sgevents_core.sandbox import Sandbox
from sgevents_core.sandbox.stored_files import PENDING_THUMBNAIL

Connect = Callable[..., Any]

# The client leaves the files open that it sends.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
def prompt() -> Iterator[Sandbox]:
    """A site whose thumbnails are ready at once."""
    with Sandbox(project=False, thumbnail_seconds=0) as site:
        yield site


@pytest.fixture
def sg(prompt: Sandbox, connect: Connect) -> Any:
    """Its client."""
    return connect(prompt)


@pytest.fixture
def version(prompt: Sandbox) -> dict[str, Any]:
    """A version of that site."""
    project = prompt.create("Project", {"name": "p"})
    return prompt.create("Version", {"code": "v1", "project": project})


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """An uploaded file whose bytes resemble those of a form."""
    path = tmp_path / "turn.jpg"
    path.write_bytes(b"\xff\xd8 not really a picture \r\n\r\n--\r\n")
    return path


def fetched(url: str) -> tuple[str, bytes]:
    """Return the content type and the content at an address."""
    with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
        return answer.headers["content-type"], answer.read()


def test_a_thumbnail_is_shown_at_a_whole_address(
    prompt: Sandbox, sg: Any, version: dict[str, Any], picture: Path
) -> None:
    """An uploaded thumbnail reads as a URL that can be downloaded, from other records too."""
    sg.upload_thumbnail("Version", version["id"], str(picture))
    note = prompt.create("Note", {"subject": "n", "project": version["project"]})
    file = prompt.create("PublishedFile", {"project": version["project"], "version": version})
    url = sg.find_one("Version", [], ["image"])["image"]
    assert url.startswith(f"{prompt.url}/thumbnail/")
    assert fetched(url) == ("image/jpeg", picture.read_bytes())
    through = sg.find_one("PublishedFile", [["id", "is", file["id"]]], ["version.Version.image"])
    assert through["version.Version.image"] == url
    assert sg.find_one("Note", [["id", "is", note["id"]]], ["image"])["image"] is None


def test_a_thumbnail_is_pending_at_first(connect: Connect, picture: Path) -> None:
    """Until it is ready, a placeholder is shown, which can be downloaded but not shared."""
    with Sandbox(project=False, thumbnail_seconds=3600) as site:
        sg = connect(site)
        first, two = (site.create("Version", {"code": code}) for code in ("v1", "v2"))
        sg.upload_thumbnail("Version", first["id"], str(picture))
        url = sg.find_one("Version", [["id", "is", first["id"]]], ["image"])["image"]
        assert url == f"{site.url}{PENDING_THUMBNAIL}"
        assert fetched(url)[0] == "image/png"
        rows = site.find("EventLogEntry", [["attribute_name", "is", "image"]], ["meta"])
        assert [row["meta"]["is_transient"] for row in rows] == [True]
        with pytest.raises(NotReady):
            sg.share_thumbnail([two], source_entity=first)


def test_thumbnails_are_shared(
    prompt: Sandbox, sg: Any, version: dict[str, Any], picture: Path
) -> None:
    """The thumbnail of one record can be set for others, with rows in the log."""
    shot = prompt.create("Shot", {"code": "x"})
    sg.share_thumbnail([version, shot], thumbnail_path=str(picture))
    assert (
        sg.find_one("Shot", [], ["image"])["image"]
        == sg.find_one("Version", [], ["image"])["image"]
    )
    with pytest.raises(ShotgunError, match="no thumbnail"):
        sg.share_thumbnail([version], source_entity=prompt.create("Asset", {"code": "a"}))


def test_clearing_a_thumbnail_clears_the_filmstrip(
    sg: Any, version: dict[str, Any], picture: Path
) -> None:
    """Clearing `image` clears `filmstrip_image`, but not the other way round."""
    fields = ["image", "filmstrip_image"]
    sg.upload_thumbnail("Version", version["id"], str(picture))
    sg.upload_filmstrip_thumbnail("Version", version["id"], str(picture))
    sg.update("Version", version["id"], {"image": None})
    shown = sg.find_one("Version", [], fields)
    assert (shown["image"], shown["filmstrip_image"]) == (None, None)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("/v1.jpg", "expected .Hash, .* but got String"),
        ("https://example.com/x.png", "but got String"),
        ({"type": "Attachment", "id": 1}, "not yet supported in API"),
    ],
)
def test_a_thumbnail_cannot_be_assigned(prompt: Sandbox, value: Any, message: str) -> None:
    """A field of type image accepts no value but null."""
    version = prompt.create("Version", {"code": "v1"})
    with pytest.raises(Exception, match=message):
        prompt.update("Version", version["id"], {"image": value})


def test_a_file_in_a_field(
    prompt: Sandbox, sg: Any, version: dict[str, Any], picture: Path
) -> None:
    """An upload to a field reads with its URL, name, type and the id of its Attachment."""
    number = sg.upload("Version", version["id"], str(picture), "sg_uploaded_movie", "Turn")
    movie = sg.find_one("Version", [], ["sg_uploaded_movie"])["sg_uploaded_movie"]
    assert movie == {
        "url": f"{prompt.url}/file_serve/attachment/{number}",
        "name": "Turn",
        "content_type": "image/jpeg",
        "link_type": "upload",
        "type": "Attachment",
        "id": number,
    }
    for wanted in (number, movie, {"type": "Attachment", "id": number}):
        assert sg.download_attachment(wanted) == picture.read_bytes()
    with pytest.raises(ShotgunFileDownloadError, match="may not exist"):
        sg.download_attachment(99_999)


def test_a_file_of_a_record(sg: Any, version: dict[str, Any], picture: Path) -> None:
    """An upload without a field is an Attachment that links to the record, with its tags."""
    number = sg.upload("Version", version["id"], str(picture), tag_list="hero, night")
    fields = ["this_file", "filename", "tag_list"]
    attached = sg.find_one("Attachment", [["attachment_links", "is", version]], fields)
    assert (attached["id"], attached["filename"]) == (number, "turn.jpg")
    assert attached["tag_list"] == ["hero", "night"]
    assert sg.download_attachment(attached["this_file"]) == picture.read_bytes()


def test_uploads_to_nothing_are_refused(sg: Any, version: dict[str, Any], picture: Path) -> None:
    """An upload to a missing record, or to a field that is not for files, is refused."""
    with pytest.raises(ShotgunError, match="does not exist"):
        sg.upload_thumbnail("Version", 999, str(picture))
    with pytest.raises(ShotgunError, match="not a field for files"):
        sg.upload("Version", version["id"], str(picture), "code")


def test_a_web_link(sg: Any, version: dict[str, Any]) -> None:
    """A written URL is stored as sent, and gets an Attachment."""
    link = {"url": "https://example.com/a/plate.mov", "name": "plate.mov", "id": 7}
    sg.update("Version", version["id"], {"sg_uploaded_movie": link})
    movie = sg.find_one("Version", [], ["sg_uploaded_movie"])["sg_uploaded_movie"]
    attachment = sg.find_one("Attachment", [], ["this_file", "display_name"])
    assert movie == {
        **link,
        "content_type": None,
        "link_type": "web",
        "type": "Attachment",
        "id": attachment["id"],
    }
    assert attachment["this_file"] == movie
    sg.update("Version", version["id"], {"sg_uploaded_movie": None})
    assert sg.find_one("Version", [], ["sg_uploaded_movie"])["sg_uploaded_movie"] is None


@pytest.mark.parametrize("value", [{}, {"type": "Attachment", "id": 1}, {"name": "x"}])
def test_a_link_needs_an_address(sg: Any, version: dict[str, Any], value: Any) -> None:
    """A hash without `url`, path or storage is refused; text is as well."""
    with pytest.raises(Fault, match="invalid/missing url hash string 'url'"):
        sg.update("Version", version["id"], {"sg_uploaded_movie": value})
    with pytest.raises(Fault, match="but got String"):
        sg.update("Version", version["id"], {"sg_uploaded_movie": "/mnt/x.mov"})
