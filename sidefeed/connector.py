"""What a connector is: the contract between the core and the module that speaks one outside system's API.

Words used here (the whole vocabulary stands in ``docs/architecture.md``):

object
    A kind of thing in the outside system, by the system's own name: ``Opportunity``, ``deals``, ``calendar``.
partition
    A part of an object that is read and written on its own, for systems that keep one per person: a mailbox
    address. Empty for systems that hold an object in one piece. Each partition has its own cursor and its own links.
raw value
    A field's value in the system's own terms: ``str``, ``bool``, ``int``, ``None``, or lists and dicts of these.
    Numbers with a fraction are decimal strings, dates and times are the system's own text: never a float, never a
    ``datetime``. ``None`` is blank. A field that is *missing* from a mapping is unknown, which is not blank.
cursor
    Opaque text that only the connector reads. The core stores it in the transaction that stores the page.

What a connector promises
    It gives plain data and the error classes below; it never leaks a type of the library it uses, never logs a secret
    or a private subject, never decides a policy, and never repeats a call that may have had an effect.

The errors, ordered by what the caller should do::

    ConnectorError
    |-- AuthenticationFailed      stop this system; a person must renew the credentials
    |-- PermissionDenied          stop this object; an administrator must grant a right
    |-- QuotaExhausted            stop this system until `until`
    |-- RateLimited               wait `retry_after` seconds, then repeat
    |-- Locked                    repeat this record later
    |-- Unavailable               repeat later; the call had no effect
    |-- UnknownOutcome            the call may have had an effect: look before anything else
    |-- CursorExpired             read everything again
    |-- OddAnswer                 use nothing of it; read again in the next run
    |-- Conflict                  the record moved since it was read: read it again, decide again
    |-- Gone                      the record is not there any more
    |-- Duplicate                 the system says this record exists already (`of`)
    `-- Invalid                   the system refuses this value (`field`, `rule`); a person must act
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol, runtime_checkable

Raw = Mapping[str, Any]


class ConnectorError(Exception):
    """Base of everything a connector raises. ``message`` is for the person who must act.

    ``code`` is stable text for programs (the class's own code, or the system's, such as ``DUPLICATES_DETECTED``);
    ``owner`` says who can mend it: ``ops``, ``admin`` or ``rep``.
    """

    code = "connector-error"
    owner = "ops"

    def __init__(self, message: str, *, code: str | None = None, owner: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code
        if owner is not None:
            self.owner = owner


class AuthenticationFailed(ConnectorError):
    code = "authentication-failed"


class PermissionDenied(ConnectorError):
    code = "permission-denied"
    owner = "admin"


class QuotaExhausted(ConnectorError):
    code = "quota-exhausted"

    def __init__(self, message: str, *, until: datetime | None = None, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.until = until


class RateLimited(ConnectorError):
    code = "rate-limited"

    def __init__(self, message: str, *, retry_after: float | None = None, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.retry_after = retry_after


class Locked(ConnectorError):
    code = "locked"


class Unavailable(ConnectorError):
    code = "unavailable"


class NoConnection(Unavailable):
    """The system's address answers nobody: nothing was sent, and nothing that follows will be."""

    code = "no-connection"


class UnknownOutcome(ConnectorError):
    code = "unknown-outcome"


class CursorExpired(ConnectorError):
    code = "cursor-expired"


class OddAnswer(ConnectorError):
    """What came back cannot be the system's: an id of another form, a list that leads back to where it was."""

    code = "odd-answer"


class Conflict(ConnectorError):
    code = "conflict"


class Gone(ConnectorError):
    code = "gone"


