"""Which meetings leave a calendar, and what happens when they may not any more.

Only a meeting with a known outside person leaves the calendar. A private one never does, nor one with a blocked domain,
nor more of one than its level allows (`sidefeed.calendars.policy`). One that turns private is taken back from every CRM
and of its words only a hash stays. When everybody is busy is kept for the team calendar, without a word.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from sidefeed.calendars import Level, busy, copies, foreign, forget, tightest, uids
from sidefeed.calendars.policy import SECRET, TITLE_HIDES, publishes
from sidefeed.calendars.recurrence import SERIES
from sidefeed.calendars.rules import Rules
from sidefeed.mapping import ObjectMap
from sidefeed.sync.attribution import accounts, addresses, domain, internal, is_internal, marked_cancelled, people
from sidefeed.sync.match import keys_of
from sidefeed.workspace import DELETED, Draft, RecordState, Transaction
from sidefeed.workspace.clock import utc_text

if TYPE_CHECKING:
    from sidefeed.sync.batch import Batch
    from sidefeed.sync.observation import Observation
    from sidefeed.sync.report import Report

PAST, FUTURE = timedelta(days=30), timedelta(days=14)
"""Activities are written for this window only; a meeting that leaves it is left alone, never deleted."""

LONGEST = timedelta(days=14)
"""The longest Event that Salesforce takes; a longer meeting is a holiday or a campaign, and nobody's activity."""

UNMATCHED_KEPT = timedelta(days=30)
"""How long a meeting waits for one of its people to become known; after that it is dropped here."""


def admit(
    tx: Transaction, om: ObjectMap, live: list[Observation], report: Report, done: list[str]
) -> list[Observation]:
    """The observations that may enter the workspace. Calendars only: what a CRM already holds is no secret to it."""
    if not om.readonly or not live:
        return live
    return _Gate(tx, om, live, report, done).admit(live)


