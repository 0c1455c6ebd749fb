"""Calendars: what may leave them, on which deal a meeting is filed, and what people are asked about it."""

from .policy import CalendarPolicy, Level, tightest

__all__ = ["CalendarPolicy", "Level", "tightest"]
