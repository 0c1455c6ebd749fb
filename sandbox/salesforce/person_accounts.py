"""Person accounts: one person as an Account and a Contact that move together. Off until switched on, then for good.

Source: Object Reference "Person Account Record Types", Salesforce Help "Considerations for Using Person Accounts". An
account is a person when it is created with a LastName. Record types of person accounts are not modelled.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .schema import Field, Schema
from .store import Row

if TYPE_CHECKING:
    from .records import Records

_SHARED = ("LastName", "FirstName", "Salutation")
_PREFIXED = (
    "MailingStreet MailingCity MailingState MailingPostalCode MailingCountry MailingLatitude MailingLongitude "
    "MailingGeocodeAccuracy MailingAddress OtherStreet OtherCity OtherState OtherPostalCode OtherCountry OtherLatitude "
    "OtherLongitude OtherGeocodeAccuracy OtherAddress MobilePhone HomePhone OtherPhone AssistantPhone Email Title "
    "Department AssistantName LeadSource Birthdate LastCURequestDate LastCUUpdateDate EmailBouncedReason "
    "EmailBouncedDate IndividualId"
).split()


def enable(schema: Schema) -> None:
    """Give Account the fields of a person, and Account and Contact the flag. Does nothing the second time."""
    schema.edit()
    account, contact = schema.object("Account"), schema.object("Contact")
    assert account is not None
    assert contact is not None
    if "IsPersonAccount" in account.fields:
        return
    for name in _SHARED:
        account.add(replace(contact.fields[name], nillable=True, compound="Name", extra="switchablepersonname"))
    for name in _PREFIXED:
        if name in contact.fields:
            account.add(_prefixed(contact.fields[name]))
    for field in list(contact.fields.values()):
        if field.name.endswith("__c"):
            account.add(replace(field, name=field.name.removesuffix("__c") + "__pc", unique=False, external_id=False))
    flag = Field(
        "IsPersonAccount", "boolean", "Is Person Account", defaulted_on_create=True, filterable=True, sortable=True,
        groupable=True,
    )  # fmt: skip
    account.add(replace(flag))
    contact.add(replace(flag))
    account.add(
        replace(contact.fields["ReportsToId"], name="PersonContactId", label="Contact ID", createable=False,
                updateable=False, permissionable=False, relationship="PersonContact", child_relationship=None)
    )  # fmt: skip


def _prefixed(field: Field) -> Field:
    relationship = f"Person{field.relationship}" if field.relationship else None
    return replace(
        field,
        name=f"Person{field.name}",
        compound=f"Person{field.compound}" if field.compound else None,
        relationship=relationship,
        child_relationship=None,
        id_lookup=False,
    )


def contact_field(account_field: str) -> str | None:
    """The Contact field that an Account field of a person mirrors."""
    if account_field in _SHARED:
        return account_field
    if account_field.endswith("__pc"):
        return account_field.removesuffix("__pc") + "__c"
    if account_field.startswith("Person") and account_field.removeprefix("Person") in _PREFIXED:
        return account_field.removeprefix("Person")
    return None


def name_person(row: Row) -> None:
    """The account name of a person comes from the parts of the name."""
    if row.get("LastName"):
        row["Name"] = " ".join(part for part in (row.get("FirstName"), row["LastName"]) if part)
        row["IsPersonAccount"] = True


def after_account(records: Records, row: Row) -> None:
    """Write the Contact of a person account."""
    if not row.get("IsPersonAccount"):
        return
    mirrored = {name: row.get(field) for field in row if (name := contact_field(field))}
    shared = {name: row[name] for name in ("OwnerId", "LastModifiedDate", "LastModifiedById", "SystemModstamp")}
    known = records.store.get("Contact", row["PersonContactId"]) if row.get("PersonContactId") else None
    if known is None:
        contact = records.sobject("Contact")
        blank: dict[str, Any] = {
            f.name: False if f.type == "boolean" else None for f in contact.fields.values() if f.type != "address"
        }
        stamps = {"CreatedDate": row["CreatedDate"], "CreatedById": row["CreatedById"]}
        known = {
            **blank,
            **stamps,
            "Id": records.store.next_id(contact),
            "AccountId": row["Id"],
            "IsPersonAccount": True,
        }
        records.store.put("Account", {**row, "PersonContactId": known["Id"]})
    records.store.put("Contact", {**known, **mirrored, **shared, "Name": row["Name"]})


def after_contact(records: Records, row: Row) -> None:
    """Write the Account of a person's contact."""
    account = records.store.get("Account", row["AccountId"]) if row.get("IsPersonAccount") else None
    if account is None:
        return
    mirrored = {field: row.get(name) for field in account if (name := contact_field(field)) and name in row}
    shared = {name: row[name] for name in ("LastModifiedDate", "LastModifiedById", "SystemModstamp")}
    records.store.put("Account", {**account, **mirrored, **shared, "Name": row["Name"]})
