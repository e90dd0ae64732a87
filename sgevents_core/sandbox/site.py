"""The sandbox site as Python sees it: started, written to, read, made to misbehave, closed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import Any

from sgevents_core.sandbox.api_methods import ApiMethods
from sgevents_core.sandbox.bulk_filling import fill_event_log
from sgevents_core.sandbox.call_answers import CallAnswers
from sgevents_core.sandbox.call_counts import CallCounts
from sgevents_core.sandbox.callers import KnownCallers
from sgevents_core.sandbox.control import answer_control_order
from sgevents_core.sandbox.direct_access import DirectAccess
from sgevents_core.sandbox.entity_schema import Field
from sgevents_core.sandbox.event_log import SandboxEventLog
from sgevents_core.sandbox.faults import Fault, Faults
from sgevents_core.sandbox.http_server import LOOPBACK_HOST, HttpRequest, Response, SandboxServer
from sgevents_core.sandbox.sample_project import SampleProject
from sgevents_core.sandbox.site_database import SiteDatabase
from sgevents_core.sandbox.timers import Timers
from sgevents_core.sandbox.traffic import Traffic, TrafficFlow
from sgevents_core.sandbox.transactions import Transactions
from sgevents_core.sandbox.types_file import Tables, add_types, read_types_file
from sgevents_core.sandbox.uploads import UPLOAD_PATHS, Uploads
from sgevents_core.sandbox.writes import Transaction


def _utc_now() -> datetime:
    return datetime.now(timezone.utc)


class Sandbox(DirectAccess):
    """A site to experiment with: a real HTTP server on 127.0.0.1, within this process.

    It stands in for a Flow Production Tracking site. It starts when it is created; close it, or use
    it as a context manager. All of it may be used from any thread.

    Args:
        port: The port to listen on; 0 for one that is free.
        script_name: The script that may call it.
        api_key: The script's key.
        seed: The seed of everything random: the project, the traffic, the faults.
        project: Whether it starts with a small project, and its events in the log.
        events: Rows to fill the log with, besides those of the project; a million takes seconds.
        types: Files with entity types and fields besides the standard ones, or tables read from
            such a file or a site.
        faults: Faults in force from the start: mappings with `kind` and the options of
            `Faults.add`.
        page_size: The largest page, in rows.
        thumbnail_seconds: How long a placeholder stands in for an uploaded thumbnail.
        clock: Its clock; returns aware datetimes.

    Raises:
        PortInUseError: The port is not available.
        UnknownFaultError: A fault does not exist.
        TypesFileError: A file of `types` cannot be read, or something in it is wrong.
    """

    def __init__(
        self,
        port: int = 0,
        *,
        script_name: str = "sgevents",
        api_key: str = "demo-key",
        seed: int = 1,
        project: bool = True,
        events: int = 0,
        types: Iterable[str | Path | Tables] = (),
        faults: Iterable[Mapping[str, Any]] = (),
        page_size: int = 500,
        thumbnail_seconds: float = 2.0,
        clock: Callable[[], datetime] = _utc_now,
    ) -> None:
        self.script_name = script_name
        self.api_key = api_key
        self.seed = seed
        self.counts = CallCounts()
        self.faults = Faults(seed)
        self.database = SiteDatabase(clock)
        for types_source in types:
            tables = (
                read_types_file(Path(types_source))
                if isinstance(types_source, (str, Path))
                else types_source
            )
            add_types(self.database.schema, tables, replaces_fields=True)
        self._callers = KnownCallers(self.database.records)
        self.add_script(script_name, api_key)
        self._timers = Timers()
        self._transactions = Transactions(self.database, self._timers)
        self._methods = ApiMethods(
            self.database,
            self._transactions,
            self.counts,
            self.faults,
            begin_session=self._callers.begin_session,
            page_size=page_size,
        )
        self._uploads = Uploads(
            self.database,
            self._callers,
            self._transactions,
            self.counts,
            timers=self._timers,
            pending_seconds=thumbnail_seconds,
        )
        self._traffic = Traffic(
            self.database,
            self._callers,
            self._transactions,
            self.faults,
            seed=seed,
            script_name=script_name,
        )
        self._traffic_flow: TrafficFlow | None = None
        self._closing_event = threading.Event()
        self._fill_site(project=project, events=events)
        self.faults.add_all(faults)
        self._call_answers = CallAnswers(
            self._methods,
            self._callers,
            self.counts,
            self.faults,
            effects={
                "outage": self._begin_outage,
                "hide": self._hide_newest_rows,
                "rewind": self._rewind_newest_rows,
            },
            closing=self._closing_event,
        )
        self._http_server = SandboxServer(port, self._answer_request)
        self.database.site_url = self.url

    def _fill_site(self, *, project: bool, events: int) -> None:
        if project:
            SampleProject(self.database, self._direct_caller(), self.seed).write_records()
        if events:
            self.fill(events)

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop it: refuse connections, cut existing ones, end its threads."""
        self._closing_event.set()
        self.set_rate(0)
        self._timers.close()
        self._http_server.close()

    @property
    def url(self) -> str:
        """Where it listens, such as "http://127.0.0.1:34567"."""
        return f"http://{LOOPBACK_HOST}:{self._http_server.port}"

    @property
    def log(self) -> SandboxEventLog:
        """Its event log; hold `database.lock` to read several things of it consistently."""
        return self.database.log

    def _answer_request(self, request: HttpRequest) -> Response:
        request_path = request.path.partition("?")[0].strip("/")
        if request.method == "POST":
            if request_path == "api3/json":
                return self._call_answers.answer_call(request.body)
            if request_path in UPLOAD_PATHS:
                return self._uploads.answer_form(request_path, request.body)
            if request_path.startswith("sandbox/"):
                order_name = request_path.removeprefix("sandbox/")
                return answer_control_order(self, order_name, request.body)
        if request.method == "GET":
            file_response = self.database.stored_files.answer_request(f"/{request_path}")
            if file_response is not None:
                return file_response
        return Response(b'{"error": "the sandbox has no such address"}', 404)

    @contextmanager
    def transaction(self, user: str | None = None) -> Iterator[Transaction]:
        """Make several writes that become visible together at the end of the block.

        An exception inside rolls the transaction back and uses up its ids.
        """
        with self._transactions.write(self._direct_caller(user)) as transaction:
            yield transaction

    def begin(self, user: str | None = None) -> Transaction:
        """Return an open transaction: `commit()` it late, `roll_back()`, or never end it."""
        return self._transactions.begin_transaction(self._direct_caller(user))

    def late(self, rows: int = 1, *, seconds: float | None = None) -> Transaction:
        """Hand out ids now whose rows become visible later.

        Args:
            rows: The number of rows.
            seconds: When they become visible; by default when `commit()` is called.

        Returns:
            The transaction: its `ids`, `commit()` and `roll_back()`.
        """
        late_transaction = self.begin()
        with self.database.lock:
            for _ in range(rows):
                late_transaction.event("Sandbox_Late_Row", meta={"type": "sandbox"})
        if seconds is not None:
            self._transactions.commit_after(late_transaction, seconds)
        return late_transaction

    def keep(self, transaction: Transaction) -> int:
        """Store an open transaction under a number, for the control endpoint."""
        return self._transactions.keep_open(transaction)

    def kept(self, number: int) -> Transaction:
        """Return a transaction stored before; raise KeyError if there is none."""
        return self._transactions.kept_transaction(number)

    def fill(self, events: int) -> range:
        """Append very many rows to the log quickly; return their ids."""
        return fill_event_log(self.database, self._direct_caller(), events, self.seed)

    def burn(self, ids: int) -> range:
        """Use up ids of the log as a failed transaction does; return them."""
        with self.database.lock:
            return self.log.burn(ids)

    def hide(self, ids: Iterable[int], script: str | None = None) -> None:
        """Hide rows of the log, from one script or from all."""
        with self.database.lock:
            self.log.hide(ids, script)

    def show(self, ids: Iterable[int] | None = None, script: str | None = None) -> None:
        """Show hidden rows again, by default all that were hidden from that script."""
        with self.database.lock:
            self.log.show(ids, script)

    def rewind(self, to_id: int) -> None:
        """Rewind the log to an id, as restoring a backup does; higher ids are given out again.

        Records stay as they are. Open transactions lose their rows.
        """
        with self.database.lock:
            self.log.rewind(to_id)

    def add_script(self, name: str, key: str, version: str = "1.0", *, logs: bool = True) -> None:
        """Let another script call the site, or change the key of one.

        Args:
            name: The name it signs in with.
            key: Its key.
            version: The version that links show after its name; may be empty.
            logs: Whether its writes appear in the event log: `generate_event_log_entries`, which is
                off on a site by default.
        """
        with self.database.lock:
            self._callers.add_script(name, key, version, logs_events=logs)

    def revoke_script(self, name: str) -> None:
        """Refuse a script's key from now on; `add_script` accepts it again."""
        self._callers.revoke_script(name)

    def add_password(self, login: str, password: str) -> None:
        """Let a person log in with a password, as `Shotgun(login=..., password=...)` does."""
        self._callers.add_password(login, password)

    def thumbnail(self, entity_type: str, entity_id: int, field: str = "image") -> int:
        """Give a record a new thumbnail, as an upload does; return the picture's id.

        Raises:
            KeyError: The record does not exist.
        """
        with self.database.lock, self.transaction() as transaction:
            live_record = self.database.records.live((entity_type, entity_id))
            if live_record is None:
                raise KeyError(entity_type, entity_id)
            picture_id = transaction.create("Attachment", {"display_name": "thumbnail.png"}).id
            transaction.set_picture(live_record, field, picture_id)
            return picture_id

    def add_field(self, entity_type: str, field: Field) -> None:
        """Add a field to an entity type, as a studio does."""
        with self.database.lock:
            self.database.schema.add_field(entity_type, field)

    def step(self, kind: str | None = None) -> list[int]:
        """Do one thing that people do on a site; return the ids of its events.

        Args:
            kind: One of `sgevents_core.sandbox.traffic.STEP_WEIGHTS`; random if left out.
        """
        return self._traffic.take_step(kind)

    @property
    def rate(self) -> float:
        """The rate of the running traffic, in events per second; 0 for none."""
        return self._traffic_flow.rate if self._traffic_flow else 0.0

    def set_rate(self, rate: float) -> None:
        """Run traffic at a rate of events per second from now on; 0 ends it."""
        if self._traffic_flow is not None:
            self._traffic_flow.stop()
        self._traffic_flow = TrafficFlow(self.step, rate) if rate > 0 else None

    @contextmanager
    def traffic(self, rate: float) -> Iterator[TrafficFlow]:
        """Run traffic at a rate of events per second while the block lasts."""
        with TrafficFlow(self.step, rate) as flow:
            yield flow

    def go_down(self) -> None:
        """Refuse all connections and cut existing ones, until `come_back`."""
        self._http_server.stop()

    def come_back(self) -> None:
        """Accept connections again, at the same address."""
        self._http_server.start()

    @contextmanager
    def outage(self) -> Iterator[None]:
        """Be down while the block lasts."""
        self.go_down()
        try:
            yield
        finally:
            self.come_back()

    def outage_for(self, seconds: float, *, begins: float = 0.0) -> None:
        """Go down for some seconds, beginning in `begins` seconds; return at once."""

        def begin_outage() -> None:
            self.go_down()
            self._timers.run_after(seconds, self.come_back)

        # On a thread of its own: a thread that answers a call would wait for itself.
        self._timers.run_after(begins, begin_outage)

    def _begin_outage(self, fault: Fault) -> None:
        self.outage_for(float(fault.options["seconds"]))

    def _hide_newest_rows(self, fault: Fault) -> None:
        with self.database.lock:
            hidden_ids = self.log.visible_id_list()[-int(fault.options["rows"]) :]
            self.hide(hidden_ids)
        self._timers.run_after(float(fault.options["seconds"]), lambda: self.show(hidden_ids))

    def _rewind_newest_rows(self, fault: Fault) -> None:
        with self.database.lock:
            remaining_ids = self.log.visible_id_list()[: -int(fault.options["rows"])]
            self.rewind(remaining_ids[-1] if remaining_ids else 0)
