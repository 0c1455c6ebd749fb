"""Under which ids the occurrences of a series are known here; which meeting they are, every calendar says alike."""

from __future__ import annotations

from sidefeed.calendars.identity import SINGLE, meeting_key, normalised_uid

__all__ = ["SINGLE", "meeting_key", "normalised_uid", "occurrence_id", "series_id", "split_id"]


def occurrence_id(master: str, original_start: str) -> str:
    """The id under which one occurrence of a series is known, which no edit of it or of its master changes.

    Store ids of occurrences are not used: whether one survives the step from plain occurrence to exception is not
    documented.
    """
    return f"{master}@{original_start}"


def series_id(master: str) -> str:
    """The id of a series as one object: what the ids of its occurrences begin with."""
    return occurrence_id(master, "")


def split_id(external_id: str) -> tuple[str, str | None]:
    """The store id of an item or master, and the original start where it is an occurrence's id."""
    master, _, original = external_id.partition("@")
    return master, original or None
