"""What the administrator allows to leave a calendar.

The levels, from nothing to everything. A person may always choose a tighter one than the administrator, never a wider.

===== ============================================ =======================================
level what the CRMs see                            what the team calendar sees
===== ============================================ =======================================
none  nothing                                      busy
busy  nothing                                      busy
title subject, time, owner and deal                busy
full  also place, people, notes and the join link  busy
===== ============================================ =======================================
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

Level = Literal["none", "busy", "title", "full"]
LEVELS: tuple[Level, ...] = get_args(Level)

TITLE_HIDES = ("location", "description", "attendees", "contacts", "join_url")
"""What a meeting at level ``title`` keeps to itself."""

SECRET = ("subject", *TITLE_HIDES, "organiser")
"""Every field of a meeting that says what it is about or with whom; when, whose and which deal it is are not among
them."""

PUBLIC_DOMAINS = frozenset(
    "aol.com gmail.com gmx.de gmx.net googlemail.com hotmail.com icloud.com live.com mail.com me.com msn.com "
    "outlook.com proton.me protonmail.com t-online.de web.de yahoo.com".split())


def tightest(*levels: Level) -> Level:
    """The most private of some levels."""
    return min(levels, key=LEVELS.index)


def publishes(level: Level) -> bool:
    """Whether anything of a meeting at this level may reach a CRM."""
    return level in ("title", "full")


@dataclass(frozen=True, slots=True)
class CalendarPolicy:
    """``[calendars]`` of ``sidefeed.toml``.

    privacy           the widest level at which a meeting may leave
    internal_domains  domains of our own besides those of the users' addresses
    blocked_domains   a meeting with anybody of these never leaves
    confidence        below it no deal is chosen: a role on one deal is 0.9, the only open deal of an account 0.7
    conference_url    the join link of a meeting planned here; ``{id}`` stands for something unguessable
    foreign_marks     marks (`sidefeed.calendars.marks`), in lower case, by which further tools that file meetings are
                      known, with their names
    accepted_tools    tools whose marks are old, or which file elsewhere: their meetings are filed here all the same
    """

    privacy: Level = "full"
    internal_domains: frozenset[str] = frozenset()
    blocked_domains: frozenset[str] = field(default_factory=frozenset)
    confidence: float = 0.5
    conference_url: str = ""
    foreign_marks: Mapping[str, str] = field(default_factory=dict)
    accepted_tools: frozenset[str] = frozenset()
