"""Calendar files (.ics) and contact files (.vcf) as a system that is only read.

object
    ``calendar``: every meeting of the files, series by their occurrences in the window; ``contacts``: every vCard that
    is not private.
id
    The UID, and of an occurrence the original start besides, so that a file read again is the same meetings.

What cannot be read is told in ``problems``, with the file and its place in it, and the rest goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from connectors.caldav import people
from connectors.caldav.connector import CalDavConnector
from connectors.calendars import events
from connectors.calendars.events import Broken
from connectors.calendars.records import MARK, Problem
from connectors.calendars.window import FUTURE, PAST, rolling
from sidefeed.calendars.identity import SINGLE
from sidefeed.calendars.recurrence import RECURRENCE
from sidefeed.connector import Calls, Capabilities, ObjectSchema, Outcome, Page, PermissionDenied, Raw, Remote, Stream
from sidefeed.connector import Write as Write


class IcsConnector:
    """Files as the calendar or the address book of one person. ``mailbox`` is whose they are."""

    source = "import"

    def __init__(
        self, files: Sequence[Path], mailbox: str, *, zone: str = "UTC", system: str = "ics",
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.system = system
        self.calls = Calls()
        self.problems: list[Problem] = []
        self._files = list(files)
        self._mailbox = mailbox
        self._zone = zone
        self._now = now

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> IcsConnector:
        """``files``, ``mailbox``, ``timezone``."""
        return cls([Path(each) for each in settings.get("files", ())], str(settings.get("mailbox", "")),
                   zone=str(settings.get("timezone") or "UTC"))

    def marker(self) -> str:
        return f"files of {self._mailbox}"

    def streams(self, object: str) -> Sequence[Stream]:
        return [Stream(object, self._mailbox)]

    def capabilities(self, object: str) -> Capabilities:
        return Capabilities(deletes=False, writable=False)

    def describe(self, object: str) -> ObjectSchema:
        return CalDavConnector.from_settings({"url": "http://files.invalid", "mailboxes": [self._mailbox]}).describe(
            object)

    def changes(
        self, stream: Stream, fields: Sequence[str], cursor: str | None, *, scope: Any = None
    ) -> Iterator[Page]:
        """Everything in the files, each time; what is known already is dropped by the core."""
        read = self._meetings if stream.object == "calendar" else self._contacts
        yield Page(tuple(read(fields)), "read", True, self._now())

    def _meetings(self, fields: Sequence[str]) -> Iterator[Remote]:
        now = self._now()
        window = rolling(now, PAST, FUTURE)
        seen: dict[str, tuple[str, Raw]] = {}
        for file in self._files:
            for uid, calendar in self._objects(file):
                try:
                    for meeting in events.meetings(calendar, window, self._zone):
                        remote_id = uid if meeting.original == SINGLE else f"{uid}{MARK}{meeting.original}"
                        values = events.read(meeting, self._mailbox, [*fields, "Start"], self._zone)
                        if remote_id not in seen:
                            seen[remote_id] = file.name, values
                            yield Remote(remote_id, {name: values[name] for name in fields if name in values})
                        elif seen[remote_id][1] != values:
                            self._tell_another(file.name, uid, values, *seen[remote_id])
                    if RECURRENCE in fields and f"{uid}{MARK}" not in seen:
                        seen[f"{uid}{MARK}"] = file.name, {}
                        whole = events.series(calendar, self._mailbox, fields, self._zone)
                        if whole is not None:
                            yield Remote(f"{uid}{MARK}", whole)
                except Broken as error:
                    self.problems.append(Problem(file.name, uid, str(error)))

    def _tell_another(self, file: str, uid: str, values: Raw, first: str, taken: Raw) -> None:
        """A UID that another file has for another meeting, or for another state of the same one."""
        self.problems.append(Problem(
            file, uid, f"{first} has a meeting with this UID too, and it is another or was changed since ({first}: "
            f"{str(taken['Start'])[:10]}, {file}: {str(values['Start'])[:10]}); that of {first} is taken. Import the "
            "right file alone, or give one of the two a UID of its own.", "uid-shared"))

    def _objects(self, file: Path) -> Iterator[tuple[str, Any]]:
        try:
            yield from events.by_uid(events.parse(file.read_bytes())).items()
        except (Broken, OSError) as error:
            self.problems.append(Problem(file.name, "the file", str(error)))

    def _contacts(self, fields: Sequence[str]) -> Iterator[Remote]:
        for file in self._files:
            for number, text in enumerate(_cards(file), 1):
                try:
                    card = people.parse(text)
                    if card is not None and not people.is_private(card):
                        values = people.read(card, [*fields, "DisplayName"])
                        uid = card.contents["uid"][0].value if "uid" in card.contents else values.get(
                            "EmailAddress1") or values["DisplayName"]
                        yield Remote(str(uid), {name: values[name] for name in fields if name in values})
                except Broken as error:
                    self.problems.append(Problem(file.name, f"card {number}", str(error)))

    def fetch(self, stream: Stream, fields: Sequence[str], ids: Sequence[str]) -> Iterable[Remote]:
        wanted = set(ids)
        found = {remote.id: remote for page in self.changes(stream, fields, None) for remote in page.records
                 if remote.id in wanted}
        return [found.get(each, Remote(each, state="deleted")) for each in dict.fromkeys(ids)]

    def find(self, stream: Stream, keys: Sequence[str]) -> Mapping[str, Sequence[str]]:
        return {key: [] for key in keys}

    def write(self, stream: Stream, writes: Sequence[Write]) -> Iterator[Outcome]:
        error = PermissionDenied("Files are only read; `sidefeed export` writes new ones.")
        return iter([Outcome(each.key, "refused", each.external_id, error=error) for each in writes])

    def overwritten(self, stream: Stream, outcomes: Mapping[str, Write]) -> Mapping[str, Raw]:
        return {}

    def ids(self, stream: Stream) -> Iterator[tuple[str, str]]:
        for page in self.changes(stream, (), None):
            yield from ((remote.id, "") for remote in page.records)

    def prepare(self, objects: Sequence[str], *, apply: bool) -> Sequence[str]:
        return []

    def close(self) -> None:
        pass


def _cards(file: Path) -> list[str]:
    """The vCards of a file, each on its own, so that a broken one is broken alone."""
    raw = file.read_bytes()
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    parts = text.replace("\r\n", "\n").split("BEGIN:VCARD")
    return [f"BEGIN:VCARD{part}" for part in parts[1:]]
