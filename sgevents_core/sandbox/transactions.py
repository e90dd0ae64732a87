"""Beginning and ending transactions: at once, later, on request, or never."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

from sgevents_core.sandbox.callers import ApiCaller
from sgevents_core.sandbox.faults import Fault
from sgevents_core.sandbox.site_database import SiteDatabase
from sgevents_core.sandbox.timers import Timers
from sgevents_core.sandbox.writes import Transaction


class Transactions:
    """The transactions of a site.

    Args:
        database: The database they write to.
        timers: Commits the late ones.
    """

    def __init__(self, database: SiteDatabase, timers: Timers) -> None:
        self._database = database
        self._timers = timers
        self._open_lock = threading.Lock()
        self._open_transactions: dict[int, Transaction] = {}
        self._last_id = 0

    def begin_transaction(self, caller: ApiCaller, row_time: datetime | None = None) -> Transaction:
        """Return a transaction that stays open until it is ended explicitly."""
        return Transaction(self._database, caller, row_time)

    def keep_open(self, transaction: Transaction) -> int:
        """Store an open transaction under a number, for the control endpoint."""
        with self._open_lock:
            self._last_id += 1
            self._open_transactions[self._last_id] = transaction
            return self._last_id

    def kept_transaction(self, transaction_number: int) -> Transaction:
        """Return a transaction stored before.

        Raises:
            KeyError: No transaction has that number.
        """
        with self._open_lock:
            return self._open_transactions[transaction_number]

    @contextmanager
    def write(self, caller: ApiCaller, faults: Sequence[Fault] = ()) -> Iterator[Transaction]:
        """Begin a transaction, and end it as the faults that strike it require.

        An exception inside rolls it back. Without a fault it commits when the block is left.
        """
        for fault in faults:
            if fault.kind == "burn":
                self._database.log.burn(int(fault.options["ids"]))
        transaction = self.begin_transaction(caller)
        try:
            yield transaction
        except BaseException:
            transaction.roll_back()
            raise
        faults_by_kind = {fault.kind: fault for fault in faults}
        if "commit-never" in faults_by_kind:
            transaction.roll_back()
        elif "commit-late" in faults_by_kind:
            self.commit_after(transaction, float(faults_by_kind["commit-late"].options["seconds"]))
        else:
            transaction.commit()

    def commit_after(self, transaction: Transaction, seconds: float) -> None:
        """Commit a transaction in `seconds`; closing the site drops it."""
        self._timers.run_after(seconds, transaction.commit)
