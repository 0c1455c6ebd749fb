"""What every page has: the workspace, the board, who is looking, and how a page is made."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import parse_qsl, quote, urlencode

import jinja2
from fastapi import Depends, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from sidefeed.forecast.periods import Calendar
from sidefeed.forecast.view import local_day
from sidefeed.mapping import FieldSpec, MappingErrors
from sidefeed.mapping import Mapping as Mappings
from sidefeed.sync.flips import parked_fields
from sidefeed.web import wording
from sidefeed.web.access import Person, Session, Sessions
from sidefeed.web.board import Board, Snapshot, label, owner_ids
from sidefeed.web.converted import Converter
from sidefeed.workspace import RecordState, Store, Transaction

HERE = Path(__file__).parent
LARGEST_FORM = 64 * 1024
WHICH = ("match", "duplicate")
"""Kinds of question that ask which record an object is; those about meetings stand on the page of whose they are."""
HIDDEN = "hidden"
"""What stands where the person's role may not see an amount."""


class NotSignedIn(Exception):
    """Nobody is signed in; the answer is the way to sign in."""


def url(path: str, **query: Any) -> str:
    """An address with the parts of its query that say something."""
    wanted = urlencode({key: value for key, value in query.items() if value not in ("", None)})
    return quote(path) + (f"?{wanted}" if wanted else "")


@dataclass(frozen=True, slots=True)
class Files:
    """Where the mapping files stand, and how they are read."""

    folder: Path
    load: Callable[[], Mappings]

    def stamp(self) -> tuple[tuple[str, int, int], ...]:
        """What changes with any change of the files; cheap enough for every page."""
        return tuple((str(path), found.st_mtime_ns, found.st_size) for path in sorted(self.folder.rglob("*.y*ml"))
                     if (found := path.stat()))


class Desk:
    """One workspace and the people who may look at it. ``files`` are the mapping files, where the server may be asked
    to write a rule into them; ``systems`` those that the project connects to, where that is known."""

    def __init__(self, store: Store, mappings: Mappings, people: Mapping[str, Person], *, secure: bool = False,
                 cookie: str = "sidefeed", calendar: Calendar | None = None, files: Files | None = None,
                 systems: Collection[str] | None = None, currency: str = "", zone: str = "UTC") -> None:
        self.store = store
        self.currency = currency
        """The reporting currency; empty keeps each currency apart."""
        self.zone = zone
        self.files = files
        self._systems = systems
        self.people = dict(people)
        self.secure = secure
        self.cookie = cookie
        self.board = Board(store, mappings, calendar)
        self.converter = Converter()
        self.unread = ""
        """Why the mapping files as they stand now cannot be read; empty where they can."""
        self._stamp = files.stamp() if files is not None else ()
        self.sessions = Sessions(store.now)
        self.templates = _templates()

    @property
    def mappings(self) -> Mappings:
        return self.board.mappings

    def uses(self, system: str) -> bool:
        """Whether the project connects to a system: there may be mapping files of others."""
        return self._systems is None or system in self._systems

    def adopt(self, mappings: Mappings) -> None:
        """Go on with another mapping."""
        self.board.adopt(mappings)

    def follow_files(self) -> None:
        """Go on with the mapping files where somebody changed them. Files that cannot be read leave what was known."""
        if self.files is None:
            return
        try:
            stamp = self.files.stamp()
            if stamp == self._stamp:
                return
            self._stamp = stamp
            self.adopt(self.files.load())
        except (MappingErrors, OSError) as error:
            self.unread = str(error)
        else:
            self.unread = ""

    def spec(self, entity: str, field: str) -> FieldSpec | None:
        known = self.mappings.entities.get(entity)
        return known.fields.get(field) if known is not None else None

    def names(self, tx: Transaction, ids: set[str]) -> dict[str, str]:
        """Record -> what to call it, in one query."""
        return {id: label(state) for id, state in tx.records(ids).items()}


def _templates() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(
        amount=wording.amount, signed=wording.signed, short=wording.short, day=wording.day, moment=wording.moment,
        words=wording.words, instant=wording.instant, quarter=wording.quarter)
    environment.globals.update(many=wording.many, url=url)
    return environment


