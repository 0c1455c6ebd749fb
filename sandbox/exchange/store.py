"""Everything a practice Exchange holds: mailboxes, folders, items, the change journal, and the ledger of mail.

Items are never changed in place: a write makes a new `Item` and puts it where the old one was. So a snapshot is a set
of shallow copies and takes milliseconds, whatever the size. Field values are kept by field URI (`calendar:Start`) as
plain Python values; `properties.py` knows how each is read and written.
"""

from __future__ import annotations

import copy
import hashlib
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from . import ids
from .errors import EwsError
from .timezones import UTC_ZONE, Zone, named

CALENDAR, CONTACTS, TASKS, NOTES = "IPF.Appointment", "IPF.Contact", "IPF.Task", "IPF.Note"

LONG_DAYS = 3
"""A single item of this many days or more is looked at by every view instead of being indexed by its start."""
MAX_INDEXED_WINDOW = 1500
"""Days. A wider window walks over the items instead of the index."""

DISTINGUISHED = (
    ("root", "", "", None),  # Exchange tells no display name of the root
    ("msgfolderroot", "Top of Information Store", "", "root"),
    ("recoverableitemsroot", "Recoverable Items", "", "root"),
    ("recoverableitemsdeletions", "Deletions", NOTES, "recoverableitemsroot"),
    ("recoverableitemsversions", "Versions", NOTES, "recoverableitemsroot"),
    ("recoverableitemspurges", "Purges", NOTES, "recoverableitemsroot"),
    ("searchfolders", "Finder", "", "root"),
    ("inbox", "Inbox", NOTES, "msgfolderroot"),
    ("outbox", "Outbox", NOTES, "msgfolderroot"),
    ("sentitems", "Sent Items", NOTES, "msgfolderroot"),
    ("deleteditems", "Deleted Items", NOTES, "msgfolderroot"),
    ("drafts", "Drafts", NOTES, "msgfolderroot"),
    ("junkemail", "Junk Email", NOTES, "msgfolderroot"),
    ("calendar", "Calendar", CALENDAR, "msgfolderroot"),
    ("contacts", "Contacts", CONTACTS, "msgfolderroot"),
    ("tasks", "Tasks", TASKS, "msgfolderroot"),
    ("notes", "Notes", "IPF.StickyNote", "msgfolderroot"),
    ("journal", "Journal", "IPF.Journal", "msgfolderroot"),
    ("conversationhistory", "Conversation History", NOTES, "msgfolderroot"),
    ("syncissues", "Sync Issues", NOTES, "msgfolderroot"),
    ("conflicts", "Conflicts", NOTES, "syncissues"),
    ("localfailures", "Local Failures", NOTES, "syncissues"),
    ("serverfailures", "Server Failures", NOTES, "syncissues"),
    ("recipientcache", "Recipient Cache", "IPF.Contact.RecipientCache", "contacts"),
)
"""Distinguished folder id, display name, folder class, parent. Source: EWS reference, DistinguishedFolderId."""


@dataclass(frozen=True)
class Person:
    """A mailbox as messages carry it (t:Mailbox): name, address, routing type and mailbox type."""

    name: str
    address: str
    routing: str = "SMTP"
    kind: str = "Mailbox"

    @property
    def key(self) -> str:
        """The address for comparison; addresses compare without case."""
        return self.address.strip().lower()


@dataclass(frozen=True)
class Attendee:
    """One attendee and the response known to the organiser."""

    person: Person
    response: str = "Unknown"
    responded: datetime | None = None


@dataclass(frozen=True)
class Body:
    """Body text and its type, HTML or Text."""

    text: str
    kind: str = "Text"


@dataclass(frozen=True)
class Attachment:
    """A file (`content`) or another item (`item`) attached to an item. `number` is part of its id."""

    number: int
    name: str
    content: bytes = b""
    content_type: str = "application/octet-stream"
    content_id: str = ""
    inline: bool = False
    modified: datetime | None = None
    item: Item | None = None
    contact_photo: bool = False


class PropertyKey(NamedTuple):
    """Identity of an extended property. GUIDs are kept in lower case: they compare without case.

    A tuple, because searches hash it once per item.
    """

    set: str = ""
    name: str = ""
    id: int | None = None
    tag: int | None = None


@dataclass(frozen=True)
class Extended:
    """An extended property as it was set: MAPI type and value (a text, or a tuple of texts for array types)."""

    type: str
    value: str | tuple[str, ...]
    distinguished: str = ""


