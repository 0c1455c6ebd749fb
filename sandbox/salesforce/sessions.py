"""Users' sessions and the daily quota of API calls."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz._"


@dataclass
class Session:
    """An access token: whose it is and until when."""

    token: str
    user: str
    expires: datetime | None = None
    client: str | None = None


class Sessions:
    """Access tokens. A token never comes back once expired or revoked."""

    def __init__(self, organisation: str, seed: int) -> None:
        self._organisation = organisation
        self._random = Random(seed)
        self._sessions: dict[str, Session] = {}

    def secret(self, length: int) -> str:
        """A fresh unguessable-looking text."""
        return "".join(self._random.choice(ALPHABET) for _ in range(length))

    def issue(
        self, user: str, expires: datetime | None = None, client: str | None = None, token: str | None = None
    ) -> str:
        """A new session for a user; `token` fixes its text, for tests that need to know it beforehand."""
        made = token or f"{self._organisation[:15]}!{self.secret(88)}"
        self._sessions[made] = Session(made, user, expires, client)
        return made

    def find(self, token: str, now: datetime) -> Session | None:
        """The session of a token that is still good."""
        found = self._sessions.get(token)
        if found is not None and found.expires is not None and now >= found.expires:
            del self._sessions[token]
            return None
        return found

    def end(self, token: str) -> bool:
        """Revoke a token; says whether it was good."""
        return self._sessions.pop(token, None) is not None

    def end_all(self, user: str | None = None) -> int:
        """Revoke all tokens (of one user); returns how many."""
        gone = [token for token, one in self._sessions.items() if user in (None, one.user)]
        for token in gone:
            del self._sessions[token]
        return len(gone)


class Quota:
    """API calls of the last 24 hours against the organisation's allowance.

    Source: App Limits cheat sheet, "API Request Limits".
    """

    def __init__(self, limit: int = 15_000) -> None:
        self.limit = limit
        self._spent: deque[datetime] = deque()
        self._extra = 0

    def used(self, now: datetime) -> int:
        """Calls that count now."""
        horizon = now - timedelta(hours=24)
        while self._spent and self._spent[0] <= horizon:
            self._spent.popleft()
        return len(self._spent) + self._extra

    def spend(self, now: datetime) -> bool:
        """Count a call; False when the allowance is used up (the call is then not counted)."""
        if self.used(now) >= self.limit:
            return False
        self._spent.append(now)
        return True

    def exhaust(self, now: datetime, remaining: int = 0) -> None:
        """Pretend that other applications used the allowance up to `remaining` calls."""
        self._extra = 0
        self._extra = max(0, self.limit - self.used(now) - remaining)

    def reset(self) -> None:
        """A new day."""
        self._spent.clear()
        self._extra = 0