class _Gate:
    """The decisions about one batch of one calendar."""

    def __init__(
        self, tx: Transaction, om: ObjectMap, live: list[Observation], report: Report, done: list[str]
    ) -> None:
        self.tx = tx
        self.om = om
        self.report = report
        self.done = done
        self.now = tx.store.now()
        self.policy = tx.store.calendars
        self.rules = Rules(tx)
        self.internal = internal(tx)
        self.known = tx.known_as(om.system, live[0].stream, [one.id for one in live])
        self.unread: dict[str, bool] = {}
        self.copies = busy.levels(tx, {key for one in live if (key := one.values.get("key"))})

    def admit(self, live: list[Observation]) -> list[Observation]:
        admitted, blocks = [], []
        elsewhere: list[Observation] = []
        for one in live:
            one.mailbox = one.stream.partition("/")[2].casefold()
            one.people = tuple(addresses(one.values))
            one.organiser = one.values.get("organiser") or ""
            show_as, declined = one.values.pop("show_as", None), one.values.pop("declined", None)
            one.level = self._level(one)
            one.claim = foreign.claim(one.values.pop("marks", None) or (), self.policy)
            verdict = self._verdict(one, bool(declined))
            if (block := self._block(one, show_as or "busy", verdict)) is not None:
                blocks.append(block)
            if self._passes(one, verdict):
                self._narrow(one)
                admitted.append(one)
            if verdict != "admit" and not one.is_series:
                self.report.count(f"meetings_{verdict}")
            if verdict == foreign.ELSEWHERE and not one.is_series:
                elsewhere.append(one)
        self._tell(elsewhere)
        busy.note(self.tx, blocks)
        for one in live:
            feed = f"{self.om.system} {one.stream}"
            if (key := one.values.get("key")) and copies.loosened(self.copies[key].get((feed, one.id)), one.own_level):
                copies.look_again(self.tx, key, but=(self.om.system, one.stream, one.id))
        return admitted

    def _tell(self, elsewhere: list[Observation]) -> None:
        """Say once for each tool and mailbox what another tool files."""
        here = foreign.filed(self.tx, {key for one in elsewhere if (key := one.values.get("key"))})
        told: dict[tuple[str, str, bool], list[Observation]] = {}
        for one in elsewhere:
            if one.claim is not None:
                told.setdefault((one.claim.tool, one.mailbox, one.values.get("key") in here), []).append(one)
        for (tool, mailbox, filed), claimed in told.items():
            signs = [one.claim.mark for one in claimed if one.claim]
            days = [str((one.values.get("when") or {}).get("start") or "?")[:10] for one in claimed]
            self.report.problem(self.om.system, claimed[0].stream, mailbox, None, "two-tools",
                                foreign.advice(tool, mailbox, signs, days, filed=filed), "admin")

    def _passes(self, one: Observation, verdict: str) -> bool:
        if verdict == "admit":
            return True
        if verdict in ("private", "blocked"):
            for record in self._published(one):
                retract(self.tx, record, f"it is {verdict} in the calendar of {one.mailbox}")
            self.done.append(one.id)
            return False
        if verdict == "unmatched":
            self._wait(one)
            return False
        if verdict == foreign.ELSEWHERE and one.claim and not (one.is_series and one.id in self.known):
            self._hold(one, one.claim.tool)
            return False
        if one.id in self.known and verdict in ("internal", "declined"):
            return self._is_over(one, verdict)
        if verdict == "later" and one.id not in self.known:
            self.tx.postpone(self.om.system, one.stream, one.id, until=self._opens(one), waiting_for="its time to come")
            return False
        if one.id in self.known:
            return True  # already published: later changes still count
        self.done.append(one.id)
        return False

    def _is_over(self, one: Observation, verdict: str) -> bool:
        """A published meeting that its owner declined, or whose guests were all taken out. Nothing that it became since
        leaves; where no colleague goes either, it is called off. One that was planned here has no guests in the
        calendar, and goes on."""
        state = self.tx.record(self.known[one.id][0])
        if verdict == "internal" and state is not None and state.values.get("planned_in"):
            return True
        self.done.append(one.id)
        if state is None or state.deleted or one.is_series:
            return False
        had_guests = not all(is_internal(address, self.internal) for address in addresses(state.values))
        says = one.organiser in ("", one.mailbox) and had_guests if verdict == "internal" else (
            not copies.somebody_goes(self.tx, str(one.values.get("key")), but=one.mailbox))
        if says:
            call_off(self.tx, self.om, state, self.now, f"{verdict} in the calendar of {one.mailbox}")
        return False

    def _hold(self, one: Observation, tool: str) -> None:
        """Another tool files it. Of one that was filed here before, what the calendar says now waits too, until nobody
        cares any more."""
        starts, _ends = _span(one)
        if starts is not None and starts < self.now - PAST:
            self.done.append(one.id)
            return
        self.tx.postpone(self.om.system, one.stream, one.id, until=self.now + timedelta(hours=1),
                         waiting_for=foreign.waits_for(tool))
        for link in self.tx.links(self.om.system, one.stream, [
                self.known[one.id][0]] if one.id in self.known else []).values():
            link.digest = None  # what was absorbed last is looked at again once it is back without the mark
            self.tx.save_link(link)

    def _wait(self, one: Observation) -> None:
        """Nobody of it is known yet. It waits here, in no CRM, and not for ever."""
        if one.attempts * timedelta(hours=1) > UNMATCHED_KEPT:
            self.done.append(one.id)
            return
        self.tx.postpone(self.om.system, one.stream, one.id, until=self.now + timedelta(hours=1),
                         waiting_for="a known outside attendee")

    def _published(self, one: Observation) -> list[str]:
        """Records that this meeting is, whichever calendar brought them; of a series all its occurrences, those too
        that take place no more or lie where no calendar is read any more."""
        found = {self.known[one.id][0]} if one.id in self.known else set()
        if one.is_series:
            found.update(self.tx.records_below(self.om.system, one.stream, one.id))
        keys = keys_of([("key",)], {"key": one.values.get("key")})
        for records in self.tx.by_natural_keys(SERIES if one.is_series else "meeting", keys).values():
            found.update(records)
        return sorted(found)

    def _level(self, one: Observation) -> Level:
        """The tightest of what the calendar, the administrator and the people say, over every copy of the meeting."""
        own: Level = "full" if (one.values.get("sensitivity") or "normal") == "normal" else "none"
        key = one.values.get("key")
        others = [level for (feed, id), level in self.copies.get(key or "", {}).items()
                  if (feed, id) != (f"{self.om.system} {one.stream}", one.id)]
        one.own_level = tightest(own, self.rules.privacy(key, one.mailbox))
        return tightest(one.own_level, self.policy.privacy, *others)

    def _verdict(self, one: Observation, declined: bool) -> str:
        if not publishes(one.level):
            return "private"
        outside = [address for address in one.people if not is_internal(address, self.internal)]
        if any(self.policy.blocks(domain(address)) for address in one.people):
            return "blocked"
        if one.claim and one.id in self.known:
            return foreign.ELSEWHERE
        if not outside:
            return "internal"
        starts, ends = _span(one) if not one.is_series else (None, None)
        if starts is not None and starts > self.now + FUTURE:
            return "later"
        if starts is not None and starts < self.now - PAST:
            return "past"
        if starts is not None and ends is not None and ends - starts > LONGEST:
            return "too_long"
        if declined:
            return "declined"
        if not people(self.tx, outside) and not accounts(self.tx, outside):
            return "unmatched"
        return foreign.ELSEWHERE if one.claim else "admit"

    def _block(self, one: Observation, show_as: str, verdict: str) -> dict[str, Any] | None:
        when = one.values.get("when") or {}
        if one.is_series:
            when = {"start": busy.NEVER, "end": busy.NEVER}
        if not when.get("start") or not one.mailbox:
            return None
        return {"system": self.om.system, "object": one.stream, "external_id": one.id, "mailbox": one.mailbox,
                "key": one.values.get("key"), "start": when["start"], "end": when.get("end") or when["start"],
                "all_day": bool(when.get("all_day")), "show_as": show_as, "level": one.own_level, "verdict": verdict}

    def _opens(self, one: Observation) -> datetime | None:
        starts, _ends = _span(one)
        return starts - FUTURE if starts else None

    def _narrow(self, one: Observation) -> None:
        """Only as much as the level allows. An attendee's copy says only that the meeting is there, where the
        organiser's own calendar is read too."""
        if one.organiser and one.organiser != one.mailbox and self._organiser_tells(one):
            one.values = {"key": one.values.get("key")}
        elif one.level == "title":
            one.values |= {name: None for name in TITLE_HIDES if name in one.values}


    def _organiser_tells(self, one: Observation) -> bool:
        """Whether the organiser's own calendar is read and has the meeting: one that fails holds back nobody else's."""
        if not self.tx.records_known_as(self.om.system, "user", [one.organiser]):
            return False
        object = f"{one.stream.partition('/')[0]}/{one.organiser}"
        feed = f"{self.om.system} {object}"
        if any(feed == where for where, _id in self.copies.get(one.values.get("key") or "", {})):
            return True
        if object not in self.unread:  # it may be among what is absorbed after this
            self.unread[object] = feed not in self.report.failed and bool(self.tx.inbox_ids(self.om.system, object))
        return self.unread[object]