@dataclass(frozen=True)
class Override:
    """What one exception of a series says differently. `start` and `end` are UTC."""

    start: datetime
    end: datetime
    values: Mapping[str, Any] = field(default_factory=dict)
    extended: Mapping[PropertyKey, Extended] = field(default_factory=dict)
    attachments: tuple[Attachment, ...] | None = None
    modified: datetime | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """One item in one state. An occurrence is a passing view of its master: `master`, `index` and `original` say so."""

    serial: int
    kind: str
    folder: int
    values: Mapping[str, Any]
    created: datetime
    modified: datetime
    modified_by: str = ""
    version: int = 1
    extended: Mapping[PropertyKey, Extended] = field(default_factory=dict)
    attachments: tuple[Attachment, ...] = ()
    exceptions: Mapping[datetime, Override] = field(default_factory=dict)
    deleted: Mapping[datetime, datetime] = field(default_factory=dict)
    history: tuple[int, ...] = ()
    content_sequence: int = 0
    associated: bool = False
    element: str = ""
    master: Item | None = None
    index: int = 0
    original: datetime | None = None

    def get(self, uri: str, default: Any = None) -> Any:
        """The stored value of a field."""
        return self.values.get(uri, default)

    @property
    def sequence(self) -> int:
        """The number of the latest change in the journal of its folder."""
        return self.history[-1] if self.history else 0

    @property
    def is_master(self) -> bool:
        """Whether this is a recurring series."""
        return self.master is None and self.values.get("calendar:Recurrence") is not None

    @property
    def size(self) -> int:
        """A plausible size in bytes."""
        body = self.values.get("item:Body")
        text = sum(len(value) for value in self.values.values() if isinstance(value, str))
        return 512 + text + (len(body.text) if body else 0) + sum(len(part.content) for part in self.attachments)


class Folder:
    """One folder: its items, and the journal of what happened to them (a list of (sequence, item serial))."""

    def __init__(self, serial: int, mailbox: Mailbox, name: str, folder_class: str, parent: int | None) -> None:
        self.serial = serial
        self.mailbox_number = mailbox.number
        self.guid = mailbox.guid
        self.name = name
        self.folder_class = folder_class
        self.parent = parent
        self.distinguished = ""
        self.version = 1
        self.extended: dict[PropertyKey, Extended] = {}
        self.items: dict[int, Item] = {}
        self.associated: dict[int, Item] = {}
        self.gone: dict[int, tuple[int, tuple[int, ...], str]] = {}
        """Serial -> (sequence of the removal, history before it, id the item had)."""
        self.journal: list[tuple[int, int]] = []
        self.days: dict[int, tuple[int, ...]] = {}
        self.long: dict[int, None] = {}
        """Calendar index: serials of single items by day number, and of everything that may fall on any day."""
        self.history: tuple[int, ...] = ()
        self.state_generation = 0
        self.permissions: dict[str, Any] | None = None
        """Entries of the permission set by address, Default or Anonymous; None: never set. Replaced, not changed."""

    def level(self, address: str) -> str:
        """What the permission set lets somebody do; empty where it does not say."""
        entry = (self.permissions or {}).get(address)
        if entry is None:
            entry = (self.permissions or {}).get("Default")
        last = entry[-1].text if entry is not None and len(entry) else None
        return (last or "").strip()

    @property
    def element(self) -> str:
        """The element name of the folder, by its class."""
        for prefix, name in ((CALENDAR, "CalendarFolder"), (CONTACTS, "ContactsFolder"), (TASKS, "TasksFolder")):
            if self.folder_class.startswith(prefix):
                return name
        return "Folder"

    @property
    def unread(self) -> int:
        """Number of unread messages."""
        return sum(1 for item in self.items.values() if item.get("message:IsRead") is False)

    def in_window(self, start: datetime, end: datetime) -> Iterator[Item]:
        """Calendar items that may touch a window: a superset, found without a walk over all items."""
        if (end - start).days > MAX_INDEXED_WINDOW:
            yield from list(self.items.values())
            return
        seen = dict(self.long)
        first = max((start - timedelta(days=LONG_DAYS)).toordinal(), 1) if start.year > 1 else 1
        for day in range(first, end.toordinal() + 1):
            for serial in self.days.get(day, ()):
                seen[serial] = None
        for serial in seen:
            yield self.items[serial]

    def index_time(self, item: Item, *, add: bool) -> None:
        """Enter an item into the calendar index, or take it out."""
        start, end = item.get("calendar:Start"), item.get("calendar:End")
        if start is None or item.associated or item.kind != "CalendarItem":
            return
        if item.is_master or end is None or (end - start).days >= LONG_DAYS:
            if add:
                self.long[item.serial] = None
            else:
                self.long.pop(item.serial, None)
            return
        day = start.toordinal()
        rest = tuple(serial for serial in self.days.get(day, ()) if serial != item.serial)
        self.days[day] = (*rest, item.serial) if add else rest

    def clone(self) -> Folder:
        """A copy that shares the items themselves."""
        made = copy.copy(self)
        made.days, made.long = dict(self.days), dict(self.long)
        made.items, made.associated, made.gone = dict(self.items), dict(self.associated), dict(self.gone)
        made.journal, made.extended = list(self.journal), dict(self.extended)
        return made


