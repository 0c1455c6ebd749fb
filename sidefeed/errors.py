"""The registry of error codes: what each one means, who must act, what mends it, and when Sidefeed tries again.

A code is stable text for programs. The core's codes stand here; a connector brings those of its system as ``codes``, a
tuple of `ErrorCode`. A code that nobody listed is explained by the class of the contract's error it came with.
``docs/errors.md`` is made from this registry by ``sidefeed errors --markdown``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from functools import cached_property
from typing import Literal

Owner = Literal["ops", "admin", "rep"]
Retry = Literal["next-run", "lanes", "nightly", "content", "looked-up"]

RETRY: dict[Retry, str] = {
    "next-run": "The next run tries again.",
    "lanes": "Every 20 minutes up to 10 times, then every night.",
    "nightly": "Every night, because what mends it cannot be seen from here.",
    "content": "When the value, the mapping or the record it needs changes.",
    "looked-up": "Never sent again blindly: what the system holds is read first.",
}
QUICK_TRIES = 10
QUICK_WAIT = timedelta(minutes=20)
NIGHT = time(3, 0)
"""When the nightly lane opens, in UTC: after the last rep of America went home, before the first of Europe comes."""


@dataclass(frozen=True, slots=True)
class ErrorCode:
    """One code. ``owner`` is who can mend it: ops (settings, mapping), admin (of the system), rep (the value)."""

    code: str
    cause: str
    owner: Owner
    fix: str
    retry: Retry

    def next_try(self, attempts: int, now: datetime) -> datetime | None:
        """When a refusal that was met ``attempts`` times is asked again by itself; None: when its content changes."""
        if self.retry == "lanes" and attempts <= QUICK_TRIES:
            return now + QUICK_WAIT
        if self.retry in ("lanes", "nightly"):
            tonight = datetime.combine(now.date(), NIGHT, now.tzinfo)
            return tonight if tonight > now else tonight + timedelta(days=1)
        return None


def alike(retry: Retry, rows: Iterable[tuple[str, str, Owner, str]]) -> tuple[ErrorCode, ...]:
    """Codes with one retry rule, from rows of (code, cause, owner, fix)."""
    return tuple(ErrorCode(code, cause, owner, fix, retry) for code, cause, owner, fix in rows)


class Codes:
    """The core's codes and those of the connectors at hand, which ``more`` gives when a code is first asked for."""

    def __init__(self, more: Iterable[ErrorCode] = ()) -> None:
        self._more = more

    @cached_property
    def _by_code(self) -> dict[str, ErrorCode]:
        return {one.code: one for one in (*CORE, *self._more)}

    def __contains__(self, code: str) -> bool:
        return code in self._by_code

    def explain(self, code: str, kind: str = "") -> ErrorCode:
        """The meaning of a code; where nobody listed it, that of ``kind``, the class of error it came with."""
        found = self._by_code.get(code) or self._by_code.get(kind) or self._by_code["connector-error"]
        return found if found.code == code else ErrorCode(code, found.cause, found.owner, found.fix, found.retry)

    def all(self) -> list[ErrorCode]:
        return list(self._by_code.values())


def markdown(groups: Iterable[tuple[str, str, Iterable[ErrorCode]]]) -> str:
    """The page of every code: (heading, introduction, codes) a group."""
    parts = [_INTRODUCTION, "## When Sidefeed tries again\n", "| rule | meaning |\n|---|---|",
             *(f"| {rule} | {meaning} |" for rule, meaning in RETRY.items())]
    for heading, introduction, codes in groups:
        rows = sorted(codes, key=lambda one: one.code.casefold())
        if rows:
            parts += [f"\n## {heading}\n", introduction + "\n", "| code | what happened | who | what to do | retry |",
                      "|---|---|---|---|---|",
                      *(f"| `{one.code}` | {one.cause} | {one.owner} | {one.fix} | {one.retry} |" for one in rows)]
    return "\n".join(parts) + "\n"


_INTRODUCTION = """\
# Errors

Made from the code by `sidefeed errors --markdown`; do not edit. `sidefeed errors CODE` explains one code on the spot,
and `sidefeed status` shows every refused record with its code, who must act and what mends it.

*Who* is **ops** (settings and mapping), **admin** (of the system that refused) or **rep** (whoever owns the value).
A refusal is remembered by content: the same value is not sent again until the rule in the last column says so, the
value, the mapping or the record it points to changes, or somebody says `sidefeed retry`. Retries of refused records
stop when a system's API budget is used to 75 %.
"""

