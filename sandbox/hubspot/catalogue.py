"""What a fresh HubSpot portal knows: object types, their properties, and the type ids of associations.

Names, types and flags follow HubSpot's property reference ("Default contact / company / deal / ... properties") and
`GET /crm/v3/properties` recordings of public projects. Association type ids: hubspot-api-client 12.0.0,
`hubspot/crm/association_type.py` (Apache-2.0), and HubSpot "Associations v4" for those that file lacks.

A property is one line: name | label | type | fieldType | flags | options. Flags: `u` unique, `r` read-only value,
`c` calculated (read-only), `x` options kept elsewhere (pipelines, owners), `h` hidden, `s` searched by `query`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ObjectType:
    """A kind of record. `name` is the plural that paths use, `id` the object type id, `singular` the one in messages."""

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
)

EXTRA_SPELLINGS = {
    "line_item": "line_items",
    "lineitems": "line_items",
    "line-items": "line_items",
    "meeting_event": "meetings",
    "meeting_events": "meetings",
}

_COMMON = """
hs_object_id | Record ID | number | text | r
hubspot_owner_id | Owner | enumeration | select | x
hubspot_owner_assigneddate | Owner assigned date | datetime | date | r
hubspot_team_id | HubSpot team | enumeration | select | xr
hs_all_owner_ids | All owner IDs | enumeration | checkbox | xrh
hs_merged_object_ids | Merged record IDs | enumeration | checkbox | r
hs_object_source | Record creation source | string | text | rh
hs_object_source_id | Record creation source ID | string | text | rh
hs_object_source_label | Record source | string | text | r
hs_object_source_user_id | Record creation source user ID | number | number | rh
hs_created_by_user_id | Created by user ID | number | number | r
hs_updated_by_user_id | Updated by user ID | number | number | r
hs_user_ids_of_all_owners | User IDs of all owners | enumeration | checkbox | rh
hs_unique_creation_key | Unique creation key | string | text | rh
hs_was_imported | Performed in an import | bool | booleancheckbox | r
hs_read_only | Read only object | bool | booleancheckbox | rh
"""

_LIFECYCLE = (
    "subscriber=Subscriber,lead=Lead,marketingqualifiedlead=Marketing Qualified Lead,"
    "salesqualifiedlead=Sales Qualified Lead,opportunity=Opportunity,customer=Customer,evangelist=Evangelist,other=Other"
)
LIFECYCLE_ORDER = tuple(option.partition("=")[0] for option in _LIFECYCLE.split(","))

_LEAD_STATUS = (
    "NEW=New,OPEN=Open,IN_PROGRESS=In Progress,OPEN_DEAL=Open Deal,UNQUALIFIED=Unqualified,"
    "ATTEMPTED_TO_CONTACT=Attempted to Contact,CONNECTED=Connected,BAD_TIMING=Bad Timing"
)
_INDUSTRY = (
    "ACCOUNTING,AIRLINES_AVIATION,ARCHITECTURE_PLANNING,AUTOMOTIVE,BANKING,BIOTECHNOLOGY,BUILDING_MATERIALS,CHEMICALS,"
    "COMPUTER_HARDWARE,COMPUTER_SOFTWARE,CONSTRUCTION,CONSUMER_GOODS,DEFENSE_SPACE,EDUCATION_MANAGEMENT,"
    "ELECTRICAL_ELECTRONIC_MANUFACTURING,FARMING,FINANCIAL_SERVICES,FOOD_BEVERAGES,FURNITURE,HIGHER_EDUCATION,"
    "HOSPITAL_HEALTH_CARE,HOSPITALITY,INFORMATION_TECHNOLOGY_AND_SERVICES,INSURANCE,INTERNET,LOGISTICS_AND_SUPPLY_CHAIN,"
    "MACHINERY,MANAGEMENT_CONSULTING,MARKETING_AND_ADVERTISING,MEDICAL_DEVICES,OIL_ENERGY,PHARMACEUTICALS,PUBLISHING,"
    "REAL_ESTATE,RENEWABLES_ENVIRONMENT,RETAIL,TELECOMMUNICATIONS,TRANSPORTATION_TRUCKING_RAILROAD,UTILITIES,WHOLESALE"
)
_CURRENCIES = "USD=US Dollar,EUR=Euro,GBP=British Pound,JPY=Japanese Yen,CHF=Swiss Franc,AUD=Australian Dollar,CAD=Canadian Dollar"

_ENGAGEMENT = """
hs_createdate | Create date | datetime | date | r
hs_lastmodifieddate | Last modified date | datetime | date | r
hs_timestamp | Activity date | datetime | date |
hs_activity_type | Activity type | enumeration | select | x
hs_attachment_ids | Attached file IDs | enumeration | checkbox | x
hs_engagement_source | Engagement source | string | text | r
hs_engagement_source_id | Engagement source ID | string | text | r
hs_at_mentioned_owner_ids | At-mentioned owner IDs | enumeration | checkbox | x
hs_body_preview | Body preview | string | textarea | c
"""

PROPERTIES: dict[str, str] = {
    "contacts": f"""