@dataclass
class OutOfOffice:
    """Automatic replies of a mailbox."""

    state: str = "Disabled"
    audience: str = "All"
    start: datetime | None = None
    end: datetime | None = None
    internal: str = ""
    external: str = ""


@dataclass(frozen=True)
class Delegate:
    """What somebody else may do in a mailbox: a level for everything; levels of single folders go before it."""

    level: str = ""
    folders: Mapping[str, str] = field(default_factory=dict)
    receive_copies: bool = False
    view_private: bool = False

    def level_of(self, folder: str) -> str:
        """The permission level in a distinguished folder; "" for none."""
        level = self.folders.get(folder, self.level)
        return "" if level == "None" else level


class Mailbox:
    """One mailbox with its account: address, password, zone, rights given to others, automatic replies."""

    def __init__(self, number: int, address: str, name: str, password: str, zone: Zone) -> None:
        self.number = number
        self.address = address
        self.name = name
        self.password = password
        self.zone = zone
        self.guid = str(uuid.UUID(bytes=hashlib.md5(address.lower().encode()).digest()))
        self.aliases: tuple[str, ...] = ()
        self.folders: dict[str, int] = {}
        self.delegates: dict[str, Delegate] = {}
        self.deliver_requests = "DelegatesAndMe"
        self.oof = OutOfOffice()
        self.room_list = ""
        self.work_days = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday")
        self.work_hours = (480, 1020)
        self.gone_folders: dict[int, tuple[int, tuple[int, ...], str]] = {}
        self.denied = False
        self.configurations: dict[str, dict[str, tuple[str, str]]] = {}

    @property
    def person(self) -> Person:
        """The mailbox as an address."""
        return Person(self.name, self.address)

    @property
    def login(self) -> str:
        """The short account name."""
        return self.address.partition("@")[0]

    def clone(self) -> Mailbox:
        """A copy."""
        made = copy.copy(self)
        made.folders, made.delegates = dict(self.folders), dict(self.delegates)
        made.gone_folders, made.oof = dict(self.gone_folders), copy.copy(self.oof)
        made.configurations = dict(self.configurations)
        return made


@dataclass(frozen=True)
class Account:
    """A service account without a mailbox. `impersonates` names mailboxes it may act as; "*" means all."""

    login: str
    password: str
    impersonates: tuple[str, ...] = ()
    full_access: tuple[str, ...] = ()


@dataclass(frozen=True)
class Mail:
    """One line of the ledger: what would have been mailed.

    `kind` is request, update, cancellation, response or message. `recipients` are addresses in sending order.
    """

    kind: str
    sender: str
    recipients: tuple[str, ...]
    subject: str
    item: str
    at: datetime
    uid: str = ""
    response: str = ""
    saved_copy: bool = False