_CONTRACT = (
    ErrorCode("connector-error", "The system answered in a way its documentation does not name.", "ops",
              "Read the message; if it stays, keep the run's log and report it.", "lanes"),
    ErrorCode("authentication-failed", "The system refused our credentials; nothing more was asked of it.", "ops",
              "Renew the credentials in the project's settings.", "next-run"),
    ErrorCode("permission-denied", "The integration user may not see or change this.", "admin",
              "Grant the right that the message names to the integration user.", "nightly"),
    ErrorCode("quota-exhausted", "The day's API calls are used up.", "ops",
              "Nothing: the work goes on when the quota returns. If it happens often, raise the quota or lower other "
              "programs' use.", "next-run"),
    ErrorCode("rate-limited", "The system asked to slow down.", "ops", "Nothing: the next run goes on.", "next-run"),
    ErrorCode("locked", "Somebody else was writing the same record at the same moment.", "ops",
              "Nothing, unless it stays: then look for a process in the system that holds the record.", "lanes"),
    ErrorCode("unavailable", "The system could not answer; nothing was changed there.", "ops",
              "Nothing, unless it stays: then look at the system's status page and at the network.", "lanes"),
    ErrorCode("unknown-outcome", "The answer to a write was lost, so it may have happened or not.", "ops",
              "Nothing: the next run looks for the record by its key.", "looked-up"),
    ErrorCode("cursor-expired", "The system no longer knows how far it was read.", "ops",
              "Nothing: everything is read again.", "next-run"),
    ErrorCode("conflict", "The record changed between our reading and our writing.", "ops",
              "Nothing: it is read again and decided again.", "looked-up"),
    ErrorCode("gone", "The record is not in the system any more.", "ops",
              "Nothing: the deletion or merge is read and followed.", "looked-up"),
    ErrorCode("duplicate", "The system says that this record is there already.", "rep",
              "Look at the question in `sidefeed status`: link the two, or merge them in the system.", "nightly"),
    ErrorCode("invalid", "The system refuses this value.", "rep", "Correct the value in the workspace or a system.",
              "content"),
)

_ACCESS = alike("next-run", (
    ("bad-setting", "A setting of the connector is missing or wrong; nothing was asked of the system.", "ops",
     "Correct the setting that the message names in sidefeed.toml."),
    ("key-field-missing", "The system has no field for Sidefeed's key, so creating is not safe.", "admin",
     "Run `sidefeed prepare`, or create the field that the message names."),
    ("malformed-id", "An id in a reference or a setting is not of the system's form; it was not sent.", "ops",
     "Map the field that holds the id, or correct the id."),
    ("malformed-name", "The name of an object or field in the mapping is not of the system's form.", "ops",
     "Correct the name in the mapping file."),
    ("no-connection", "The system's address does not answer.", "ops",
     "Check the address in sidefeed.toml, the network and any proxy."),
    ("odd-answer", "An answer cannot be the system's: an id of another form, a list that leads back to where it was. "
     "Nothing of it was used.", "ops", "See whether a proxy changes answers, or the API version is old."),
    ("read-only", "The system does not let programs change this.", "ops", "Mark it readonly in the mapping."),
    ("request-too-long", "The request had more fields than fit one address.", "ops",
     "Map fewer fields of that object."),
    ("tls-failed", "The certificate of the system's address is not trusted.", "ops",
     "Check the address; for an authority of your own, give its certificate as `ca_file`."),
))

_SYNC = (
    ErrorCode("skipped", "A guard stopped this write, and a person skipped it.", "ops",
              "Nothing, or correct the value or mapping; `sidefeed retry --code skipped` writes it again.", "content"),
    ErrorCode("out-of-reach", "A record can no longer be seen: hidden from the integration user, or deleted for good.",
              "admin", "Give the integration user the right to see it, or delete its copies by hand.", "looked-up"),
    ErrorCode("clock-ahead", "A record's modification time lies in the future.", "ops",
              "Set the clock of that system, or of this machine.", "looked-up"),
    ErrorCode("required-missing", "The system creates no such record without a field that is blank here.", "rep",
              "Fill the field in, or give it a default in the mapping.", "content"),
    ErrorCode("unresolved", "The record points to one that is not known on the other side.", "admin",
              "Add the record it points to there, or point it to another.", "nightly"),
    ErrorCode("undone", "An undo took this back, so it is not written again.", "ops",
              "Nothing, or correct the value or mapping; `sidefeed retry --code undone` writes it again.", "content"),
    ErrorCode("two-tools", "Another tool marked these meetings as its own to file in a CRM.", "admin",
              "Switch it off for the mailbox, or name it in `accepted_tools` under [calendars].", "lanes"),
    ErrorCode("uid-shared", "Several meetings of one calendar have one UID, so copies of them cannot be told apart.",
              "rep", "Make one of them anew, as a new meeting, in the calendar of whoever organises them.", "lanes"),
    ErrorCode("budget-share", "The system's share of the day's API calls is used; work is left for the next run.",
              "ops", "Nothing, or raise `daily_calls` or `share` under [budget] in sidefeed.toml.", "next-run"),
)