class Duplicate(ConnectorError):
    code = "duplicate"
    owner = "rep"

    def __init__(self, message: str, *, of: Sequence[str] = (), code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.of = tuple(of)


class Invalid(ConnectorError):
    code = "invalid"
    owner = "rep"

    def __init__(
        self, message: str, *, field: str | None = None, rule: str | None = None, code: str | None = None,
        owner: str | None = None,
    ) -> None:
        super().__init__(message, code=code, owner=owner)
        self.field = field
        self.rule = rule


State = Literal["live", "deleted", "left", "private"]
"""``left``: it is there, and does not meet the scope any more. That is no deletion. ``private``: a contact is there,
and kept to themselves by whoever has it; nothing else is told of it, and nothing is written to it."""


@dataclass(slots=True)
class Remote:
    """One observation of one object of the outside system.

    ``values`` is None where the feed told only that the id changed (the core fetches it by id). ``merged_into`` is the
    surviving id where the system merged this one away; such a record is never reported as a plain deletion.
    ``version`` is the system's own concurrency token (modification stamp, ETag, change key) or empty.
    ``actor`` is the system's own id or address of the person who changed it last, where known.

    A calendar that is asked for the field ``Recurrence`` tells each series too, beside its occurrences: under an id
    with which the ids of its occurrences begin, with the values of its master, and in ``Recurrence`` how it recurs
    (None where that may not be told); one that changed in the same round as what became of its occurrences. Of a
    private series nothing leaves, so each of its occurrences is private, and one asked for by id is told as
    private, whether it takes place or not.

    Nobody changes one. That is not enforced: to make a frozen one takes three times as long, a fifth of what it costs
    to read a record.
    """

    id: str
    values: Raw | None = None
    version: str = ""
    modified: datetime | None = None
    state: State = "live"
    merged_into: str | None = None
    actor: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Some changed records, and the cursor that is true once they are stored.

    ``last`` is true on the page that reaches the present. ``complete_to`` is the instant, by the server's clock, up
    to which the feed is complete once this page is stored (None when not known before the last page).
    """

    records: tuple[Remote, ...]
    cursor: str
    last: bool = False
    complete_to: datetime | None = None


@dataclass(frozen=True, slots=True)
class Write:
    """One intended create, update or delete.

    ``key`` correlates the outcome (unique in one batch). On a create ``external_key`` is the idempotency key,
    ``<record id>:<generation>``, that the connector stores in the system's key field. On an update or delete
    ``external_id`` names the target, ``version`` the version the change was decided on, and ``expected`` the raw values
    that the fields written (and only those) were last seen to hold.
    ``values`` holds raw values by field; None clears a field. ``mail`` says whether the people in a meeting may be told
    of it; without it nobody is.
    """

    key: str
    op: Literal["create", "update", "delete"]
    values: Raw = field(default_factory=dict)
    external_id: str | None = None
    external_key: str | None = None
    version: str = ""
    expected: Raw = field(default_factory=dict)
    mail: bool = False


OutcomeStatus = Literal["done", "refused", "stale", "retry", "unknown"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the system said to one write. Every write given has exactly one.

    done     the effect is there; ``seen`` holds what the system answered it now holds, where it answers that
    refused  the system will not; ``error`` says why (Invalid, Duplicate, Gone, PermissionDenied)
    stale    not written, because the record moved since it was read (``seen`` and ``version`` when known)
    retry    no effect, and the same write may succeed later (Locked, Unavailable, RateLimited)
    unknown  the call may have had an effect; look by key or id, never resend. So is a write of which a part took
             effect and a part was refused: what is there must not be taken for an edit of somebody's
    """

    key: str
    status: OutcomeStatus
    external_id: str | None = None
    version: str = ""
    seen: Raw | None = None
    error: ConnectorError | None = None


@dataclass(frozen=True, slots=True)
class FieldSchema:
    """One field as the live system describes it; what `sidefeed check` holds a mapping against.

    ``labels`` are what people see for each of ``options``, in their order. Where the options depend on another field (a
    stage on its pipeline), ``controller`` names it and ``valid_for`` tells for each option the values it goes with.
    ``same_as`` names another field that shows the same data: only one of the two can be asked for at a time.
    """

    name: str
    type: str
    label: str = ""
    length: int | None = None
    scale: int | None = None
    createable: bool = True
    updateable: bool = True
    required: bool = False
    unique: bool = False
    options: tuple[str, ...] = ()
    restricted: bool = False
    references: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    controller: str = ""
    valid_for: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    same_as: str = ""


@dataclass(frozen=True, slots=True)
class ObjectSchema:
    """One object as the live system describes it, to this user: what the user may do with its records, and its record
    types by their developer names, where it has any."""

    name: str
    label: str
    fields: Mapping[str, FieldSchema]
    createable: bool = True
    updateable: bool = True
    deletable: bool = True
    record_types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rights:
    """What an administrator must grant for one object, in the system's own words, and which of that is missing.
    ``missing`` is None where the system does not tell; ``unready`` says what else has to be there first, one sentence
    each, such as a folder that `sidefeed prepare` makes."""

    needed: tuple[str, ...]
    missing: tuple[str, ...] | None = None
    unready: tuple[str, ...] = ()


@runtime_checkable
class NamesRights(Protocol):
    """A connector that can name the rights it needs. ``reads`` and ``writes`` are the raw fields of the mapping."""

    def rights(
        self, object: str, *, reads: Sequence[str], writes: Sequence[str], creates: bool, deletes: bool
    ) -> Rights: ...


@runtime_checkable
class AddsRoles(Protocol):
    """A connector that can add the roles of a list of people (a field of type ``roles``) that a mapping writes.

    The members of such a list are ``role:id``, or the id alone; its options are the roles.
    """

    def add_roles(self, object: str, field: str, roles: Sequence[str], *, apply: bool) -> Sequence[str]:
        """Make those that are not there. Each sentence says what was done, would be done (without ``apply``), or must
        be done by an administrator."""
        ...


@runtime_checkable
class Detaches(Protocol):
    """A connector that can take back what `prepare` made. Each sentence says what was done, would be done (without
    ``apply``), or must be done by an administrator."""

    def detach(self, objects: Sequence[str], *, apply: bool) -> Sequence[str]: ...


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What this system can and cannot do; the engine and the contract tests both read it.

    conditional   an update is refused by the system itself when the record moved (else the core reads first)
    history       values overwritten in the moment between reading and writing can be read back afterwards
    settles       a write's answer (`Outcome.seen`) tells what the system made of the values
    deletes       deletions appear in the change feed; where they do not, one that is not there by id is not deleted
    merges        the system merges records of this object
    hides         single records may be hidden from us, so that one which is not there by id may exist all the same
    unique_keys   a second object with the idempotency key of a live one is refused, or is answered with that one; where
                  not, a create whose answer was lost is made again only once the first request can be at work no more
    """

    conditional: bool = False
    history: bool = False
    settles: bool = False
    deletes: bool = True
    merges: bool = False
    hides: bool = False
    unique_keys: bool = False
    write_batch: int = 1
    read_batch: int = 100
    writable: bool = True


@dataclass(frozen=True, slots=True)
class Stream:
    """One readable feed: an object, and the partition of it where the system keeps one per person."""

    object: str
    partition: str = ""

    @property
    def name(self) -> str:
        return f"{self.object}/{self.partition}" if self.partition else self.object


@dataclass(slots=True)
class Call:
    """One HTTP request as it left and what came back, secrets included: for a listener of `Calls`, who strips them.

    ``at`` is seconds since 1970, ``seconds`` how long it took. Where no whole answer came, ``status`` is None and
    ``failure`` is what the transport raised.
    """

    method: str
    url: str
    sent: Mapping[str, str]
    sent_body: bytes
    at: float
    seconds: float = 0.0
    status: int | None = None
    got: Mapping[str, str] = field(default_factory=dict)
    got_body: bytes = b""
    failure: BaseException | None = None

    def answered(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status, self.got, self.got_body = status, headers, body


@dataclass(slots=True)
class Calls:
    """How many requests a connector has sent since it was made, and the least it would have needed.

    ``minimum`` grows by the number of requests that the batch sizes allow for what was asked, so that
    ``used - minimum`` is exactly the waste (retries, probes, reading before writing is in the minimum).
    ``listener`` hears each request once it is over (`sidefeed.recording`). A transport asks whether there is one before
    it does anything for it, and then sends within `overheard`.
    """

    used: int = 0
    minimum: int = 0
    listener: Callable[[Call], None] | None = field(default=None, repr=False, compare=False)

    @contextmanager
    def overheard(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | str | None
    ) -> Iterator[Call]:
        """Lets the listener hear what happens in this block, whether it ends well or raises."""
        sent = body.encode() if isinstance(body, str) else bytes(body or b"")
        call, began = Call(method, url, headers, sent, time.time()), time.perf_counter()
        try:
            yield call
        except BaseException as failure:
            call.failure = failure
            raise
        finally:
            call.seconds = time.perf_counter() - began
            if self.listener is not None:
                self.listener(call)


@dataclass(frozen=True, slots=True)
class Recordable:
    """What of a connector's requests and answers may be kept in a recording; a connector that says nothing is recorded
    without bodies. A connector gives it as ``recordable``.

    request_ids     headers of an answer by which the system's own support finds the request
    headers         headers of requests and answers, beyond what every system has, that hold no secret
    bodies          ``none``; ``values``: JSON, kept but for secrets and the words of meetings;
                    ``shape``: JSON, XML or iCalendar, in which only what ``plain`` names is kept
    plain           names, in lower case, of keys, elements and attributes (``@name``: an attribute alone) whose text is
                    nobody's words: ids, times, codes
    codes           finds the system's error codes in the body of an answer
    asked, sent     find what a request was about, in its query and in its body: an object, an operation
    """

    request_ids: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    bodies: Literal["none", "values", "shape"] = "none"
    plain: frozenset[str] = frozenset()
    codes: str = ""
    asked: str = ""
    sent: str = ""


@runtime_checkable
class Connector(Protocol):
    """The port. ``fields`` always names the raw fields wanted, so that a read is as narrow as the mapping.

    A connector is made by ``from_settings`` from one table of settings (see its docstring for the keys) and makes no
    call before the first method is used.
    """

    system: str
    calls: Calls

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Connector: ...

    def marker(self) -> str:
        """Which organisation, portal or server this is; another one than at set-up stops everything."""
        ...

    def streams(self, object: str) -> Sequence[Stream]:
        """The feeds of one object: one, or one per mailbox."""
        ...

    def capabilities(self, object: str) -> Capabilities: ...

    def describe(self, object: str) -> ObjectSchema: ...

    def changes(
        self, stream: Stream, fields: Sequence[str], cursor: str | None, *, scope: Any = None
    ) -> Iterator[Page]:
        """Everything that may have changed since ``cursor`` (None: everything there is), oldest work first.

        At least once, never at most once: windows overlap. Deletions and merges are part of the feed where
        ``capabilities(object).deletes``. ``scope`` is the mapping's scope for this object, pushed down to the system
        where the connector can; records out of scope that it knows of may still appear,
        live or with state ``left``.
        Raises CursorExpired where the system no longer honours the cursor.
        """
        ...

    def fetch(self, stream: Stream, fields: Sequence[str], ids: Sequence[str]) -> Iterable[Remote]:
        """State by id, never from a lagging index. An id that is not there comes back with state ``deleted``, one that
        was merged away with ``merged_into``; every id asked for gets exactly one answer."""
        ...

    def find(self, stream: Stream, keys: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """The ids of live objects that carry these idempotency keys; several where an item was copied."""
        ...

    def write(self, stream: Stream, writes: Sequence[Write]) -> Iterator[Outcome]:
        """Send writes at the system's batch sizes and yield each outcome as soon as it is known.

        Creates carry the key; the connector never repeats a create whose answer was lost. The core calls ``find``
        before it creates anything whose earlier outcome is unknown.
        """
        ...

    def overwritten(
        self, stream: Stream, outcomes: Mapping[str, Write]
    ) -> Mapping[str, Raw]:
        """For systems with ``history``: by external id, values other people wrote between our read and our write."""
        ...

    def ids(self, stream: Stream) -> Iterator[tuple[str, str]]:
        """Every live id with its version, for the census."""
        ...

    def prepare(self, objects: Sequence[str], *, apply: bool) -> Sequence[str]:
        """Create the key fields that idempotent creates need (``apply``), and say what was or must be done."""
        ...

    def close(self) -> None: ...


@runtime_checkable
class Restorer(Protocol):
    """A connector whose system can bring back what was deleted, under the id it had."""

    def restore(self, stream: Stream, ids: Sequence[str]) -> Mapping[str, ConnectorError | None]:
        """Bring these objects back: None where it was done, else why not (Gone: it cannot be brought back any more).

        Every id asked for is answered. Raises what stops all of them; UnknownOutcome where the effect is not known.
        """
        ...


@runtime_checkable
class RemembersKeys(Protocol):
    """A connector whose system keeps the idempotency key of what was deleted, as long as its recycle bin keeps that."""

    def find_deleted(self, stream: Stream, keys: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """The ids of deleted objects, and of those that were merged away, that carry these keys. Only keys that were
        found are in the answer. Asked only where a create may have happened unheard."""
        ...


@runtime_checkable
class GivesOwners(Protocol):
    """A connector whose system gives an object that was made without naming an owner to whoever made it."""

    def acts_as(self, stream: Stream, made: str) -> str | None:
        """The system's own id of the user that we act as: who made this object, which we made, deleted or not. None
        where the system does not tell. Asked at most once of a connector, and only where an owner is to be weighed."""
        ...


@dataclass(frozen=True, slots=True)
class Quota:
    """What a system last told of its daily calls: how many there are, and how many all programs together have used."""

    limit: int
    used: int


@runtime_checkable
class Metered(Protocol):
    """A connector whose system tells how many calls a day it allows. Makes no call: None until an answer told."""

    def quota(self) -> Quota | None: ...


@dataclass(frozen=True, slots=True)
class Past:
    """What one object held from a moment on, as far as the system's own history says: ``values`` holds every field that
    was asked for and that it keeps a history of."""

    id: str
    at: datetime
    values: Raw
    actor: str | None = None


@runtime_checkable
class Historian(Protocol):
    """A connector whose system keeps what its fields held before."""

    def history(self, stream: Stream, fields: Sequence[str], ids: Sequence[str]) -> Iterable[Past]:
        """Every state that these objects had, in any order. An object or a field without history is left out."""
        ...


def chunked(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """Split into lists of at most ``size`` items, keeping the order."""
    chunk: list[Any] = []
    for item in items:
        chunk.append(item)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


class Onward:
    """The places at which one reading of a list goes on. A server that leads back to one of them would never end it."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._been: set[str] = set()

    def to(self, place: str | None) -> str | None:
        """The same place. Raises OddAnswer where this reading was there before."""
        if place and place in self._been:
            raise OddAnswer(f"{self._what} leads back to a page that was read already. What was read before is kept; "
                            f"the next run goes on from there")
        if place:
            self._been.add(place)
        return place
