"""The Python client of the control API: what a test or a person scripts a bad day with."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import quote

import httpx


class ControlError(Exception):
    """The practice server refused a control request; the message is its own."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Control:
    """Scripts one practice server through its control URL. Every method raises `ControlError` when it is refused.

    A context manager; `close()` otherwise, when done.
    """

    def __init__(self, url: str, *, timeout: float = 30.0) -> None:
        self._http = httpx.Client(base_url=url, timeout=timeout, trust_env=False)

    def close(self) -> None:
        """Close the connection to the control API."""
        self._http.close()

    def __enter__(self) -> Control:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def health(self) -> dict[str, Any]:
        """Name and URL of the server, and how many of its handlers have crashed."""
        return dict(self._ask("GET", "/health"))

    def connection(self) -> dict[str, Any]:
        """What a client needs to connect: url, tokens, users."""
        return dict(self._ask("GET", "/connection"))

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI 3.1 document of the control API."""
        return dict(self._ask("GET", "/openapi.json"))

    # -- faults ---------------------------------------------------------------------------------------------------

    def fail(
        self,
        kind: str,
        *,
        method: str = "*",
        path: str = "*",
        count: int | None = 1,
        probability: float = 1.0,
        skip: int = 0,
        contains: str | None = None,
        **args: Any,
    ) -> int:
        """Put a fault in force; its id. `args` are those of the kind, which `fault_kinds()` describes."""
        wanted = {
            "kind": kind,
            "method": method,
            "path": path,
            "count": count,
            "probability": probability,
            "skip": skip,
            "contains": contains,
            "args": args,
        }
        return int(self._ask("POST", "/faults", wanted)["id"])

    def faults(self) -> list[dict[str, Any]]:
        """Faults in force."""
        return list(self._ask("GET", "/faults")["active"])

    def fault_kinds(self) -> dict[str, str]:
        """Kinds of fault that this server knows: what each does and takes."""
        return dict(self._ask("GET", "/faults")["kinds"])

    def lift(self, fault: int | None = None) -> None:
        """Lift one fault by its id, or all."""
        self._ask("DELETE", "/faults" if fault is None else f"/faults/{fault}")

    def hits(self) -> list[dict[str, Any]]:
        """Every request that a fault has hit, oldest first."""
        return list(self._ask("GET", "/faults/hits"))

    def clear_hits(self) -> None:
        """Forget the hits."""
        self._ask("DELETE", "/faults/hits")

    # -- what happened --------------------------------------------------------------------------------------------

    def counters(self) -> dict[str, Any]:
        """`total` and, per endpoint label, `endpoints`: calls, records, bytes, statuses."""
        return dict(self._ask("GET", "/counters"))

    def calls(self) -> int:
        """Requests in all."""
        return int(self.counters()["total"]["calls"])

    def reset_counters(self) -> None:
        """Count from nought."""
        self._ask("DELETE", "/counters")

    def log(self, last: int | None = None) -> list[dict[str, Any]]:
        """The last requests, oldest first."""
        return list(self._ask("GET", "/log" if last is None else f"/log?last={last}"))

    def clear_log(self) -> None:
        """Forget the requests kept in memory."""
        self._ask("DELETE", "/log")

    def crashes(self) -> list[dict[str, Any]]:
        """Exceptions of handlers: bugs of the practice server."""
        return list(self._ask("GET", "/crashes"))

    # -- the clock ------------------------------------------------------------------------------------------------

    def now(self) -> datetime:
        """The server's time."""
        return datetime.fromisoformat(self._ask("GET", "/clock")["now"])

    def fix_clock(self, at: datetime | str | None = None) -> datetime:
        """Stop the server's clock at a moment (now, if none is given)."""
        moment = at.isoformat() if isinstance(at, datetime) else at
        return datetime.fromisoformat(self._ask("POST", "/clock", {"fix": moment})["now"])

    def move_clock(self, seconds: float) -> datetime:
        """Move the server's clock, back if negative."""
        return datetime.fromisoformat(self._ask("POST", "/clock", {"move": seconds})["now"])

    def run_clock(self) -> datetime:
        """Let the server's time pass again."""
        return datetime.fromisoformat(self._ask("POST", "/clock", {"run": True})["now"])

    # -- the system's state ---------------------------------------------------------------------------------------

    def snapshot(self, name: str = "default") -> None:
        """Keep the whole state under a name."""
        self._ask("POST", "/snapshot", {"name": name})

    def restore(self, name: str = "default") -> None:
        """Go back to a kept state; faults, counters, log and clock stay as they are."""
        self._ask("POST", "/restore", {"name": name})

    def snapshots(self) -> list[str]:
        """Names of the states kept."""
        return list(self._ask("GET", "/snapshots"))

    def conditions(self) -> dict[str, str]:
        """The bad-day switches of this system: what each does and takes."""
        return dict(self._ask("GET", "/conditions"))

    def condition(self, name: str, **args: Any) -> Any:
        """Use one bad-day switch; its result."""
        return self._ask("POST", f"/conditions/{quote(name, safe='')}", args)["result"]

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        answer = self._http.request(method, path, json=body)
        if answer.status_code != 200:
            try:
                message = str(answer.json()["error"])
            except (ValueError, KeyError, TypeError):
                message = answer.text.strip()
            raise ControlError(answer.status_code, message)
        return answer.json()