_MAPPING = alike("content", (
    ("ambiguous-code", "A short name of a country or state stands for several places.", "rep",
     "Write the name out, or say the country beside the state."),
    ("ends-before-start", "The meeting ends before it starts.", "rep", "Correct its times."),
    ("holds-separator", "A value holds the character that separates values in that field.", "rep",
     "Rename the value, or choose another separator in the mapping."),
    ("no-currency", "An amount stands without its currency.", "rep",
     "Set the currency, or `default_currency` in the mapping."),
    ("no-such-day", "That day was skipped in that time zone.", "rep", "Choose another day."),
    ("not-a-boolean", "The value is neither yes nor no.", "rep", "Correct the value, or the mapping's table of it."),
    ("not-a-date", "The value is not a date.", "rep", "Correct the value, or map it as date and time."),
    ("not-a-datetime", "The value is not a date and time.", "rep", "Correct the value, or map it as a date."),
    ("not-a-list", "The value is not a list.", "ops", "Correct the mapping's lens for the field."),
    ("not-a-number", "The value is not a number.", "rep", "Correct the value."),
    ("not-a-time", "The value is not a start and an end.", "rep", "Correct the meeting's times."),
    ("not-a-url", "The value is not a web address.", "rep", "Correct the address."),
    ("not-an-address", "The value is not a postal address.", "ops", "Correct the mapping's lens for the field."),
    ("not-an-email", "The value is not an e-mail address.", "rep", "Correct the address."),
    ("not-an-id", "A reference holds something that is no id.", "ops", "Map the field that holds the id."),
    ("not-money", "The value is not an amount with its currency.", "rep", "Give both amount and currency."),
    ("not-text", "The value is not text.", "ops", "Correct the mapping's lens for the field."),
    ("one-way", "The mapping reads this field and never writes it.", "ops", "Nothing, or map it both ways."),
    ("other-entity", "The reference points to a kind of record that the field cannot hold.", "rep",
     "Point it to a record of the kinds the message names."),
    ("other-currency", "The amount is in another currency than the system's field holds.", "rep",
     "Enter the amount in that currency, or map a currency field."),
    ("out-of-calendar", "The time cannot be written in that zone's calendar.", "rep", "Correct the date."),
    ("reads-as-all-day", "The system would take this meeting for an all-day one.", "rep",
     "Move its start or end by a minute, or make it all-day."),
    ("several", "The field points to several records, and one is meant.", "rep", "Leave one of them."),
    ("stands-for-blank", "The value is the one that means blank in that field.", "rep", "Write it in another way."),
    ("too-long", "The text is longer than the system's field.", "rep",
     "Shorten the text, or map it with `too_long: truncate`."),
    ("too-many-digits", "The number has more digits than are kept.", "rep", "Round the number."),
    ("too-precise", "The number has more decimals than the system's field.", "rep",
     "Round the number, or map it with `too_precise: round`."),
    ("unknown-value", "The value is not in the mapping's table for the field.", "ops",
     "Add the value to the table in the mapping file."),
))

CORE: tuple[ErrorCode, ...] = (*_CONTRACT, *_ACCESS, *_SYNC, *_MAPPING)

GROUPS = (
    ("What every system can say", "These come with every connector. A system's own code that is not listed below is "
     "treated as the one of these that it was sorted into; the message then says both.", _CONTRACT),
    ("Settings and access", "The system could not be asked at all, or not as the settings and the mapping say.",
     _ACCESS),
    ("What a run can say", "These are decided here, before or after a system is asked.", _SYNC),
    ("Values that cannot cross", "A lens of the mapping could not translate the value; the rest of the record went "
     "on.", _MAPPING),
)