def tell_shared_uids(batch: Batch, seen: list[Observation]) -> None:
    """Name the meetings of a calendar that have a UID with another of it, once its deletions are known."""
    keys = {key for one in seen if one.state == "live" and (key := one.values.get("key"))}
    for one in uids.shared(batch.tx, batch.system, batch.stream.name, keys):
        batch.report.problem(batch.system, batch.stream.name, one.mailbox, None, "uid-shared", str(one))


def _span(one: Observation) -> tuple[datetime | None, datetime | None]:
    when = one.values.get("when") or {}
    all_day = bool(when.get("all_day"))
    return _moment(when.get("start"), all_day), _moment(when.get("end"), all_day)


def _moment(text: str | None, all_day: bool) -> datetime | None:
    if not text:
        return None
    return datetime.combine(date.fromisoformat(text), time(), UTC) if all_day else datetime.fromisoformat(text)


def retract(tx: Transaction, record: str, reason: str, *, actor: str = "policy:private") -> None:
    """Take a meeting back from every CRM, and have its words forgotten.

    What only we wrote is deleted there. Where people wrote in it, what came from the calendar is emptied and their
    part stays.
    """
    state = tx.records([record])[record]
    if state.deleted or state.values.get("withdrawn"):
        return
    theirs = _written_by_people(tx, state)
    fields: dict[str, Any] = {
        name: None for name in SECRET if state.values.get(name) not in (None, []) and name not in theirs}
    fields["withdrawn"] = True
    if theirs:
        fields["status"] = "cancelled"
    else:
        fields[DELETED] = True
    tx.append([Draft(state.entity, record, fields, actor, "policy", reason=reason)])
    forget.begin(tx, record)
    if state.entity == SERIES:  # its rule goes with its words
        for system, object, _id, _role in tx.roles_of(record):
            tx.save_base(system, object, record, {})
    for row in tx.questions():
        left = [meeting for meeting in row["evidence"].get("meetings", row["evidence"].get("records", ()))
                if meeting != record]
        if row["system"] == "workspace" and not left:
            tx.drop_question(row["system"], row["object"], row["external_id"])


def _written_by_people(tx: Transaction, state: RecordState) -> set[str]:
    """Fields of a meeting whose current value somebody wrote in a CRM; nobody writes a series there."""
    if state.entity == SERIES:
        return set()
    calendars = {link.system for link in tx.links_of(state.id) if "/" in link.object}
    heads = {rev: name for name in state.values for rev in state.heads_of(name)}
    return {heads[rev] for rev, change in tx.head_details(heads).items()
            if change.source not in {*calendars, "policy", "workspace", "import"}}


def cancelled(tx: Transaction, om: ObjectMap, state: RecordState, now: datetime) -> None:
    """A meeting deleted from its calendar: a future one is cancelled, a past one stays as it was."""
    if not [link for link in tx.links_of(state.id) if "/" in link.object and link.state == "live"]:
        call_off(tx, om, state, now, "deleted from the calendar")


def call_off(tx: Transaction, om: ObjectMap, state: RecordState, now: datetime, reason: str) -> None:
    """A meeting that has not begun is cancelled; one that has stays as it was."""
    start = str((state.values.get("when") or {}).get("start") or "")
    if start > utc_text(now)[:len(start)] and state.values.get("status") != "cancelled":
        tx.append([Draft("meeting", state.id, {"status": "cancelled", **marked_cancelled(state)}, om.system, om.system,
                         reason=reason)])
