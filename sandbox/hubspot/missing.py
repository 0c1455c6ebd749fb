"""What HubSpot has and this practice server does not: areas of its API, object types, the legacy APIs.

Source: HubSpot's API reference and "Object type ids". Whoever asks for one is answered 501; what each is called here
stands in docs/practice-servers.md.
"""

from __future__ import annotations

AREAS = {
    "lists": "lists",
    "imports": "imports",
    "exports": "exports",
    "timeline": "timeline and calling extensions",
    "extensions": "timeline and calling extensions",
    "limits": "record limits",
    "usage": "record limits",
    "forecast-settings": "forecast settings and submissions",
    "forecast-submissions": "forecast settings and submissions",
    "marketing": "marketing",
    "cms": "CMS",
    "automation": "workflows",
    "settings": "users and teams administration",
    "business-units": "business units",
    "files": "files",
    "communication-preferences": "communication preferences",
    "conversations": "conversations",
    "events": "events",
    "feature-flags": "feature flags",
    "object-library": "the object library",
    "property-validations": "property validations",
}
"""First segments, below `/crm/{version}` or alone."""

TYPES = {
    "appointments": "appointments appointment 0-421",
    "carts": "carts cart 0-142",
    "contracts": "contracts",
    "courses": "courses course 0-410",
    "deal splits as records": "deal_splits deal_split 0-72",
    "discounts": "discounts discount 0-84",
    "feedback submissions": "feedback_submissions feedback_submission 0-19",
    "fees": "fees fee 0-85",
    "goals": "goal_targets goal_target 0-74",
    "invoices": "invoices invoice 0-53",
    "leads": "leads lead 0-136",
    "listings": "listings listing 0-420",
    "marketing events": "marketing_events marketing_event 0-54",
    "orders": "orders order 0-123",
    "partner clients and services": "partner_clients partner_services",
    "payments": "commerce_payments commerce_payment payments payment 0-101",
    "projects": "projects 0-970",
    "quote templates": "quote_templates 0-64",
    "services": "services service 0-162",
    "subscriptions": "subscriptions subscription 0-69",
    "taxes": "taxes tax 0-86",
    "users as records": "users user 0-115",
}
"""Object types: every spelling that a path may use."""
TYPE_SPELLINGS = frozenset(spelling for spellings in TYPES.values() for spelling in spellings.split())

LEGACY = frozenset(
    "contacts companies deals engagements owners properties crm-objects crm-associations crm-pipelines email forms "
    "content hubdb filemanager blogs social analytics reports extensions integrators integrations workflows tickets "
    "ecomm emailsubscriptions calendar comments media-bridge visitor-identification scheduler tax-rates cos-domain "
    "url-mappings layout templates broadcast form-integrations submissions".split()
)
"""First segments of the v1 and v2 APIs and of others that stand outside the trees above."""
