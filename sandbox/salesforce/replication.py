"""getUpdated and getDeleted.

Source: REST API guide "sObject Get Updated", "sObject Get Deleted"; SOAP API guide "getUpdated", "getDeleted". Texts
of the refusals are not verified; the code is.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sandbox.kit.http import Response

from .errors import Failure
from .schema import SObject
from .values import parse_datetime, stamp

if TYPE_CHECKING:
    from .server import Call, SalesforceServer

UPDATED_DAYS, DELETED_DAYS = 30, 15
MOST_IDS = 600_000


class Replication:
    """Handlers."""

    def __init__(self, server: SalesforceServer) -> None:
        self._server = server

    def updated(self, call: Call, name: str) -> Response:
        """Ids of live records saved in a window. Both ends count; seconds are cut off."""
        sobject = self._replicateable(name)
        start, end = self._window(call, UPDATED_DAYS)
        table = self._server.store.table(sobject.name)
        ids = [key for key in table.between("SystemModstamp", start, end) if not table.rows[key].get("IsDeleted")]
        if len(ids) > MOST_IDS:
            raise Failure(
                400, "EXCEEDED_ID_LIMIT", f"The result has more than {MOST_IDS:,} ids; ask for a shorter time"
            )
        return Response.of_json({"ids": ids, "latestDateCovered": self._covered(end)}, records=len(ids))

    def deleted(self, call: Call, name: str) -> Response:
        """Records deleted in a window, from the delete log."""
        sobject = self._replicateable(name)
        start, end = self._window(call, DELETED_DAYS)
        purged = self._server.bad_days.deletions_purged_until
        if purged is not None and start < purged:
            raise _refused("startDate is before the earliest date available in the delete log")
        log = [(key, at) for kind, key, at in self._server.store.deletions if kind == sobject.name]
        found = [{"id": key, "deletedDate": at} for key, at in log if start <= at <= end]
        if len(found) > MOST_IDS:
            raise Failure(
                400, "EXCEEDED_ID_LIMIT", f"The result has more than {MOST_IDS:,} ids; ask for a shorter time"
            )
        earliest = purged or stamp(self._server.clock.now() - timedelta(days=DELETED_DAYS))
        return Response.of_json(
            {
                "deletedRecords": found,
                "earliestDateAvailable": earliest,
                "latestDateCovered": self._covered(end),
            },
            records=len(found),
        )

    def _replicateable(self, name: str) -> SObject:
        sobject = self._server.records.sobject(name)
        if not sobject.can("replicateable") or "SystemModstamp" not in sobject.fields:
            raise Failure(400, "INVALID_TYPE", f"{sobject.name} is not replicateable")
        return sobject

    def _window(self, call: Call, days: int) -> tuple[str, str]:
        start, end = (self._moment(call, name) for name in ("start", "end"))
        if start >= end or end - start < timedelta(minutes=1):
            raise _refused("startDate must be at least one minute before endDate")
        if start < self._server.clock.now() - timedelta(days=days):
            raise _refused(f"startDate cannot be more than {days} days ago")
        return stamp(start), stamp(end)

    @staticmethod
    def _moment(call: Call, name: str) -> datetime:
        text = call.request.param(name)
        if text is None:
            raise Failure(400, "MISSING_ARGUMENT", f"{name} is required")
        found = parse_datetime(text.replace(" ", "+"), need_zone=False)
        if found is None:
            raise _refused(f"{name}Date is not a date-time: {text}")
        return found.replace(second=0, microsecond=0)

    def _covered(self, end: str) -> str:
        """Changes up to here are all in the answer.

        Not past an open transaction, whose rows will carry earlier stamps.
        """
        began = [one.began for one in self._server.bad_days.open.values()]
        return min([end, stamp(self._server.clock.now()), *began])


def _refused(text: str) -> Failure:
    return Failure(400, "INVALID_REPLICATION_DATE", text)


def install(server: SalesforceServer) -> None:
    """Hang the resources into the server's router."""
    handlers = Replication(server)
    server.router.add("GET", "sobjects/{type}/updated", handlers.updated)
    server.router.add("GET", "sobjects/{type}/deleted", handlers.deleted)
