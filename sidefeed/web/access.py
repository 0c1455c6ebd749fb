"""Who may come in, what each person sees, and how a form proves that it is ours.

A person comes in with a link that works once: its token is kept as a hash, in the workspace, until it is used or ten
minutes have passed. It is exchanged for a session, which lives in this process and ends with it, after twelve hours,
or when the person signs out. Roles stand in ``[people]`` of ``sidefeed.toml``:

========  ==========================================================================================================
rep       sees own deals and those of people with the same manager; decides about own deals
manager   sees and decides the deals of everybody below, at any depth, and own ones
director  sees and decides everything, also deals that belong to nobody
ops       sees and decides everything except amounts
========  ==========================================================================================================
"""

from __future__ import annotations

import getpass
import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import orjson
import sqlalchemy as sa

from sidefeed.project import PersonSettings, ProjectError
from sidefeed.workspace import Store
from sidefeed.workspace import tables as t
from sidefeed.workspace.clock import utc_instant, utc_text

LINK_LIFE = timedelta(minutes=10)
SESSION_LIFE = timedelta(hours=12)
_LINK = "sign-in:"


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who may sign in. ``sees`` and ``decides`` hold owners' addresses; None stands for everybody's."""

    email: str
    name: str
    role: str
    sees: frozenset[str] | None
    decides: frozenset[str] | None
    manager: str = ""

    @property
    def sees_amounts(self) -> bool:
        return self.role != "ops"

    @property
    def answers_questions(self) -> bool:
        """Which record is which concerns whole teams: reps are not asked."""
        return self.role != "rep"


def people(settings: Mapping[str, PersonSettings]) -> dict[str, Person]:
    """Everybody of ``[people]``, by address. Raises ProjectError for a manager who is not listed, or a circle."""
    table = {email.strip().lower(): one for email, one in settings.items()}
    managers = {email: one.manager.strip().lower() for email, one in table.items()}
    for email, manager in managers.items():
        if manager and manager not in table:
            raise ProjectError(f"[people.{email!r}]: manager {manager!r} is not listed in [people]; add a table for "
                               f"that person, or mend the address.")
        _chain(managers, email)
    return {email: _person(email, one, managers) for email, one in table.items()}


def this_machine() -> Person:
    """Whoever started the server: a person who can read the workspace's file sees all of it."""
    name = getpass.getuser()
    return Person(name, name, "director", None, None)


def _person(email: str, settings: PersonSettings, managers: Mapping[str, str]) -> Person:
    name = settings.name or email.partition("@")[0].replace(".", " ").title()
    manager = managers[email]
    if settings.role in ("director", "ops"):
        return Person(email, name, settings.role, None, None, manager)
    below = frozenset(one for one in managers if email in _chain(managers, one)) | {email}
    if settings.role == "manager":
        return Person(email, name, "manager", below, below, manager)
    team = frozenset(one for one, theirs in managers.items() if theirs and theirs == manager)
    return Person(email, name, "rep", team | {email}, frozenset({email}), manager)


def _chain(managers: Mapping[str, str], email: str) -> list[str]:
    """Everybody above a person, nearest first."""
    above: list[str] = []
    while manager := managers.get(above[-1] if above else email):
        if manager in above or manager == email:
            raise ProjectError(f"[people.{email!r}]: the managers form a circle ({' -> '.join([*above, manager])}"
                               f"). Somebody in it must have no manager, or another one.")
        above.append(manager)
    return above


# -- links that work once -------------------------------------------------------------------------------------------


def invite(store: Store, email: str) -> str:
    """A token that signs this person in, once, within ten minutes. Only its hash is kept."""
    token = secrets.token_urlsafe(32)
    expires = utc_text(store.now() + LINK_LIFE)
    with store.write() as tx:
        for name, value in tx.connection.execute(
                sa.select(t.setting.c.name, t.setting.c.value).where(t.setting.c.name.startswith(_LINK))).all():
            if orjson.loads(value)["expires"] < utc_text(store.now()):
                tx.connection.execute(t.setting.delete().where(t.setting.c.name == name))
        tx.save_setting(_key(token), orjson.dumps({"email": email, "expires": expires}).decode())
    return token


def redeem(store: Store, token: str) -> str | None:
    """Whose token this is, using it up; None where it is unknown, used or too old."""
    with store.write() as tx:
        value = tx.setting(_key(token))
        if value is None:
            return None
        tx.connection.execute(t.setting.delete().where(t.setting.c.name == _key(token)))
    found = orjson.loads(value)
    return str(found["email"]) if utc_instant(found["expires"]) > store.now() else None


def peek(store: Store, token: str) -> bool:
    """Whether a token would still sign somebody in; does not use it up."""
    with store.read() as tx:
        value = tx.setting(_key(token))
    return value is not None and utc_instant(orjson.loads(value)["expires"]) > store.now()


def _key(token: str) -> str:
    return _LINK + hashlib.sha256(token.encode()).hexdigest()


# -- sessions -------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Session:
    """A signed-in browser. ``notices`` are told once, on its next page."""

    id: str
    person: Person
    expires: datetime
    key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    notices: list[str] = field(default_factory=list)

    def form_token(self) -> str:
        """Proof that a form came from a page of this session; another one for every page, so that compression of the
        page gives nothing away (BREACH)."""
        nonce = secrets.token_urlsafe(12)
        return f"{nonce}.{self._sign(nonce)}"

    def owns(self, token: str) -> bool:
        nonce, _, signature = token.partition(".")
        return hmac.compare_digest(signature.encode(), self._sign(nonce).encode())

    def _sign(self, nonce: str) -> str:
        return hmac.new(self.key, nonce.encode(), hashlib.sha256).hexdigest()

    def take_notices(self) -> list[str]:
        told, self.notices = self.notices, []
        return told


class Sessions:
    """The open sessions of this process."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._open: dict[str, Session] = {}

    def open(self, person: Person) -> Session:
        now = self._now()
        self._open = {id: one for id, one in self._open.items() if one.expires > now}
        session = Session(secrets.token_urlsafe(32), person, now + SESSION_LIFE)
        self._open[session.id] = session
        return session

    def find(self, id: str | None) -> Session | None:
        session = self._open.get(id or "")
        return session if session is not None and session.expires > self._now() else None

    def close(self, session: Session) -> None:
        self._open.pop(session.id, None)
