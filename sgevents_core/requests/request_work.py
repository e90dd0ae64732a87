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
        state_folder: The state's folder.
        requests: The state's requests.
        plugin_record: The ledger's record of the request's plugin.
        lane_plugin: The plugin itself, None if it is not loaded.
    """

    request: Request
    lane: Lane
    state_folder: Path
    requests: Requests
    plugin_record: PluginRecord
    lane_plugin: LanePlugin | None

    def refuse(self, refusal_text: str) -> bool:
        """Refuse the request; nothing is changed."""
        return self.close(Step(), RequestAnswer("refused", refusal_text))

    def close(
        self, ledger_step: Step, answer: RequestAnswer, letter_change: LetterChange | None = None
    ) -> bool:
        """Write a step and the answer atomically, and log it; return True: the request is over."""
        request_step = ledger_step.request or RequestStep(self.request.number)
        ledger_step.request = request_step._replace(
            progress=None, answer=answer, letter=letter_change
        )
        ledger_step.durable = True
        self.lane.ledger.record(ledger_step)
        log_answer(self.request, answer)
        return True


def log_answer(request: Request, answer: RequestAnswer) -> None:
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


def unknown_plugin_reason(plugin_name: str, known_names: Iterable[str]) -> str:
    """Return why a request about a plugin unknown to the state is refused."""
    nearest = nearest_name(plugin_name, known_names)
    advice_text = f"did you mean {nearest}?" if nearest else "sgevents status lists those that were"
    return f"no plugin {plugin_name} was ever enabled on this state; {advice_text}"