email | Email | string | text | us
firstname | First Name | string | text | s
lastname | Last Name | string | text | s
createdate | Create Date | datetime | date | r
lastmodifieddate | Last Modified Date | datetime | date | r
phone | Phone Number | string | phonenumber | s
mobilephone | Mobile Phone Number | string | phonenumber | s
fax | Fax Number | string | text |
jobtitle | Job Title | string | text |
company | Company Name | string | text | s
website | Website URL | string | text |
address | Street Address | string | text |
city | City | string | text |
state | State/Region | string | text |
zip | Postal Code | string | text |
country | Country/Region | string | text |
salutation | Salutation | string | text |
seniority | Seniority | string | text |
annualrevenue | Annual Revenue | string | text |
numemployees | Number of Employees | enumeration | select | | 1-5,5-25,25-50,50-100,100-500,500-1000,1000+
industry | Industry | string | text |
date_of_birth | Date of birth | string | text |
message | Message | string | textarea |
lifecyclestage | Lifecycle Stage | enumeration | radio | | {_LIFECYCLE}
hs_lead_status | Lead Status | enumeration | radio | | {_LEAD_STATUS}
hs_pipeline | Pipeline | enumeration | select | x
hs_additional_emails | Additional email addresses | enumeration | checkbox | xs
hs_all_contact_vids | All vids for a contact | enumeration | checkbox | ch
hs_calculated_merged_vids | Merged vids with timestamps of a contact | enumeration | checkbox | ch
hs_full_name_or_email | Full name or email | string | text | c
hs_email_domain | Email Domain | string | text | c
hs_is_contact | Is a contact | bool | booleancheckbox | c
hs_is_unworked | Contact unworked | bool | booleancheckbox | c
hs_lifecyclestage_lead_date | Became a Lead Date | datetime | date | c
hs_lifecyclestage_opportunity_date | Became an Opportunity Date | datetime | date | c
hs_lifecyclestage_customer_date | Became a Customer Date | datetime | date | c
hs_timezone | Time Zone | enumeration | select | x
hs_language | Preferred language | enumeration | select | x
hs_linkedin_url | LinkedIn URL | string | text |
notes_last_contacted | Last Contacted | datetime | date | r
notes_last_updated | Last Activity Date | datetime | date | r
notes_next_activity_date | Next Activity Date | datetime | date | r
num_notes | Number of Sales Activities | number | number | r
num_associated_deals | Number of Associated Deals | number | number | r
associatedcompanyid | Primary Associated Company ID | number | number | r
hs_createdate | Object create date/time | datetime | date | rh
""",
    "companies": f"""
name | Company name | string | text | s
domain | Company Domain Name | string | text | s
createdate | Create Date | datetime | date | r
hs_lastmodifieddate | Last Modified Date | datetime | date | r
phone | Phone Number | string | phonenumber | s
website | Website URL | string | text | s
address | Street Address | string | text |
address2 | Street Address 2 | string | text |
city | City | string | text |
state | State/Region | string | text |
zip | Postal Code | string | text |
country | Country/Region | string | text |
industry | Industry | enumeration | select | | {_INDUSTRY}
type | Type | enumeration | select | | PROSPECT=Prospect,PARTNER=Partner,RESELLER=Reseller,VENDOR=Vendor,OTHER=Other
numberofemployees | Number of Employees | number | number |
annualrevenue | Annual Revenue | number | number |
description | Description | string | textarea |
founded_year | Year Founded | string | text |
is_public | Is Public | bool | booleancheckbox |
timezone | Time Zone | string | text |
lifecyclestage | Lifecycle Stage | enumeration | radio | | {_LIFECYCLE}
hs_lead_status | Lead Status | enumeration | radio | | {_LEAD_STATUS}
hs_pipeline | Pipeline | enumeration | select | x
hs_parent_company_id | Parent Company | number | number | r
hs_num_child_companies | Number of child companies | number | number | c
hs_additional_domains | Additional Domains | enumeration | checkbox | xs
linkedin_company_page | LinkedIn Company Page | string | text |
num_associated_contacts | Number of Associated Contacts | number | number | r
num_associated_deals | Number of Associated Deals | number | number | r
notes_last_updated | Last Activity Date | datetime | date | r
notes_last_contacted | Last Contacted | datetime | date | r
hs_createdate | Object create date/time | datetime | date | rh
""",
    "deals": f"""
