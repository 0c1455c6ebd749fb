"""How many of something, in words: for every sentence that people read."""

from __future__ import annotations


def many(number: int, one: str, several: str = "") -> str:
    """``many(1, "record")`` -> ``1 record``; ``many(2000, "reply", "replies")`` -> ``2,000 replies``."""
    return f"{number:,} {one if number == 1 else several or one + 's'}"