@dataclass(slots=True)
class Visitor:
    """Somebody who is signed in, and the deals as of this page."""

    desk: Desk
    request: Request
    session: Session
    snapshot: Snapshot
    owners: frozenset[str] | None
    decides: frozenset[str] | None
    now: datetime

    @property
    def person(self) -> Person:
        return self.session.person

    @property
    def today(self) -> date:
        """The day where the company is."""
        return local_day(self.now, self.desk.zone)

    def sees(self, state: RecordState) -> bool:
        """Colleagues are known to everybody; what else there is, to those who see its owner's deals."""
        return state.entity == "user" or self.owners is None or (state.values.get("owner") or "") in self.owners

    def may_decide(self, entity: str, owner: str, field: str) -> bool:
        return self.may_see_field(entity, field) and (self.decides is None or owner in self.decides)

    def may_rule(self, entity: str, field: str) -> bool:
        """A rule decides for everybody: whoever decides everything may make one."""
        return self.decides is None and self.may_see_field(entity, field)

    def may_see_field(self, entity: str, field: str) -> bool:
        spec = self.desk.spec(entity, field)
        return self.person.sees_amounts or spec is None or spec.type != "money"

    def shown(self, entity: str, field: str, value: Any, names: Mapping[str, str]) -> str:
        if not self.may_see_field(entity, field):
            return HIDDEN
        return wording.shown(value, self.desk.spec(entity, field), names)

    def age(self, moment: str | None) -> str:
        return wording.age(moment, self.now)

    def kind(self, entity: str) -> str:
        known = self.desk.mappings.entities.get(entity)
        return (known.label if known is not None else "") or wording.words(entity)

    def source(self, name: str) -> str:
        return wording.system(name)

    def by(self, source: str, actor: str | None) -> str:
        """Where a value came from and who wrote it there; a system that does not say who is named once."""
        who = self.who(actor) if actor and actor != source else ""
        return f"{self.source(source)}, {who}" if who else self.source(source)

    def who(self, actor: str) -> str:
        """An actor as a name: a colleague's address or id becomes the colleague."""
        for id, (name, email) in self.snapshot.users.items():
            if actor and actor.lower() in (id, email):
                return name
        return actor

    def waiting(self) -> dict[str, int]:
        """What waits for this person, for the navigation."""
        disputed = sum(len(one.fields) for one in self.snapshot.disputed.values()
                       if self.owners is None or one.owner in self.owners)
        with self.desk.store.read() as tx:
            parked = parked_fields(tx)
            flipping = sum(len(parked[id].difference(state.conflicts)) for id, state in tx.records(set(parked)).items()
                           if self.sees(state)) if parked else 0
            asked = tx.count_questions(WHICH) if self.person.answers_questions else 0
        return {"conflicts": disputed + flipping + asked}

    def render(self, template: str, **values: Any) -> HTMLResponse:
        alone = template.startswith("parts/") and not self.request.headers.get("hx-request")
        page = self.desk.templates.get_template("part.html" if alone else template).render(
            part=template, me=self.person, visitor=self, csrf=self.session.form_token(), path=self.request.url.path,
            notices=self.session.take_notices(), waiting=self.waiting(), as_of=self.snapshot.as_of,
            link=self.link, difference=self.difference, **values)
        return HTMLResponse(page)

    def link(self, **changes: Any) -> str:
        """This page's address with other values in its query; blank ones are left out, and the page begins anew."""
        return url(self.request.url.path, **{**dict(self.request.query_params), "page": "", **changes})

    def difference(self, row: Mapping[str, Any], side: str) -> str:
        """One side of a row of a bridge or waterfall, in words."""
        field, value = row["field"], row[side]
        if field in (None, "amount", "currency") and not self.person.sees_amounts:
            return "" if value is None else HIDDEN
        if value is None:
            return "" if field is None else "blank"
        if field in (None, "amount"):
            return wording.amount(value)
        if field == "close_date":
            return wording.day(value)
        return self.snapshot.owner_name(value) if field == "owner_id" else wording.words(str(value))

    def back(self, to: str, notice: str = "") -> RedirectResponse:
        if notice:
            self.session.notices.append(notice)
        return RedirectResponse(to, status_code=303)


def desk_of(request: Request) -> Desk:
    found: Desk = request.app.state.desk
    return found


def signed_in(request: Request) -> Visitor:
    """The person whose session this is. Raises NotSignedIn."""
    desk = desk_of(request)
    session = desk.sessions.find(request.cookies.get(desk.cookie))
    if session is None:
        raise NotSignedIn
    desk.follow_files()
    snapshot = desk.board.now()
    person = session.person
    return Visitor(desk, request, session, snapshot, owner_ids(snapshot, person.sees),
                   owner_ids(snapshot, person.decides), desk.store.now())


SignedIn = Annotated[Visitor, Depends(signed_in)]


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a form sent as ``application/x-www-form-urlencoded``. Raises HTTPException for anything else."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip()
    if kind != "application/x-www-form-urlencoded":
        raise HTTPException(415, "This address takes forms only.")
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_FORM:
            raise HTTPException(413, "That was too long. Shorten the text and send it again.")
    try:
        return dict(parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=50))
    except ValueError:
        raise HTTPException(400, "The form could not be read.") from None


async def posted(request: Request, visitor: SignedIn) -> dict[str, str]:
    """The fields of a form that came from a page of this session."""
    form = await read_form(request)
    if not visitor.session.owns(form.pop("csrf", "")):
        raise HTTPException(403, "This form did not come from a page of this session. Nothing was changed. Open the "
                                 "page again and send the form from there.")
    return form


Posted = Annotated[dict[str, str], Depends(posted)]