dealname | Deal Name | string | text | s
amount | Amount | number | number |
amount_in_home_currency | Amount in company currency | number | number | c
deal_currency_code | Currency | enumeration | select | | {_CURRENCIES}
closedate | Close Date | datetime | date |
createdate | Create Date | datetime | date |
hs_lastmodifieddate | Last Modified Date | datetime | date | r
dealstage | Deal Stage | enumeration | radio | xs
pipeline | Pipeline | enumeration | select | xs
dealtype | Deal Type | enumeration | radio | s | newbusiness=New Business,existingbusiness=Existing Business
description | Deal Description | string | textarea | s
hs_priority | Priority | enumeration | select | | low=Low,medium=Medium,high=High
hs_next_step | Next step | string | text |
closed_lost_reason | Closed Lost Reason | string | textarea |
closed_won_reason | Closed Won Reason | string | textarea |
hs_deal_stage_probability | Deal probability | number | number |
hs_deal_stage_probability_shadow | Deal stage probability shadow | number | number | ch
hs_projected_amount | Weighted amount | number | number | c
hs_projected_amount_in_home_currency | Weighted amount in company currency | number | number | c
hs_forecast_probability | Forecast probability | number | number |
hs_forecast_amount | Forecast amount | number | number | c
hs_manual_forecast_category | Forecast category | enumeration | select | | OMIT=Not forecasted,PIPELINE=Pipeline,BEST_CASE=Best case,COMMIT=Commit,CLOSED=Closed won
hs_is_closed | Is deal closed? | bool | booleancheckbox | c
hs_is_closed_won | Is Closed Won | bool | booleancheckbox | c
hs_is_closed_lost | Is closed lost | bool | booleancheckbox | c
hs_is_open_count | Is open (numeric) | number | number | ch
hs_is_closed_count | Is Closed (numeric) | number | number | ch
hs_closed_amount | Closed deal amount | number | number | c
hs_closed_amount_in_home_currency | Closed deal amount in home currency | number | number | c
hs_closed_won_date | Closed won date | datetime | date | c
hs_is_deal_split | Is deal split | bool | booleancheckbox | c
hs_v2_date_entered_current_stage | Date entered current stage | datetime | date | c
days_to_close | Days to close | number | number | c
hs_tcv | Total contract value | number | number |
hs_acv | Annual contract value | number | number |
hs_arr | Annual recurring revenue | number | number |
hs_mrr | Monthly recurring revenue | number | number |
num_associated_contacts | Number of Associated Contacts | number | number | c
num_notes | Number of Sales Activities | number | number | r
notes_last_updated | Last Activity Date | datetime | date | r
notes_last_contacted | Last Contacted | datetime | date | r
notes_next_activity_date | Next Activity Date | datetime | date | r
hs_createdate | Object create date/time | datetime | date | rh
""",
    "tickets": """
subject | Ticket name | string | text | s
content | Ticket description | string | textarea | s
createdate | Create date | datetime | date | r
hs_lastmodifieddate | Last modified date | datetime | date | r
hs_pipeline | Pipeline | enumeration | select | xs
hs_pipeline_stage | Ticket status | enumeration | select | x
hs_ticket_category | Category | enumeration | checkbox | s | PRODUCT_ISSUE=Product Issue,BILLING_ISSUE=Billing Issue,FEATURE_REQUEST=Feature Request,GENERAL_INQUIRY=General Inquiry
hs_ticket_priority | Priority | enumeration | select | | LOW=Low,MEDIUM=Medium,HIGH=High,URGENT=Urgent
hs_ticket_id | Ticket ID | number | number | rs
source_type | Source | enumeration | select | | CHAT=Chat,EMAIL=Email,FORM=Form,PHONE=Phone
closed_date | Close date | datetime | date |
hs_createdate | Object create date/time | datetime | date | rh
""",
    "products": """
name | Name | string | text | s
description | Product description | string | textarea | s
price | Unit price | number | number | s
hs_sku | SKU | string | text | s
hs_cost_of_goods_sold | Unit cost | number | number |
hs_recurring_billing_period | Term | string | text |
recurringbillingfrequency | Billing frequency | enumeration | select | | monthly=Monthly,quarterly=Quarterly,annually=Annually
hs_url | URL | string | text |
createdate | Create Date | datetime | date | r
hs_lastmodifieddate | Last Modified Date | datetime | date | r
hs_createdate | Object create date/time | datetime | date | rh
""",
    "line_items": f"""
