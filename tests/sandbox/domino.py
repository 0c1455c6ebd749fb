"""A client of Domino Access Services that is nobody's: httpx, a name and a password, JSON."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import httpx

from sandbox.domino import DominoServer

ANN, BEN = "ann@corp.example", "ben@corp.example"
NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)


@contextmanager
def domino(**options: Any) -> Iterator[DominoServer]:
    """A server with two mail files at a fixed time; it must not have had a bug."""
    with DominoServer(**options) as server:
        server.clock.fix(NOW)
        server.add_mail_file(ANN, "Ann Lee", zone="Eastern")
        server.add_mail_file(BEN, "Ben Ray")
        server.save_snapshot()
        yield server
        assert server.crashes == [], server.crashes[0].traceback


def timed(day: str, hour: int, *, zone: str | None = None) -> dict[str, Any]:
    where: dict[str, Any] = {"tzid": zone} if zone else {"utc": True}
    return {"date": day, "time": f"{hour:02d}:00:00", **where}


def meeting(
    summary: str, day: str = "2026-03-03", hour: int = 10, *, zone: str | None = None, **more: Any
) -> dict[str, Any]:
    return {"summary": summary, "start": timed(day, hour, zone=zone), "end": timed(day, hour + 1, zone=zone), **more}


class Client:
    """One person, or a service account, at one mail file."""

    def __init__(self, server: DominoServer, user: str = ANN, file: str = "mail/ann.nsf") -> None:
        password = server.world.services[user][0] if user in server.world.services else server.mail_file(user).password
        self.http = httpx.Client(
            base_url=f"{server.url}/{file}/api/calendar", timeout=20, trust_env=False, auth=(user, password)
        )

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def ask(self, method: str, path: str, *, status: int = 200, **more: Any) -> Any:
        """The JSON of an answer that has the status expected, or its text."""
        answer = self.http.request(method, path, **more)
        assert answer.status_code == status, (answer.status_code, answer.text)
        kind = answer.headers.get("content-type", "")
        return answer.json() if kind.startswith("application/json") else answer.text

    def rows(self, **params: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.ask("GET", "/events", params=params).get("events", [])
        return found

    def create(self, event: dict[str, Any], **params: Any) -> str:
        made: dict[str, Any] = self.ask("POST", "/events", json={"events": [event]}, params=params, status=201)
        return str(made["events"][0]["id"])
