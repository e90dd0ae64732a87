"""Tell people about new publishes, by chat and mail, through apprise.

Each place that is told is a part of its own: if the third of four cannot be reached, only it and
the fourth are told by the next try.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from string import Template
from typing import Any

import apprise

from sgevents_core import Context, Event, Secret, hookimpl, match

FIELDS = ("code", "entity", "project", "created_by", "description")


@dataclass(frozen=True)
class PublishNotify:
    """The settings of the plugin."""

    urls: dict[str, Secret] = field(default_factory=dict)
    """Name of a place to tell -> its apprise URL, such as that of a chat channel or a mailbox."""
    title: str = "$project: $name"
    text: str = "$who published $name of $entity. $description"

    def __post_init__(self) -> None:
        """Refuse settings that tell nobody, or that name what a publish does not have."""
        if not self.urls:
            raise ValueError("name at least one place to tell, in `urls`")
        words = {"project", "name", "entity", "who", "description"}
        for template in (self.title, self.text):
            unknown = sorted(set(placeholders(template)) - words)
            if unknown:
                raise ValueError(f"${unknown[0]} is not known here: {', '.join(sorted(words))}")


def placeholders(template: str) -> list[str]:
    """Return the names in a text that stand for values of a publish."""
    matches = Template.pattern.finditer(template)
    return [found["named"] or found["braced"] for found in matches if not found["escaped"]]


@hookimpl
def settings_model() -> type[PublishNotify]:
    """Return the model of the settings."""
    return PublishNotify


@hookimpl
@match(entity_type="PublishedFile")
def on_new(event: Event, ctx: Context) -> None:
    """Tell every place about a new publish, each once.

    Raises:
        ConnectionError: A place cannot be told now; those that were are not told again.
    """
    settings: PublishNotify = ctx.settings
    published = ctx.entity(*FIELDS)
    if published is None:
        return
    words = {
        "project": name_of(published["project"]),
        "name": published["code"] or f"a file ({event.entity_id})",
        "entity": name_of(published["entity"]),
        "who": name_of(published["created_by"]),
        "description": published["description"] or "",
    }
    title, text = (Template(line).substitute(words) for line in (settings.title, settings.text))
    for place, url in settings.urls.items():
        with ctx.once(place) as is_first:
            if is_first and not ctx.dry_run:
                tell(url.reveal(), title, text, place)


def name_of(link: dict[str, Any] | None) -> str:
    """Return the name of what a field links to."""
    return str(link["name"]) if link else "nobody"


def tell(url: str, title: str, text: str, place: str) -> None:
    """Send a message.

    Args:
        url: Where, as apprise has it. It holds secrets, so no error shows it.
        title: Its title, or subject.
        text: Its text.
        place: The name of the place, for errors.

    Raises:
        ConnectionError: It could not be delivered.
        ValueError: apprise does not know this kind of URL.
    """
    notifier = apprise.Apprise()
    if not notifier.add(url):
        raise ValueError(f"apprise does not understand the url of {place}")
    if not notifier.notify(title=title, body=text):
        raise ConnectionError(f"{place} could not be told")
