"""What a fresh HubSpot portal knows: object types, their properties, and the type ids of associations.

Names, types and flags follow HubSpot's property reference ("Default contact / company / deal / ... properties") and
`GET /crm/v3/properties` recordings of public projects. Association type ids: hubspot-api-client 12.0.0,
`hubspot/crm/association_type.py` (Apache-2.0), and HubSpot "Associations v4" for those that file lacks.

The properties themselves stand in `properties.txt`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class ObjectType:
    """A kind of record. `name` is the plural in paths, `id` the object type id, `singular` the name in messages."""

    name: str
    id: str
    singular: str
    label: str
    created: str = "createdate"
    modified: str = "hs_lastmodifieddate"
    defaults: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    group: str = ""
    scope: str = ""
    mergeable: bool = True
    custom: bool = False

    @property
    def always(self) -> tuple[str, str, str]:
        """Properties that come with every answer."""
        return (self.created, self.modified, "hs_object_id")

    @property
    def spellings(self) -> tuple[str, ...]:
        """Every name that a path may use, lower case."""
        return tuple({self.name.lower(), self.singular.lower(), self.id})


def _type(name: str, type_id: str, singular: str, defaults: str, **details: object) -> ObjectType:
    return ObjectType(
        name,
        type_id,
        singular,
        str(details.pop("label", singular.upper())),
        defaults=tuple(sorted(defaults.split())),
        **details,  # type: ignore[arg-type]
    )


_ACTIVITY = {"created": "hs_createdate", "mergeable": False, "scope": "contacts", "group": "engagement"}

OBJECT_TYPES: tuple[ObjectType, ...] = (
    _type(
        "contacts",
        "0-1",
        "contact",
        "createdate email firstname hs_object_id lastmodifieddate lastname",
        modified="lastmodifieddate",
        group="contactinformation",
        scope="contacts",
    ),
    _type(
        "companies",
        "0-2",
        "company",
        "createdate domain hs_lastmodifieddate hs_object_id name",
        group="companyinformation",
        scope="companies",
    ),
    _type(
        "deals",
        "0-3",
        "deal",
        "amount closedate createdate dealname dealstage hs_lastmodifieddate hs_object_id pipeline",
        group="dealinformation",
        scope="deals",
    ),
    _type(
        "tickets",
        "0-5",
        "ticket",
        "content createdate hs_lastmodifieddate hs_object_id hs_pipeline hs_pipeline_stage hs_ticket_category "
        "hs_ticket_priority subject",
        required=("hs_pipeline_stage",),
        group="ticketinformation",
        scope="tickets",
    ),
    _type(
        "products",
        "0-7",
        "product",
        "createdate description hs_lastmodifieddate hs_object_id name price",
        group="productinformation",
        scope="products",
        mergeable=False,
    ),
    _type(
        "line_items",
        "0-8",
        "line_item",
        "createdate hs_lastmodifieddate hs_object_id hs_product_id quantity",
        label="LINE_ITEM",
        group="lineiteminformation",
        scope="line_items",
        mergeable=False,
    ),
    _type(
        "tasks",
        "0-27",
        "task",
        "hs_createdate hs_lastmodifieddate hs_object_id",
        required=("hs_timestamp",),
        **_ACTIVITY,
    ),
    _type(
        "notes",
        "0-46",
        "note",
        "hs_createdate hs_lastmodifieddate hs_object_id",
        required=("hs_timestamp",),
        **_ACTIVITY,
    ),
    _type(
        "meetings",
        "0-47",
        "meeting",
        "hs_createdate hs_lastmodifieddate hs_object_id",
        label="MEETING_EVENT",
        required=("hs_timestamp",),
        **_ACTIVITY,
    ),
    _type(
        "calls",
        "0-48",
        "call",
        "hs_createdate hs_lastmodifieddate hs_object_id",
        required=("hs_timestamp",),
        **_ACTIVITY,
    ),
    _type(
        "emails",
        "0-49",
        "email",
        "hs_createdate hs_lastmodifieddate hs_object_id",
        required=("hs_timestamp",),
        **_ACTIVITY,
    ),
    _type(
        "communications",
        "0-18",
        "communication",
        "hs_createdate hs_lastmodifieddate hs_object_id",
        required=("hs_timestamp",),
        **_ACTIVITY,
    ),
    _type(
        "postal_mail",
        "0-116",
        "postal_mail",
        "hs_createdate hs_lastmodifieddate hs_object_id",
        required=("hs_timestamp",),
        **_ACTIVITY,
    ),
    _type(
        "quotes",
        "0-14",
        "quote",
        "hs_createdate hs_expiration_date hs_lastmodifieddate hs_object_id hs_quote_amount hs_quote_number hs_status "
        "hs_title",
        created="hs_createdate",
        required=("hs_title", "hs_expiration_date"),
        group="quoteinformation",
        scope="quotes",
        mergeable=False,
    ),
)

EXTRA_SPELLINGS = {
    "line_item": "line_items",
    "lineitems": "line_items",
    "line-items": "line_items",
    "meeting_event": "meetings",
    "meeting_events": "meetings",
}

LIFECYCLE_ORDER = (
    "subscriber", "lead", "marketingqualifiedlead", "salesqualifiedlead", "opportunity", "customer", "evangelist",
    "other",
)  # fmt: skip
"""Lifecycle stages; a record only moves forward through them unless its stage is cleared first."""

ACTIVITIES = ("tasks", "notes", "meetings", "calls", "emails", "communications", "postal_mail")


@cache
def _sections() -> dict[str, list[list[str]]]:
    """The lines of `properties.txt` by section, taken apart into columns."""
    sections: dict[str, list[list[str]]] = {}
    for line in files(__package__).joinpath("properties.txt").read_text("utf-8").splitlines():
        if line.startswith("["):
            current = sections[line.strip("[] ")] = []
        elif line and not line.startswith("#"):
            current.append([column.strip() for column in line.split("|")])
    return sections


def property_lines(type_name: str) -> list[list[str]]:
    """The columns of each property line of a type, the ones that every type has included."""
    sections = _sections()
    activity = sections["activity"] if type_name in ACTIVITIES else []
    return [*sections.get(type_name, sections["custom"]), *activity, *sections["*"]]


ASSOCIATION_IDS: dict[str, int] = {
    "contact>company": 279,
    "company>contact": 280,
    "deal>contact": 3,
    "contact>deal": 4,
    "deal>company": 341,
    "company>deal": 342,
    "ticket>company": 339,
    "company>ticket": 340,
    "contact>ticket": 15,
    "ticket>contact": 16,
    "deal>ticket": 27,
    "ticket>deal": 28,
    "deal>line_item": 19,
    "line_item>deal": 20,
    "call>contact": 194,
    "contact>call": 193,
    "call>company": 182,
    "company>call": 181,
    "call>deal": 206,
    "deal>call": 205,
    "call>ticket": 220,
    "ticket>call": 219,
    "call>meeting": 399,
    "meeting>call": 400,
    "email>contact": 198,
    "contact>email": 197,
    "email>company": 186,
    "company>email": 185,
    "email>deal": 210,
    "deal>email": 209,
    "email>ticket": 224,
    "ticket>email": 223,
    "meeting>contact": 200,
    "contact>meeting": 199,
    "meeting>company": 188,
    "company>meeting": 187,
    "meeting>deal": 212,
    "deal>meeting": 211,
    "meeting>ticket": 226,
    "ticket>meeting": 225,
    "note>contact": 202,
    "contact>note": 201,
    "note>company": 190,
    "company>note": 189,
    "note>deal": 214,
    "deal>note": 213,
    "note>ticket": 228,
    "ticket>note": 227,
    "task>contact": 204,
    "contact>task": 203,
    "task>company": 192,
    "company>task": 191,
    "task>deal": 216,
    "deal>task": 215,
    "task>ticket": 230,
    "ticket>task": 229,
    "communication>contact": 81,
    "contact>communication": 82,
    "communication>ticket": 83,
    "ticket>communication": 84,
    "communication>deal": 85,
    "deal>communication": 86,
    "communication>company": 87,
    "company>communication": 88,
    "postal_mail>contact": 453,
    "contact>postal_mail": 454,
    "postal_mail>ticket": 455,
    "ticket>postal_mail": 456,
    "postal_mail>deal": 457,
    "deal>postal_mail": 458,
    "postal_mail>company": 459,
    "company>postal_mail": 460,
    "quote>deal": 64,
    "deal>quote": 63,
    "quote>line_item": 67,
    "line_item>quote": 68,
    "quote>contact": 69,
    "contact>quote": 70,
    "quote>company": 71,
    "company>quote": 72,
    "quote>task": 217,
    "task>quote": 218,
    "contact>contact": 449,
    "company>company": 450,
    "deal>deal": 451,
    "ticket>ticket": 452,
}
"""Type id of the unlabelled association, by direction."""

PRIMARY_IDS: dict[str, tuple[int, str]] = {
    "contact>company": (1, "Primary"),
    "company>contact": (2, "Contact with Primary Company"),
    "deal>company": (5, "Primary"),
    "company>deal": (6, "Deal with Primary Company"),
    "ticket>company": (26, "Primary"),
    "company>ticket": (25, "Ticket with Primary Company"),
}
"""Type id and label of the primary association, by direction. A record has at most one primary company."""

HIERARCHY_IDS: dict[str, tuple[int, str]] = {
    "parent>child": (13, "Child Company"),
    "child>parent": (14, "Parent Company"),
}
"""Company to company: parent's view of its child, and the child's of its parent (HubSpot "Associations v4")."""

DEAL_STAGES = (
    ("appointmentscheduled", "Appointment Scheduled", "0.2", False),
    ("qualifiedtobuy", "Qualified To Buy", "0.4", False),
    ("presentationscheduled", "Presentation Scheduled", "0.6", False),
    ("decisionmakerboughtin", "Decision Maker Bought-In", "0.8", False),
    ("contractsent", "Contract Sent", "0.9", False),
    ("closedwon", "Closed Won", "1.0", True),
    ("closedlost", "Closed Lost", "0.0", True),
)
TICKET_STAGES = (
    ("1", "New", "OPEN"),
    ("2", "Waiting on contact", "OPEN"),
    ("3", "Waiting on us", "OPEN"),
    ("4", "Closed", "CLOSED"),
)
