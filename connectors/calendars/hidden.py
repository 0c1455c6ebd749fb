"""Which named properties are looked for on meetings, because another tool marks with them what it files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sidefeed.calendars.marks import Named, all_named


def of_settings(table: Mapping[str, Any], wrong: Callable[[str, str], Exception]) -> tuple[Named, ...]:
    """The known ones, and ``hidden_marks`` of a table of settings. ``wrong`` makes the error that names a setting and
    what is wrong."""
    told = table.get("hidden_marks") or ()
    try:
        return all_named([told] if isinstance(told, str) else told)
    except ValueError as error:
        raise wrong("hidden_marks", f"holds a mark that cannot be looked for: {error}") from None
