"""What a practice server has been asked for: calls, records and bytes, per endpoint and in all."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Tally:
    """Totals of one endpoint. Bytes are of bodies, as they went over the wire."""

    calls: int = 0
    records: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    statuses: Counter[int] = field(default_factory=Counter)

    def add(self, status: int, records: int, bytes_in: int, bytes_out: int) -> None:
        """Count one call. Status 0 means that no reply was sent."""
        self.calls += 1
        self.records += records
        self.bytes_in += bytes_in
        self.bytes_out += bytes_out
        self.statuses[status] += 1

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "calls": self.calls,
            "records": self.records,
            "bytes_in": self.bytes_in,
            "bytes_out": self.bytes_out,
            "statuses": {str(status): count for status, count in sorted(self.statuses.items())},
        }


class Counters:
    """Every request that reached the server counts, the failed and the dropped ones too; the control API never does."""

    def __init__(self) -> None:
        self.total = Tally()
        self.endpoints: dict[str, Tally] = {}

    def add(self, endpoint: str, status: int, *, records: int = 0, bytes_in: int = 0, bytes_out: int = 0) -> None:
        """Count one call under its endpoint label."""
        tally = self.endpoints.get(endpoint)
        if tally is None:
            tally = self.endpoints[endpoint] = Tally()
        tally.add(status, records, bytes_in, bytes_out)
        self.total.add(status, records, bytes_in, bytes_out)

    def add_bytes_out(self, endpoint: str, size: int) -> None:
        """Count the bytes of a streamed answer, known only at its end."""
        if endpoint in self.endpoints:
            self.endpoints[endpoint].bytes_out += size
        self.total.bytes_out += size

    @property
    def calls(self) -> int:
        """Requests in all."""
        return self.total.calls

    @property
    def records(self) -> int:
        """Records moved in all, either way."""
        return self.total.records

    def calls_to(self, endpoint: str) -> int:
        """Requests to one endpoint label; 0 if it was never asked."""
        tally = self.endpoints.get(endpoint)
        return tally.calls if tally else 0

    def reset(self) -> None:
        """Start counting from nought."""
        self.total = Tally()
        self.endpoints.clear()

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "total": self.total.as_dict(),
            "endpoints": {label: tally.as_dict() for label, tally in sorted(self.endpoints.items())},
        }
