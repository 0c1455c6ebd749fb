"""What single objects do on a save beyond the common rules: the sales process, activities, names, cases.

Sources: Object Reference (Opportunity, OpportunityContactRole, OpportunityHistory, OpportunityLineItem, Event,
EventRelation, Task, Case, Contact, Lead). A stage that is not in the list is accepted, as the API accepts it; it is
then open, in the Pipeline category, and keeps the probability it is given (none: blank). That last part is not
documented.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeAlias

from . import person_accounts, recurrence
from .errors import Failure
from .schema import ChildRelationship, SObject
from .store import Row
from .values import add_minutes, moment, out_of_range

if TYPE_CHECKING:
    from .records import Actor, Records

CATEGORY_NAMES = {
    "Omitted": "Omitted",
    "Pipeline": "Pipeline",
    "BestCase": "Best Case",
    "MostLikely": "Most Likely",
    "Forecast": "Commit",
    "Closed": "Closed",
}
CATEGORY_CODES = {name: code for code, name in CATEGORY_NAMES.items()}
STAGES: tuple[tuple[str, int, str, bool, bool], ...] = (
    ("Prospecting", 10, "Pipeline", False, False),
    ("Qualification", 10, "Pipeline", False, False),
    ("Needs Analysis", 20, "Pipeline", False, False),
    ("Value Proposition", 50, "Pipeline", False, False),
    ("Id. Decision Makers", 60, "Pipeline", False, False),
    ("Perception Analysis", 70, "Pipeline", False, False),
    ("Proposal/Price Quote", 75, "Pipeline", False, False),
    ("Negotiation/Review", 90, "Pipeline", False, False),
    ("Closed Won", 100, "Closed", True, True),
    ("Closed Lost", 0, "Omitted", True, False),
)
"""Stage, default probability, forecast category, closed, won: the set of a new organisation."""

Hook: TypeAlias = "Callable[[Records, Row, Row | None, dict[str, Any], Actor], None]"


def prepare(sobject: SObject, row: Row) -> None:
    """Fill what required fields may be computed from, before they are checked."""
    if sobject.name == "Account" and "LastName" in sobject.fields:
        person_accounts.name_person(row)


def goes_with(row: Row, kid: ChildRelationship, dependent: Row) -> bool:
    """Whether a dependent row is deleted together with a row."""
    if kid.field == "RecurrenceActivityId":
        return bool(row.get("IsRecurrence")) and dependent["Id"] != row["Id"]
    return kid.cascade


def before_save(
    records: Records, sobject: SObject, row: Row, old: Row | None, given: dict[str, Any], actor: Actor
) -> None:
    """Fill what the system computes, before the row is stored. Raises Failure."""
    hook = _BEFORE.get(sobject.name)
    if hook:
        hook(records, row, old, given, actor)
    elif sobject.custom and row.get("Name") is None and "Name" in row:
        row["Name"] = row["Id"][:15]


def after_save(
    records: Records, sobject: SObject, row: Row, old: Row | None, given: dict[str, Any], actor: Actor
) -> None:
    """Write the other rows that a save brings about."""
    hook = _AFTER.get(sobject.name)
    if hook:
        hook(records, row, old, given, actor)


def after_delete(records: Records, sobject: SObject, row: Row, actor: Actor) -> None:
    """Keep the rows that summarise a deleted one true."""
    if sobject.name == "OpportunityLineItem":
        _roll_up(records, row["OpportunityId"])
    elif sobject.name == "OpportunityContactRole" and row.get("IsPrimary"):
        _set_primary_contact(records, row["OpportunityId"], None)
    elif sobject.name == "Event" and not row.get("IsChild"):
        for child in _invitations(records, row["Id"]):
            records.delete("Event", child["Id"], actor)
    elif sobject.name == "EventRelation":
        for child in _invitations(records, row["EventId"]):
            if child["OwnerId"] == row["RelationId"]:
                records.delete("Event", child["Id"], actor)


# people


def _person_name(records: Records, row: Row, old: Row | None, given: dict[str, Any], actor: Actor) -> None:
    row["Name"] = " ".join(part for part in (row.get("FirstName"), row.get("LastName")) if part)


def _account(records: Records, row: Row, old: Row | None, given: dict[str, Any], actor: Actor) -> None:
    if row.get("IsPersonAccount"):
        person_accounts.name_person(row)


def _after_account(records: Records, row: Row, old: Row | None, given: dict[str, Any], actor: Actor) -> None:
    person_accounts.after_account(records, row)


def _after_contact(records: Records, row: Row, old: Row | None, given: dict[str, Any], actor: Actor) -> None:
    person_accounts.after_contact(records, row)


def _lead(records: Records, row: Row, old: Row | None, given: dict[str, Any], actor: Actor) -> None:
    _person_name(records, row, old, given, actor)
    if row.get("Status") is None:
        row["Status"] = "Open - Not Contacted"


def _user(records: Records, row: Row, old: Row | None, given: dict[str, Any], actor: Actor) -> None:
    _person_name(records, row, old, given, actor)
    for other in records.store.find("User", "Username", row["Username"]):
        if other["Id"] != row["Id"]:
            raise Failure(
                400,
                "DUPLICATE_USERNAME",
                "Duplicate Username.<br>The username already exists in this or another "
                "Salesforce organization. Usernames must be unique across all Salesforce organizations. To resolve, "
                "use a different username (it doesn't need to match the user's email address). ",
                ["Username"],
            )


# the sales process


def stage(records: Records, name: str | None) -> Row | None:
    """The OpportunityStage of a stage name."""
    found = records.store.find("OpportunityStage", "ApiName", name) if name else []
    return found[0] if found else None


def _opportunity(records: Records, row: Row, old: Row | None, given: dict[str, Any], actor: Actor) -> None:
    if old is None or row["StageName"] != old["StageName"]:
        _apply_stage(records, row, given)
        if old is not None:
            row["LastStageChangeDate"] = records.now()
    if given.get("ForecastCategoryName"):
        row["ForecastCategory"] = CATEGORY_CODES[row["ForecastCategoryName"]]
    row["ForecastCategoryName"] = CATEGORY_NAMES[row["ForecastCategory"]]
    if old is not None and old.get("HasOpportunityLineItem") and records.settings.line_items_lock_amount:
        row["Amount"] = old["Amount"]  # computed from the line items: a given amount is ignored, not refused
    amount, probability = row.get("Amount"), row.get("Probability")
    if probability is not None and not 0 <= probability <= 100:
        field = records.sobject("Opportunity").fields["Probability"]
        raise out_of_range(field, Decimal(str(probability)))
    row["ExpectedRevenue"] = None if amount is None or probability is None else round(amount * probability / 100, 2)
    _fiscal(records, row)


def _apply_stage(records: Records, row: Row, given: dict[str, Any]) -> None:
    found = stage(records, row["StageName"])
    row["IsClosed"] = bool(found and found["IsClosed"])
    row["IsWon"] = bool(found and found["IsWon"])
    row["ForecastCategory"] = found["ForecastCategory"] if found else "Pipeline"
    if given.get("Probability") is None and found:
        row["Probability"] = found["DefaultProbability"]


def _fiscal(records: Records, row: Row) -> None:
    day = date.fromisoformat(row["CloseDate"])
    start = fiscal_start(records)
    months = (day.month - start) % 12
    year = day.year + (1 if start > 1 and day.month >= start else 0)
    row["FiscalYear"], row["FiscalQuarter"] = year, months // 3 + 1
    row["Fiscal"] = f"{year} {months // 3 + 1}"


def fiscal_start(records: Records) -> int:
    """The first month of the fiscal year. A fiscal year is named after the year it ends in."""
    for row in records.store.rows("Organization"):
        return int(row.get("FiscalYearStartMonth") or 1)
    return 1


def _after_opportunity(records: Records, row: Row, old: Row | None, given: dict[str, Any], actor: Actor) -> None:
    tracked = ("StageName", "Amount", "Probability", "CloseDate", "ForecastCategory", "ExpectedRevenue")
    if old is None or any(row.get(name) != old.get(name) for name in tracked):
        _write_history(records, row, old, actor)
    if old is None and row.get("ContactId"):
        records.create(
            "OpportunityContactRole",
            {"OpportunityId": row["Id"], "ContactId": row["ContactId"], "IsPrimary": True},
            actor,
        )


def _write_history(records: Records, row: Row, old: Row | None, actor: Actor) -> None:
    sobject = records.sobject("OpportunityHistory")
    key = records.store.next_id(sobject)
    copied = ("StageName", "Amount", "Probability", "CloseDate", "ForecastCategory", "ExpectedRevenue")
    records.store.put(
        "OpportunityHistory",
        {
            "Id": key,
            "OpportunityId": row["Id"],
            "CreatedById": actor.user,
            "CreatedDate": row["SystemModstamp"],
            "SystemModstamp": row["SystemModstamp"],
            "IsDeleted": False,
            "PrevForecastUpdate": None,
            "PrevAmount": old["Amount"] if old else None,
            "PrevCloseDate": old["CloseDate"] if old else None,
            **{name: row.get(name) for name in copied},
        },
    )
    pointers = {}
    if old is not None and row.get("Amount") != old.get("Amount"):
        pointers["LastAmountChangedHistoryId"] = key
    if old is not None and row.get("CloseDate") != old.get("CloseDate"):
        pointers["LastCloseDateChangedHistoryId"] = key
    if pointers:
        row.update(pointers)
        records.store.put("Opportunity", dict(row))


def _after_contact_role(records: Records, row: Row, old: Row | None, given: dict[str, Any], actor: Actor) -> None:
    if not row["IsPrimary"]:
        if old and old["IsPrimary"]:
            _set_primary_contact(records, row["OpportunityId"], None)
        return
    for other in records.store.find("OpportunityContactRole", "OpportunityId", row["OpportunityId"]):
        if other["Id"] != row["Id"] and other["IsPrimary"]:
            records.store.put(
                "OpportunityContactRole", {**other, "IsPrimary": False, "SystemModstamp": row["SystemModstamp"]}
            )
    _set_primary_contact(records, row["OpportunityId"], row["ContactId"])


def _set_primary_contact(records: Records, opportunity: str, contact: str | None) -> None:
    row = records.store.get("Opportunity", opportunity)
    if row is not None and row.get("ContactId") != contact:
        records.store.put("Opportunity", {**row, "ContactId": contact})


def _line_item(records: Records, row: Row, old: Row | None, given: dict[str, Any], actor: Actor) -> None:
    entry = records.store.get("PricebookEntry", row["PricebookEntryId"]) if row.get("PricebookEntryId") else None
    if entry:
        row |= {
            "Product2Id": entry["Product2Id"],
            "ListPrice": entry["UnitPrice"],
            "ProductCode": entry.get("ProductCode"),
        }
        product = records.store.get("Product2", entry["Product2Id"]) or {}
        opportunity = records.store.get("Opportunity", row["OpportunityId"]) or {}
        row["Name"] = f"{opportunity.get('Name')} {product.get('Name')}"
    quantity = row["Quantity"]
    if given.get("TotalPrice") is not None and given.get("UnitPrice") is not None and old is None:
        raise Failure(400, "FIELD_INTEGRITY_EXCEPTION", "field integrity exception (unit price, total price)", [])
    if given.get("TotalPrice") is not None:
        row["UnitPrice"] = round(row["TotalPrice"] / quantity, 2) if quantity else 0.0
    else:
        if row.get("UnitPrice") is None:
            row["UnitPrice"] = row.get("ListPrice") or 0.0
        row["TotalPrice"] = round(row["UnitPrice"] * quantity, 2)


def _after_line_item(records: Records, row: Row, old: Row | None, given: dict[str, Any], actor: Actor) -> None:
    _roll_up(records, row["OpportunityId"])


def _roll_up(records: Records, key: str) -> None:
    row = records.store.get("Opportunity", key)
    if row is None or row.get("IsDeleted"):
        return
    lines = records.store.find("OpportunityLineItem", "OpportunityId", key)
    changed = {**row, "HasOpportunityLineItem": bool(lines), "SystemModstamp": records.now()}
    if lines:
        changed["Amount"] = round(sum(line["TotalPrice"] or 0.0 for line in lines), 2)
        if changed.get("Probability") is not None:
            changed["ExpectedRevenue"] = round(changed["Amount"] * changed["Probability"] / 100, 2)
    records.store.put("Opportunity", changed)


def _price(records: Records, row: Row, old: Row | None, given: dict[str, Any], actor: Actor) -> None:
    product = records.store.get("Product2", row["Product2Id"]) or {}
    row["Name"], row["ProductCode"] = product.get("Name"), product.get("ProductCode")


# activities


def _account_of(records: Records, row: Row) -> str | None:
    for name in ("WhatId", "WhoId"):
        target = records.schema.of_prefix((row.get(name) or "")[:3])
        if target is None:
            continue
        if target.name == "Account":
            return str(row[name])
        related = records.store.get(target.name, row[name]) or {}
        if related.get("AccountId"):
            return str(related["AccountId"])
    return None


def _event(records: Records, row: Row, old: Row | None, given: dict[str, Any], actor: Actor) -> None:
    row["AccountId"] = _account_of(records, row)
    if given.get("Recurrence2PatternText"):
        row |= {"IsRecurrence2": True, "Recurrence2PatternVersion": "2", "GroupEventType": "3"}
    start = _start(row, old, given)
    if start is None:
        raise Failure(
            400,
            "REQUIRED_FIELD_MISSING",
            "Required fields are missing: [DurationInMinutes, ActivityDateTime]",
            ["DurationInMinutes", "ActivityDateTime"],
        )
    all_day = row["IsAllDayEvent"]
    minutes = _duration(row, old, given, start, 1440 if all_day else 0)
    end = add_minutes(start, minutes - (1440 if all_day else 0))
    row |= {
        "StartDateTime": start,
        "EndDateTime": end,
        "DurationInMinutes": minutes,
        "ActivityDate": start[:10],
        "EndDate": end[:10],
        "ActivityDateTime": None if all_day else start,
    }
    if all_day:
        row["ActivityDateTime"] = start


def _start(row: Row, old: Row | None, given: dict[str, Any]) -> str | None:
    """The start that a save asks for. All-day events start at midnight UTC of their date, whatever the zone."""
    start = given.get("StartDateTime") or given.get("ActivityDateTime")
    day = given.get("ActivityDate")
    if row["IsAllDayEvent"]:
        chosen = day or (start or "")[:10] or ((old or {}).get("StartDateTime") or "")[:10]
        return f"{chosen}T00:00:00.000+0000" if chosen else None
    if start is None and old is not None:
        start = old["StartDateTime"]
        if day and start:
            start = day + start[10:]
    return start


def _duration(row: Row, old: Row | None, given: dict[str, Any], start: str, shift: int) -> int:
    minutes, end = given.get("DurationInMinutes"), given.get("EndDateTime")
    from_end = None
    if end is not None:
        if shift:
            end = end[:10] + "T00:00:00.000+0000"
        from_end = int((moment(end) - moment(start)).total_seconds() // 60) + shift
    if minutes is not None and from_end is not None and minutes != from_end:
        raise Failure(
            400,
            "FIELD_INTEGRITY_EXCEPTION",
            "Event end date/time and duration do not agree: "
            f"EndDateTime gives {from_end} minutes, DurationInMinutes is {minutes}",
            ["DurationInMinutes", "EndDateTime"],
        )
    chosen = minutes if minutes is not None else from_end
    if chosen is None:
        chosen = old["DurationInMinutes"] if old is not None else (1440 if shift else None)
    if chosen is None:
        raise Failure(
            400, "REQUIRED_FIELD_MISSING", "Required fields are missing: [DurationInMinutes]", ["DurationInMinutes"]
        )
    if chosen < 0:
        raise Failure(400, "FIELD_INTEGRITY_EXCEPTION", "Event duration can't be negative", ["DurationInMinutes"])
    if shift and chosen % 1440:
        chosen += 1440 - chosen % 1440
    return int(chosen)


def _invitations(records: Records, event: str) -> list[Row]:
    return records.store.find("Event", "_invitation_to", event)


_SHARED = (
    "Subject",
    "Location",
    "IsAllDayEvent",
    "ActivityDateTime",
    "ActivityDate",
    "DurationInMinutes",
    "StartDateTime",
    "EndDateTime",
    "EndDate",
    "Description",
    "IsPrivate",
    "ShowAs",
    "WhoId",
    "WhatId",
    "AccountId",
)


def _after_event(records: Records, row: Row, old: Row | None, given: dict[str, Any], actor: Actor) -> None:
    if old is None:
        if row["IsRecurrence"]:
            recurrence.expand(records, row)
        return
    if not row["IsGroupEvent"] or row["IsChild"]:
        return
    for child in _invitations(records, row["Id"]):
        shared = {name: row[name] for name in _SHARED}
        records.store.put(
            "Event",
            {
                **child,
                **shared,
                "LastModifiedDate": row["LastModifiedDate"],
                "LastModifiedById": actor.user,
                "SystemModstamp": row["SystemModstamp"],
            },
        )


def _after_event_relation(records: Records, row: Row, old: Row | None, given: dict[str, Any], actor: Actor) -> None:
    """Inviting a user makes a child event in the invitee's calendar; contacts, leads and resources get none."""
    event = records.store.get("Event", row["EventId"])
    if old is not None or event is None:
        return
    at = row["SystemModstamp"]
    parent = {**event, "IsGroupEvent": True, "GroupEventType": "1", "SystemModstamp": at}
    records.store.put("Event", parent)
    if row["RelationId"].startswith("005") and row["RelationId"] != event["OwnerId"]:
        records.store.put(
            "Event",
            {
                **parent,
                "Id": records.store.next_id(records.sobject("Event")),
                "IsChild": True,
                "OwnerId": row["RelationId"],
                "CreatedDate": at,
                "CreatedById": actor.user,
                "LastModifiedDate": at,
                "LastModifiedById": actor.user,
                "SystemModstamp": at,
                "_invitation_to": event["Id"],
            },
        )


