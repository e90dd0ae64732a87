"""A request being carried out: its lane, its plugin, and its answer."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sgevents_core.dispatch.lane import Lane
from sgevents_core.dispatch.lane_plugin import LanePlugin
from sgevents_core.settings.spelling import nearest_name
from sgevents_core.state.letters import LetterChange
from sgevents_core.state.plugin_record import PluginRecord
from sgevents_core.state.protocols import Requests
from sgevents_core.state.requests import Request, RequestAnswer, RequestStep
from sgevents_core.state.steps import Step

logger = logging.getLogger("sgevents.requests")


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestWork:
    """One request, and the lane whose thread carries it out.

    Args:
        request: The request.
        lane: The lane.
        folder: The state's folder.
        requests: The state's requests.
        record: The ledger's record of the request's plugin.
        lane_plugin: The plugin itself, None if it is not loaded.
    """

    request: Request
    lane: Lane
    folder: Path
    requests: Requests
    record: PluginRecord
    lane_plugin: LanePlugin | None

    def refuse(self, text: str) -> bool:
        """Refuse the request; nothing is changed."""
        return self.close(Step(), RequestAnswer("refused", text))

    def close(self, step: Step, answer: RequestAnswer, letter: LetterChange | None = None) -> bool:
        """Write a step and the answer atomically, and log it; return True: the request is over."""
        about = step.request or RequestStep(self.request.number)
        step.request = about._replace(progress=None, answer=answer, letter=letter)
        step.durable = True
        self.lane.ledger.record(step)
        tell(self.request, answer)
        return True


def tell(request: Request, answer: RequestAnswer) -> None:
    """Log the answer to a request."""
    logger.log(
        logging.INFO if answer.outcome == "done" else logging.WARNING,
        "%s asked to %s: %s",
        request.asked_by,
        f"{request.kind} {request.plugin}".rstrip(),
        answer.text,
        extra={
            "action": f"request.{answer.outcome}",
            "request": request.number,
            "kind": request.kind,
            "plugin": request.plugin,
        },
    )


def never_enabled(plugin: str, known: Iterable[str]) -> str:
    """Return why a request about a plugin unknown to the state is refused."""
    meant = nearest_name(plugin, known)
    hint = f"did you mean {meant}?" if meant else "sgevents status lists those that were"
    return f"no plugin {plugin} was ever enabled on this state; {hint}"
