"""The organisation around the records: its own row, profiles, users, stages, price book; and a small population.

Shapes follow a real Organization record and the Object Reference.
"""

from __future__ import annotations

from typing import Any

from . import behaviour
from .records import Actor, Records
from .schema import Schema
from .store import Row, Store


def found_organisation(store: Store, schema: Schema, stamp: str) -> tuple[str, str]:
    """Write the rows that every organisation has; returns (organisation id, administrator's user id)."""

    def put(name: str, **values: Any) -> str:
        sobject = schema.object(name)
        assert sobject is not None
        key = values.pop("Id", None) or store.next_id(sobject)
        row: Row = {
            f.name: False if f.type == "boolean" else None for f in sobject.fields.values() if f.type != "address"
        }
        audit = {
            "CreatedDate": stamp,
            "LastModifiedDate": stamp,
            "SystemModstamp": stamp,
            "CreatedById": admin,
            "LastModifiedById": admin,
        }
        row |= {name: value for name, value in audit.items() if name in sobject.fields}
        store.put(name, {**row, **values, "Id": key})
        return str(key)

    user = schema.object("User")
    assert user is not None
    admin = store.next_id(user)
    organisation = put(
        "Organization",
        Name="Practice Company",
        Country="US",
        PrimaryContact="Ada Admin",
        DefaultLocaleSidKey="en_US",
        TimeZoneSidKey="America/Los_Angeles",
        LanguageLocaleKey="en_US",
        FiscalYearStartMonth=1,
        OrganizationType="Developer Edition",
        InstanceName="NA1",
        DefaultAccountAccess="Edit",
        DefaultContactAccess="ControlledByParent",
        DefaultOpportunityAccess="Edit",
    )
    profile = put("Profile", Name="System Administrator", UserType="Standard")
    put("Profile", Name="Standard User", UserType="Standard")
    put("UserRole", Name="CEO", DeveloperName="CEO", OpportunityAccessForAccountOwner="Edit")
    put(
        "User",
        Id=admin,
        Username="admin@practice.example",
        FirstName="Ada",
        LastName="Admin",
        Name="Ada Admin",
        Email="admin@practice.example",
        Alias="aadmi",
        CommunityNickname="admin",
        IsActive=True,
        ProfileId=profile,
        **USER_DEFAULTS,
    )
    for place, (name, probability, category, closed, won) in enumerate(behaviour.STAGES, 1):
        put(
            "OpportunityStage",
            MasterLabel=name,
            ApiName=name,
            IsActive=True,
            SortOrder=place,
            IsClosed=closed,
            IsWon=won,
            DefaultProbability=float(probability),
            ForecastCategory=category,
            ForecastCategoryName=behaviour.CATEGORY_NAMES[category],
        )
    put("Pricebook2", Name="Standard Price Book", IsActive=True, IsStandard=True)
    return organisation, admin


USER_DEFAULTS = {
    "TimeZoneSidKey": "America/Los_Angeles",
    "LocaleSidKey": "en_US",
    "LanguageLocaleKey": "en_US",
    "EmailEncodingKey": "UTF-8",
    "UserType": "Standard",
}


def new_user(records: Records, username: str, first: str | None, last: str, email: str, actor: Actor) -> str:
    """A standard user with the usual settings."""
    profile = records.store.find("Profile", "Name", "Standard User")
    nick = username.split("@")[0]
    fields = {k: v for k, v in USER_DEFAULTS.items() if k != "UserType"}
    key = records.create(
        "User",
        {
            **fields,
            "Username": username,
            "FirstName": first,
            "LastName": last,
            "Email": email,
            "Alias": nick[:8],
            "CommunityNickname": nick[:40],
            "IsActive": True,
            "ProfileId": profile[0]["Id"],
        },
        actor,
    )
    row = records.store.table("User").rows[key]
    records.store.put("User", {**row, "UserType": "Standard"})
    return key
