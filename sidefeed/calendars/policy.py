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
    "126.com 163.com aol.com arcor.de bigpond.com bluewin.ch bol.com.br btinternet.com comcast.net email.it "
    "fastmail.com foxmail.com free.fr freenet.de gmail.com gmx.at gmx.ch gmx.com gmx.de gmx.net googlemail.com "
    "hanmail.net hey.com hotmail.co.uk hotmail.com hotmail.de hotmail.es hotmail.fr hotmail.it hushmail.com "
    "icloud.com interia.pl laposte.net libero.it live.co.uk live.com live.de live.fr live.nl mac.com mail.com "
    "mail.ru mailbox.org me.com msn.com naver.com o2.pl onet.pl online.no orange.fr outlook.com outlook.de "
    "outlook.fr pm.me posteo.de proton.me protonmail.com qq.com rediffmail.com rocketmail.com sbcglobal.net "
    "seznam.cz sfr.fr sina.com sky.com t-online.de telenet.be tiscali.it tutanota.com uol.com.br verizon.net "
    "virgilio.it virgin.net wanadoo.fr web.de wp.pl yahoo.co.in yahoo.co.jp yahoo.co.uk yahoo.com yahoo.com.br "
    "yahoo.de yahoo.es yahoo.fr yahoo.it yandex.ru ymail.com ziggo.nl zoho.com".split())
"""Domains under which everybody can have an address: one of them says nothing about whose colleague somebody is."""


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
    blocked_domains   a meeting with anybody of these, or of a domain below one, never leaves
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

    def blocks(self, domain: str) -> bool:
        """Whether nothing leaves that is with anybody of a domain; it may be written in Unicode or in ASCII (IDNA)."""
        plain = _in_ascii(domain)
        return any(plain == each or plain.endswith(f".{each}") for each in map(_in_ascii, self.blocked_domains))


def _in_ascii(domain: str) -> str:
    try:
        return domain.encode("idna").decode()
    except UnicodeError:
        return domain
