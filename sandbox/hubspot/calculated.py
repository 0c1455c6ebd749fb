"""Properties that HubSpot works out itself, renewed with every write. Source: HubSpot "Deals" and "Contacts" property
reference; `deal_forecast_properties` of public reports for the forecast amounts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from . import wire
from .pipelines import Stage
from .properties import DAY


@dataclass(frozen=True, slots=True)
class Context:
    """What a calculation may look at beside the record's own values."""

    stages: Mapping[str, Stage]
    rates: Mapping[str, Decimal]
    currency: str
    split: bool


Values = Mapping[str, str]
Rule = Callable[[Values, Values, int, int, Context], dict[str, str]]


def calculate(
    type_name: str, values: Values, old: Values, record_id: int, at: int, context: Callable[[], Context]
) -> dict[str, str]:
    """The calculated properties of a record with these values, which had the `old` ones before. Empty text unsets."""
    rule = _RULES.get(type_name)
    return rule(values, old, record_id, at, context()) if rule is not None else {}


def _contact(values: Values, old: Values, record_id: int, at: int, context: Context) -> dict[str, str]:
    full = " ".join(part for part in (values.get("firstname"), values.get("lastname")) if part)
    address = values.get("email", "")
    found = {
        "hs_full_name_or_email": full or address,
        "hs_email_domain": address.rpartition("@")[2],
        "hs_is_contact": "true",
        "hs_is_unworked": "true",
        "hs_all_contact_vids": values.get("hs_all_contact_vids") or str(record_id),
    }
    stage = values.get("lifecyclestage")
    if stage in ("lead", "opportunity", "customer") and stage != old.get("lifecyclestage"):
        found[f"hs_lifecyclestage_{stage}_date"] = wire.iso(at)
    return found


def _deal(values: Values, old: Values, record_id: int, at: int, context: Context) -> dict[str, str]:
    stage_id = values.get("dealstage", "")
    stage = context.stages.get(stage_id)
    certain = Decimal(stage.meta("probability") or 0) if stage else None
    found: dict[str, str] = {}
    if stage_id != old.get("dealstage", ""):
        found["hs_v2_date_entered_current_stage"] = wire.iso(at) if stage_id else ""
        found["hs_deal_stage_probability_shadow"] = plain(certain)
        if values.get("hs_deal_stage_probability", "") == old.get("hs_deal_stage_probability", ""):
            found["hs_deal_stage_probability"] = plain(certain)
    probability = number(found.get("hs_deal_stage_probability", values.get("hs_deal_stage_probability")))
    closed = stage is not None and stage.meta("isClosed") == "true"
    won, lost = closed and certain == 1, closed and certain == 0
    amount = number(values.get("amount"))
    rate = context.rates.get(values.get("deal_currency_code", context.currency), Decimal(1))
    home = amount * rate if amount is not None else None
    forecast = number(values.get("hs_forecast_probability"))
    return found | {
        "amount_in_home_currency": plain(home),
        "hs_projected_amount": _times(amount, probability),
        "hs_projected_amount_in_home_currency": _times(home, probability),
        "hs_forecast_amount": _times(amount, forecast if forecast is not None else Decimal(1)),
        "hs_is_closed": _yes(closed),
        "hs_is_closed_won": _yes(won),
        "hs_is_closed_lost": _yes(lost),
        "hs_is_open_count": "0" if closed else "1",
        "hs_is_closed_count": "1" if closed else "0",
        "hs_closed_amount": plain(amount) if won else "0",
        "hs_closed_amount_in_home_currency": plain(home) if won else "0",
        "hs_closed_won_date": (old.get("hs_closed_won_date") or wire.iso(at)) if won else "",
        "hs_is_deal_split": _yes(context.split),
        "days_to_close": _days(values),
    }


def _line_item(values: Values, old: Values, record_id: int, at: int, context: Context) -> dict[str, str]:
    price, quantity = number(values.get("price")), number(values.get("quantity"))
    discount = number(values.get("discount")) or Decimal(0)
    return {"amount": plain((price - discount) * quantity) if price is not None and quantity is not None else ""}


def _task(values: Values, old: Values, record_id: int, at: int, context: Context) -> dict[str, str]:
    done = values.get("hs_task_status") == "COMPLETED"
    stamp = values.get("hs_task_completion_date") or wire.iso(at)
    return {"hs_task_is_completed": "1" if done else "0", "hs_task_completion_date": stamp if done else ""}


_RULES: dict[str, Rule] = {"contacts": _contact, "deals": _deal, "line_items": _line_item, "tasks": _task}


def _days(values: Values) -> str:
    close, made = wire.milliseconds(values.get("closedate", "")), wire.milliseconds(values.get("createdate", ""))
    return str(max((close - made) // DAY, 0)) if close is not None and made is not None else ""


def number(text: str | None) -> Decimal | None:
    """A number property's value; None if unset."""
    return wire.decimal(text) if text else None


def plain(value: Decimal | None) -> str:
    """A number as text, without exponent and trailing zeros; empty for None."""
    if value is None:
        return ""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _times(amount: Decimal | None, factor: Decimal | None) -> str:
    return "" if amount is None or factor is None else plain(amount * factor)


def _yes(value: bool) -> str:
    return "true" if value else "false"