class World:
    """The state of the whole server; what a snapshot keeps."""

    def __init__(self) -> None:
        self.mailboxes: dict[str, Mailbox] = {}
        self.accounts: dict[str, Account] = {}
        self.folders: dict[int, Folder] = {}
        self.where: dict[int, int] = {}
        self.lives: dict[int, int] = {}
        self.born: dict[int, int] = {}
        """Of items that were moved: first serial -> present one, and present one -> first."""
        self.by_uid: dict[tuple[int, str], tuple[int, ...]] = {}
        self.ledger: list[Mail] = []
        self.subscriptions: dict[str, Any] = {}
        self.epoch = 1
        self.sequence = 0
        self.serial = 0

    def clone(self) -> World:
        """A copy for a snapshot; items are shared, because nothing changes them in place."""
        made = copy.copy(self)
        made.mailboxes = {key: mailbox.clone() for key, mailbox in self.mailboxes.items()}
        made.folders = {key: folder.clone() for key, folder in self.folders.items()}
        made.accounts, made.where, made.by_uid = dict(self.accounts), dict(self.where), dict(self.by_uid)
        made.lives, made.born = dict(self.lives), dict(self.born)
        made.ledger = list(self.ledger)
        made.subscriptions = {key: value.clone() for key, value in self.subscriptions.items()}
        return made

    # -- mailboxes and folders ------------------------------------------------------------------------------------

    def next_serial(self) -> int:
        """A number never used before."""
        self.serial += 1
        return self.serial

    def next_sequence(self) -> int:
        """The number of the next change."""
        self.sequence += 1
        return self.sequence

    def add_mailbox(self, address: str, name: str, password: str, zone: str = "UTC") -> Mailbox:
        """A mailbox with its distinguished folders. Raises ValueError if the address is taken, KeyError for a zone."""
        if self.mailbox(address) is not None:
            raise ValueError(f"there is a mailbox {address!r} already")
        tz = UTC_ZONE if zone == "UTC" else named(zone)
        mailbox = Mailbox(len(self.mailboxes) + 1, address, name, password, tz)
        self.mailboxes[address.lower()] = mailbox
        for identifier, display, folder_class, parent in DISTINGUISHED:
            above = mailbox.folders[parent] if parent else None
            folder = self.add_folder(mailbox, display, folder_class, above)
            folder.distinguished = identifier
            mailbox.folders[identifier] = folder.serial
        return mailbox

    def add_folder(self, mailbox: Mailbox, name: str, folder_class: str, parent: int | None) -> Folder:
        """A folder below another one."""
        folder = Folder(self.next_serial(), mailbox, name, folder_class, parent)
        folder.history = (self.next_sequence(),)
        self.folders[folder.serial] = folder
        return folder

    def touch_folder(self, folder: Folder) -> None:
        """Record that the folder itself changed."""
        folder.version += 1
        folder.history = (*folder.history, self.next_sequence())

    def mailbox(self, address: str) -> Mailbox | None:
        """The mailbox of an address or alias, whatever the case; None if there is none."""
        wanted = address.strip().lower().removeprefix("smtp:")
        found = self.mailboxes.get(wanted)
        if found is not None:
            return found
        return next((box for box in self.mailboxes.values() if wanted in box.aliases), None)

    def mailbox_of(self, folder: Folder) -> Mailbox:
        """The mailbox that a folder belongs to."""
        return next(box for box in self.mailboxes.values() if box.number == folder.mailbox_number)

    def folder(self, mailbox: Mailbox, distinguished: str) -> Folder:
        """A distinguished folder. Raises `EwsError` ErrorFolderNotFound."""
        serial = mailbox.folders.get(distinguished)
        if serial is None:
            raise EwsError("ErrorFolderNotFound")
        return self.folders[serial]

    def permission_root(self, folder: Folder) -> str:
        """The distinguished folder whose permissions a folder shares; "" for those above all of them."""
        at: Folder | None = folder
        while at is not None:
            if at.distinguished and at.distinguished not in ("root", "msgfolderroot"):
                return at.distinguished
            at = self.folders.get(at.parent) if at.parent is not None else None
        return ""

    def subfolders(self, folder: Folder) -> list[Folder]:
        """Direct children, in order of creation."""
        return [other for other in self.folders.values() if other.parent == folder.serial]

    def below(self, folder: Folder) -> Iterator[Folder]:
        """All descendants, parents before children."""
        for sub in self.subfolders(folder):
            yield sub
            yield from self.below(sub)

    def drop_folder(self, folder: Folder) -> None:
        """Remove a folder, what is below it, and their items, for good."""
        for sub in list(self.below(folder)):
            self.drop_folder(sub)
        mailbox = self.mailbox_of(folder)
        for item in [*folder.items.values(), *folder.associated.values()]:
            self._unindex(item)
        mailbox.gone_folders[folder.serial] = (self.next_sequence(), folder.history, self.folder_id(folder))
        del self.folders[folder.serial]

    # -- ids ------------------------------------------------------------------------------------------------------

    def folder_id(self, folder: Folder) -> str:
        """The id of a folder; stable for its life."""
        return ids.make(ids.FOLDER, folder.serial, folder.guid)

    def folder_key(self, folder: Folder) -> str:
        """The change key of a folder."""
        return ids.change_key("Folder", folder.serial, folder.version)

    def item_id(self, item: Item) -> str:
        """The id of an item or occurrence."""
        guid = self.folders[item.folder].guid
        if item.original is not None:
            return ids.make(ids.OCCURRENCE, item.serial, guid, item.original)
        return ids.make(ids.ITEM, item.serial, guid)

    def item_key(self, item: Item) -> str:
        """The change key of an item; an occurrence has its master's."""
        return ids.change_key(item.kind, item.serial, item.version)

    # -- items ----------------------------------------------------------------------------------------------------

    def item(self, serial: int) -> Item | None:
        """The item with a serial; None if it is gone."""
        at = self.where.get(serial)
        if at is None:
            return None
        folder = self.folders[at]
        return folder.items.get(serial) or folder.associated.get(serial)

    def put(self, item: Item, *, read_only_flag: bool = False) -> Item:
        """Store a new item, or a new state of one, and record the change. Returns what was stored."""
        folder = self.folders[item.folder]
        before = self.item(item.serial)
        sequence = self.next_sequence()
        item = replace(
            item,
            version=item.version + 1 if before is not None else item.version,
            history=(*item.history, sequence),
            content_sequence=item.content_sequence if read_only_flag else sequence,
        )
        (folder.associated if item.associated else folder.items)[item.serial] = item
        folder.journal.append((sequence, item.serial))
        self.where[item.serial] = folder.serial
        if before is not None:
            self._unindex(before)
            self.where[item.serial] = folder.serial
        self._index(item, folder)
        self._announce("Created" if before is None else "Modified", item, folder)
        return item

    def remove(self, item: Item, *, announce: bool = True) -> None:
        """Take an item out of its folder, leaving a trace for the clients that synchronise."""
        folder = self.folders[item.folder]
        sequence = self.next_sequence()
        identifier = self.item_id(item)
        (folder.associated if item.associated else folder.items).pop(item.serial)
        folder.gone[item.serial] = (sequence, item.history, identifier)
        folder.journal.append((sequence, item.serial))
        if announce:
            self._announce("Deleted", item, folder)
        self._unindex(item)

    def life(self, serial: int) -> int:
        """The first serial of an item, which stays the same when it is moved: what an immutable id names."""
        return self.born.get(serial, serial)

    def move(self, item: Item, folder: Folder) -> Item:
        """Move an item: it gets a new id there, as in Exchange."""
        old_id, old_folder = self.item_id(item), self.folders[item.folder]
        self.remove(item, announce=False)
        moved = replace(item, serial=self.next_serial(), folder=folder.serial, version=1, history=())
        moved = self._put_quietly(moved, folder)
        life = self.life(item.serial)
        self.lives[life], self.born[moved.serial] = moved.serial, life
        for subscription in self.subscriptions.values():
            subscription.moved(self, moved, old_folder, folder, old_id)
        return moved

    def _put_quietly(self, item: Item, folder: Folder) -> Item:
        sequence = self.next_sequence()
        item = replace(item, history=(sequence,), content_sequence=sequence)
        (folder.associated if item.associated else folder.items)[item.serial] = item
        folder.journal.append((sequence, item.serial))
        self.where[item.serial] = folder.serial
        self._index(item, folder)
        return item

    def _index(self, item: Item, folder: Folder) -> None:
        folder.index_time(item, add=True)
        uid = item.get("calendar:UID")
        if uid:
            key = (folder.mailbox_number, uid)
            self.by_uid[key] = (*self.by_uid.get(key, ()), item.serial)

    def _unindex(self, item: Item) -> None:
        folder = self.folders[item.folder]
        folder.index_time(item, add=False)
        self.where.pop(item.serial, None)
        uid = item.get("calendar:UID")
        if uid:
            key = (folder.mailbox_number, uid)
            rest = tuple(serial for serial in self.by_uid.get(key, ()) if serial != item.serial)
            if rest:
                self.by_uid[key] = rest
            else:
                self.by_uid.pop(key, None)

    def with_uid(self, mailbox: Mailbox, uid: str, kind: str = "CalendarItem") -> list[Item]:
        """Items of a mailbox with a UID, in order of creation."""
        found = (self.item(serial) for serial in self.by_uid.get((mailbox.number, uid), ()))
        return [item for item in found if item is not None and item.kind == kind]

    def _announce(self, event: str, item: Item, folder: Folder) -> None:
        for subscription in self.subscriptions.values():
            subscription.happened(self, event, item, folder)
