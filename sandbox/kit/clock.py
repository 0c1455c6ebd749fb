"""The practice server's own clock: apart from the client's, so that skew and time zones can be rehearsed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class Clock:
    """Aware UTC time that runs by default, and can be fixed and moved, also backwards."""

    def __init__(self, fixed: datetime | str | None = None) -> None:
        self._offset = timedelta(0)
        self._fixed: datetime | None = None
        if fixed is not None:
            self.fix(fixed)

    def now(self) -> datetime:
        """The server's time."""
        return self._fixed if self._fixed is not None else datetime.now(UTC) + self._offset

    @property
    def fixed(self) -> bool:
        """Whether time stands still."""
        return self._fixed is not None

    def fix(self, at: datetime | str | None = None) -> datetime:
        """Stop time at a moment (now, if none is given). A text is ISO 8601; without a zone it is UTC."""
        moment = self.now() if at is None else _moment(at)
        self._fixed = moment
        return moment

    def move(self, seconds: float = 0, *, minutes: float = 0, hours: float = 0, days: float = 0) -> datetime:
        """Shift time by a span, forwards or (negative) backwards; a fixed clock stays fixed."""
        span = timedelta(seconds=seconds, minutes=minutes, hours=hours, days=days)
        if self._fixed is not None:
            self._fixed += span
        else:
            self._offset += span
        return self.now()

    def run(self) -> datetime:
        """Let time pass again, from where it stands."""
        if self._fixed is not None:
            self._offset = self._fixed - datetime.now(UTC)
            self._fixed = None
        return self.now()


def _moment(at: datetime | str) -> datetime:
    if isinstance(at, str):
        at = datetime.fromisoformat(at)
    if not isinstance(at, datetime):
        raise TypeError(f"a time is ISO 8601 text or a datetime, not {at!r}")
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