name | Name | string | text | s
description | Description | string | textarea |
price | Unit price | number | number |
quantity | Quantity | number | number |
amount | Net price | number | number | c
discount | Unit discount | number | number |
hs_product_id | Product ID | number | number |
hs_sku | SKU | string | text |
hs_line_item_currency_code | Currency | enumeration | select | | {_CURRENCIES}
recurringbillingfrequency | Billing frequency | enumeration | select | | monthly=Monthly,quarterly=Quarterly,annually=Annually
createdate | Create Date | datetime | date | r
hs_lastmodifieddate | Last Modified Date | datetime | date | r
hs_createdate | Object create date/time | datetime | date | rh
""",
    "meetings": f"""
{_ENGAGEMENT}
hs_meeting_title | Meeting name | string | text | s
hs_meeting_body | Meeting description | string | html | s
hs_meeting_start_time | Meeting start time | datetime | date |
hs_meeting_end_time | Meeting end time | datetime | date |
hs_meeting_location | Meeting location | string | text |
hs_meeting_location_type | Meeting location type | enumeration | select | | PHONE=Phone,ADDRESS=Address,CUSTOM=Custom
hs_meeting_outcome | Meeting outcome | enumeration | select | | SCHEDULED=Scheduled,COMPLETED=Completed,RESCHEDULED=Rescheduled,NO_SHOW=No Show,CANCELED=Canceled
hs_meeting_external_url | Meeting external URL | string | text |
hs_meeting_source | Meeting source | string | text |
hs_meeting_source_id | Meeting source unique ID | string | text |
hs_internal_meeting_notes | Internal meeting notes | string | html |
hs_attendee_owner_ids | Attendee owners | enumeration | checkbox | x
hs_i_cal_uid | iCal UID | string | text |
""",
    "tasks": f"""
{_ENGAGEMENT}
hs_task_subject | Task title | string | text | s
hs_task_body | Task notes | string | html | s
hs_task_status | Task status | enumeration | select | | NOT_STARTED=Not started,IN_PROGRESS=In progress,WAITING=Waiting,COMPLETED=Completed,DEFERRED=Deferred
hs_task_priority | Priority | enumeration | select | | NONE=None,LOW=Low,MEDIUM=Medium,HIGH=High
hs_task_type | Task type | enumeration | select | | EMAIL=Email,CALL=Call,TODO=To Do,LINKED_IN_CONNECT=LinkedIn connect,LINKED_IN_MESSAGE=LinkedIn message,MEETING=Meeting
hs_task_completion_date | Completed at | datetime | date | r
hs_task_is_completed | Is completed | number | number | c
hs_task_reminders | Reminders | string | text |
hs_queue_membership_ids | Queue memberships | enumeration | checkbox | x
""",
    "notes": f"""
{_ENGAGEMENT}
hs_note_body | Note body | string | html | s
""",
    "calls": f"""
{_ENGAGEMENT}
hs_call_title | Call title | string | text | s
hs_call_body | Call notes | string | html | s
hs_call_direction | Call direction | enumeration | select | | INBOUND=Inbound,OUTBOUND=Outbound
hs_call_disposition | Call outcome | enumeration | select | x
hs_call_duration | Call duration | number | number |
hs_call_from_number | From number | string | phonenumber |
hs_call_to_number | To number | string | phonenumber |
hs_call_recording_url | Recording URL | string | text |
hs_call_status | Call status | enumeration | select | | BUSY=Busy,CALLING_CRM_USER=Calling CRM user,CANCELED=Canceled,COMPLETED=Completed,CONNECTING=Connecting,FAILED=Failed,IN_PROGRESS=In progress,NO_ANSWER=No answer,QUEUED=Queued,RINGING=Ringing
""",
    "emails": f"""
{_ENGAGEMENT}
hs_email_subject | Email subject | string | text | s
hs_email_text | Email body | string | textarea | s
hs_email_html | Email HTML body | string | html |
hs_email_direction | Email direction | enumeration | select | | EMAIL=Email,INCOMING_EMAIL=Incoming email,FORWARDED_EMAIL=Forwarded email
hs_email_status | Email send status | enumeration | select | | BOUNCED=Bounced,FAILED=Failed,SCHEDULED=Scheduled,SENDING=Sending,SENT=Sent
hs_email_headers | Email headers | string | text |
hs_email_sender_email | Email sender address | string | text | c
hs_email_to_email | Email to address | string | text | c
hs_email_from_email | Email from address | string | text | c
""",
    "": """
hs_createdate | Object create date/time | datetime | date | r
hs_lastmodifieddate | Object last modified date/time | datetime | date | r
hs_pipeline | Pipeline | enumeration | select | x
hs_pipeline_stage | Pipeline stage | enumeration | select | x
""",
}
"""Property lines per object type; the empty name holds those of a custom object."""


def property_lines(type_name: str) -> list[list[str]]:
    """The columns of each property line of a type, the ones that every type has included."""
    text = PROPERTIES.get(type_name, PROPERTIES[""]) + _COMMON
    return [[column.strip() for column in line.split("|")] for line in text.splitlines() if line.strip()]


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
