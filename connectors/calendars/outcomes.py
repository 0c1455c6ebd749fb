"""What became of writes to a calendar: what an error means for one of them, and when the rest is left alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from connectors.calendars.events import Broken
from sidefeed.connector import (
    AuthenticationFailed,
    Conflict,
    ConnectorError,
    Duplicate,
    Gone,
    Invalid,
    Locked,
    Outcome,
    OutcomeStatus,
    PermissionDenied,
    QuotaExhausted,
    RateLimited,
    Remote,
    Unavailable,
    UnknownOutcome,
    Write,
)

Fetch = Callable[[Sequence[str], Sequence[str]], Iterator[Remote]]
"""Reads fields of ids."""

_MEANS: tuple[tuple[tuple[type[ConnectorError], ...], OutcomeStatus], ...] = (
    ((UnknownOutcome,), "unknown"), ((Conflict,), "stale"),
    ((RateLimited, QuotaExhausted, Unavailable, Locked), "retry"),
    ((Invalid, Duplicate, Gone, PermissionDenied), "refused"))


def one_by_one(writes: Sequence[Write], write: Callable[[Write], Outcome]) -> Iterator[Outcome]:
    """One outcome per write, in order. Once the server says that it is throttling nothing more is sent: sending
    prolongs it (EWS throttling)."""
    throttled: RateLimited | None = None
    for each in writes:
        if throttled is not None:
            yield Outcome(each.key, "retry", each.external_id, error=throttled)
            continue
        outcome = write(each)
        throttled = outcome.error if isinstance(outcome.error, RateLimited) else None
        yield outcome


def outcome(
    write: Write, ways: Mapping[str, Callable[[Write], Outcome]], *, uncertain: type[ConnectorError] | None = None,
) -> Outcome:  # fmt: skip
    """What becomes of a write by the way of its kind (create, update, delete). ``uncertain`` is the error after which
    it may have happened. Raises AuthenticationFailed, which concerns the rest too."""
    try:
        return ways[write.op](write)
    except AuthenticationFailed:
        raise
    except Broken as broken:
        return failed(write, Invalid(f"The item cannot be edited: {broken}.", rule="broken"))
    except ConnectorError as error:
        return lost(write, error) if uncertain is not None and isinstance(error, uncertain) else failed(write, error)


def failed(write: Write, error: ConnectorError) -> Outcome:
    """What an error means for the write that it met. One that no class names is a refusal by its code."""
    status = next((status for classes, status in _MEANS if isinstance(error, classes)), None)
    if status is None:
        status, error = "refused", Invalid(error.message, rule=error.code, code=error.code, owner=error.owner)
    return Outcome(write.key, status, write.external_id, error=error)


def lost(write: Write, error: ConnectorError) -> Outcome:
    """The answer to a write was lost, so it may have happened."""
    told = f"{error.message} Whether the write took effect is not known."
    return failed(write, UnknownOutcome(told, code=error.code))


def moved_on(write: Write, present: Mapping[str, Any] | None) -> bool:
    """Whether what is there now is other than what the write was decided on."""
    seen = present or {}
    return any(name in seen and seen[name] != value for name, value in write.expected.items())
