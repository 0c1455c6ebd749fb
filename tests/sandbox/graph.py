"""A client of Graph that is nobody's SDK: httpx, a token, JSON."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import httpx

from sandbox.graph import GraphServer

ANNA, BEN, CARA = "anna@corp.example", "ben@corp.example", "cara@corp.example"
NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
LINK = "String {542f9e28-0fa7-425e-93ea-82cf115d5612} Name sidefeed-link"
WINDOW = {"startDateTime": "2026-03-01T00:00:00Z", "endDateTime": "2026-04-01T00:00:00Z"}
SCOPE = "https://graph.microsoft.com/.default"


@contextmanager
def graph(**options: Any) -> Iterator[GraphServer]:
    """A server with three mailboxes at a fixed time; it must not have had a bug."""
    with GraphServer(**options) as server:
        server.clock.fix(NOW)
        for address, zone in ((ANNA, "W. Europe Standard Time"), (BEN, "UTC"), (CARA, "Eastern Standard Time")):
            server.office.add_mailbox(address, timezone=zone)
        server.save_snapshot()
        yield server
        assert server.crashes == [], server.crashes[0].traceback


def form(server: GraphServer, **more: str) -> dict[str, str]:
    """A token request."""
    info = server.connection_info()
    return {"grant_type": "client_credentials", "client_id": info["client_id"],
            "client_secret": info["client_secret"], "scope": SCOPE, **more}  # fmt: skip


class Client:
    """One application with a token. `prefer` goes with every request."""

    def __init__(self, server: GraphServer, prefer: str = 'IdType="ImmutableId"') -> None:
        self.server = server
        self.http = httpx.Client(base_url=f"{server.url}/v1.0", timeout=20, trust_env=False)
        token = self.http.post(server.connection_info()["token_url"], data=form(server)).json()["access_token"]
        self.http.headers.update({"Authorization": f"Bearer {token}", "Prefer": prefer})

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def ask(self, method: str, path: str, *, status: int = 200, user: str = ANNA, **more: Any) -> Any:
        """The JSON of an answer that has the status expected."""
        url = path if path.startswith("http") else f"/users/{user}/{path}" if not path.startswith("/") else path
        answer = self.http.request(method, url, **more)
        assert answer.status_code == status, (answer.status_code, answer.text)
        assert answer.headers["request-id"]
        return answer.json() if answer.content else None

    def refused(self, method: str, path: str, status: int, **more: Any) -> str:
        """The code of an error."""
        error = self.ask(method, path, status=status, **more)["error"]
        assert error["message"]
        assert set(error["innerError"]) == {"date", "request-id", "client-request-id"}
        return str(error["code"])

    def event(self, subject: str = "Demo", *, user: str = ANNA, status: int = 201, **more: Any) -> Any:
        """A new event; at nine on Tuesday in UTC if nothing is said."""
        times = {"start": at("2026-03-03T09:00:00"), "end": at("2026-03-03T10:00:00")}
        return self.ask("POST", "events", user=user, status=status, json={"subject": subject, **times, **more})

    def round(self, link: str | None = None, **more: Any) -> tuple[list[dict[str, Any]], str]:
        """A whole delta round: its rows, and the link of the next."""
        rows: list[dict[str, Any]] = []
        given = self.ask("GET", link or "calendarView/delta", params=None if link else WINDOW, **more)
        while True:
            rows += given["value"]
            if "@odata.deltaLink" in given:
                return rows, given["@odata.deltaLink"]
            given = self.ask("GET", given["@odata.nextLink"], **more)

    def mailed(self) -> list[tuple[str, tuple[str, ...]]]:
        """Kind and recipients of everything that would have been mailed."""
        return [(mail["kind"], tuple(mail["recipients"])) for mail in self.server.condition("outbox")]


def at(wall: str, zone: str = "UTC") -> dict[str, str]:
    """A dateTimeTimeZone."""
    return {"dateTime": wall, "timeZone": zone}


def guest(address: str = "zoe@acme.example", **more: Any) -> dict[str, Any]:
    """An attendee."""
    return {"type": "required", "emailAddress": {"address": address, "name": "Zoë"}, **more}


def weekly(count: int = 4, days: tuple[str, ...] = ("tuesday",), start: str = "2026-03-03") -> dict[str, Any]:
    """A weekly recurrence."""
    return {"pattern": {"type": "weekly", "interval": 1, "daysOfWeek": list(days)},
            "range": {"type": "numbered", "startDate": start, "numberOfOccurrences": count}}  # fmt: skip