def _task(records: Records, row: Row, old: Row | None, given: dict[str, Any], actor: Actor) -> None:
    row["AccountId"] = _account_of(records, row)
    row["Status"] = row.get("Status") or "Not Started"
    row["Priority"] = row.get("Priority") or "Normal"
    row["IsHighPriority"] = row["Priority"] == "High"
    closed = row["Status"] == "Completed"
    if closed != bool((old or {}).get("IsClosed")) or old is None:
        row["CompletedDateTime"] = records.now() if closed else None
    row["IsClosed"] = closed


def _case(records: Records, row: Row, old: Row | None, given: dict[str, Any], actor: Actor) -> None:
    contact = records.store.get("Contact", row["ContactId"]) if row.get("ContactId") else None
    for name, source in (
        ("ContactPhone", "Phone"),
        ("ContactMobile", "MobilePhone"),
        ("ContactEmail", "Email"),
        ("ContactFax", "Fax"),
    ):
        row[name] = contact.get(source) if contact else None
    if contact and not row.get("AccountId"):
        row["AccountId"] = contact.get("AccountId")
    closed = row.get("Status") == "Closed"
    if closed != bool((old or {}).get("IsClosed")):
        row["ClosedDate"] = records.now() if closed else None
    row["IsClosed"] = closed


_BEFORE: dict[str, Hook] = {
    "Account": _account,
    "Contact": _person_name,
    "Lead": _lead,
    "User": _user,
    "Opportunity": _opportunity,
    "OpportunityLineItem": _line_item,
    "PricebookEntry": _price,
    "Event": _event,
    "Task": _task,
    "Case": _case,
}
_AFTER: dict[str, Hook] = {
    "Account": _after_account,
    "Contact": _after_contact,
    "Opportunity": _after_opportunity,
    "OpportunityContactRole": _after_contact_role,
    "OpportunityLineItem": _after_line_item,
    "Event": _after_event,
    "EventRelation": _after_event_relation,
}
