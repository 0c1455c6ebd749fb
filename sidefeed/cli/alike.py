"""What concerns many records for one reason is told once, with the first of them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from sidefeed.plural import many

NAMED = 5
"""How many records of one reason are named."""


def told_once(told: Iterable[tuple[str, str, str, str]]) -> list[str]:
    """One sentence for each reason. Each of ``told`` is where it happened, the record's name, the field with whatever
    separates it, and what happened. Messages that differ in the record alone (in its name, or in a number such as its
    id) give one reason; the first of them speaks for all."""
    reasons: dict[tuple[str, str, str], list[tuple[str, str]]] = {}
    for where, record, field, message in told:
        reasons.setdefault((where, field, _pattern(message, record)), []).append((record, message))
    return [_sentence(where, field, found) for (where, field, _message), found in reasons.items()]


def feeds_once(told: Iterable[tuple[str, str]]) -> list[str]:
    """One sentence for each reason that concerns feeds as a whole, with all of them; each of ``told`` is a feed and
    what happened."""
    reasons: dict[str, tuple[list[str], str]] = {}
    for feed, message in told:
        reasons.setdefault(_pattern(message, ""), ([], message))[0].append(feed)
    return [f"{', '.join(feeds)}: {message}" for feeds, message in reasons.values()]


def _pattern(message: str, record: str) -> str:
    return re.sub(r"\w*\d\w*", "#", message.replace(record, "#") if record else message)


def _sentence(where: str, field: str, found: list[tuple[str, str]]) -> str:
    record, message = found[0]
    if len(found) == 1:
        return f"{where} {record}{field}: {message}"
    names = list(dict.fromkeys(record for record, _message in found))
    others = f" and {len(names) - NAMED} more; --json names all" if len(names) > NAMED else ""
    return f"{where}{field}, {many(len(found), 'record')}: {message} ({', '.join(names[:NAMED])}{others})"
