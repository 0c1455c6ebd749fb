"""A contact folder of its own in each mailbox: whether it is there and may be written, and how it is made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from sidefeed.connector import AuthenticationFailed, ConnectorError, Invalid, NoConnection, PermissionDenied


class ContactFolder(Protocol):
    """The folder of one mailbox that has the name in the settings."""

    def exists(self) -> bool: ...

    def creatable(self) -> bool:
        """Whether the account may make it, as far as the system tells."""
        ...

    def create(self) -> None:
        """Raises PermissionDenied where the account may not."""
        ...

    def hindrance(self, *, creates: bool) -> str:
        """Why contacts cannot be read there or, with ``creates``, made; blank where they can."""
        ...


def missing(mailbox: str, name: str, system: str) -> Invalid:
    """A mailbox has no folder of that name."""
    return Invalid(f"Mailbox {mailbox} has no contact folder {name!r}: `sidefeed prepare {system}` creates it, or its "
                   "owner does in Outlook.", field="contacts_folder", rule="setting", code="bad-setting", owner="ops")


def prepare(name: str, folders: Mapping[str, ContactFolder], *, apply: bool) -> list[str]:
    """Make the folders that are missing, by mailbox. A mailbox that does not let us holds back no other."""
    said = []
    for address, folder in folders.items():
        try:
            if folder.exists():
                continue
            if apply:
                folder.create()
            elif not folder.creatable():
                said.append(f"{address}: contact folder {name!r} is missing, and this account may not create it.")
                continue
        except PermissionDenied as error:
            said.append(f"{address}: contact folder {name!r} cannot be created. {error.message} Or let its owner make "
                        "the folder in Outlook.")
        else:
            said.append(f"{address}: contact folder {name!r} {'created' if apply else 'would be created'}.")
    return said


def unready(folders: Mapping[str, ContactFolder], *, creates: bool) -> tuple[str, ...]:
    """What hinders in which mailboxes, each hindrance once. A sign-in that fails is not tried for the next mailbox."""
    found: dict[str, list[str]] = {}
    for address, folder in folders.items():
        failed: ConnectorError | None = None
        try:
            why = folder.hindrance(creates=creates)
        except ConnectorError as error:
            failed, why = error, error.message.rstrip(".")
        if why:
            found.setdefault(why, []).append(address)
        if isinstance(failed, AuthenticationFailed | NoConnection):
            break
    return tuple(f"{', '.join(addresses)}: {why}" for why, addresses in found.items())
