"""Calls about the account rather than its records: OAuth, owners, pipelines, deal splits, account details.

Sources: HubSpot "Owners", "Pipelines", "Account information", "Deal splits", "Working with OAuth".
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

from sandbox.kit.http import Request, Response, is_callback

from . import errors, wire
from .access import Access, Meter, Token
from .errors import ApiError, missing_fields, not_implemented, validation
from .portal import STAGE_NAMES, Portal
from .records import Answer
from .store import Actor, TypeStore


def oauth(access: Access, request: Request, rest: list[str]) -> Answer:
    """`/oauth/{version}/...`. Needs no token."""
    match request.method, rest:
        case "POST", ["token"]:
            return Answer(200, access.grant(request.form()))
        case "GET", ["access-tokens", value]:
            return Answer(200, access.describe(value))
        case "GET", ["refresh-tokens", value]:
            return Answer(200, access.describe_refresh(value))
        case "DELETE", ["refresh-tokens", value]:
            access.revoke(value)
            return Answer(204)
    if request.method == "POST" and rest == ["private-apps", "get", "access-token-info"]:
        return Answer(200, access.describe_private(str(wire.body_object(request).get("tokenKey"))))
    raise errors.no_route()


def authorize(access: Access, request: Request) -> Response:
    """`GET /oauth/authorize`: a person installs the app. Nobody is asked here: the callback gets its code at once.

    HubSpot shows an error page for what is wrong with the link; its words are not documented.
    """
    asked = dict(request.query)
    app, back = access.apps.get(asked.get("client_id", "")), asked.get("redirect_uri", "")
    scopes = f"{asked.get('scope', '')} {asked.get('optional_scope', '')}".split()
    wrong = next(
        (text for text, bad in (
            ("missing or unknown client_id", app is None),
            ("missing redirect_uri", not back),
            ("redirect_uri is not an absolute URI", not is_callback(back)),
            ("redirect_uri is not one of the app", app and app.redirect_uris and back not in app.redirect_uris),
            ("missing scope", not scopes),
        ) if bad), None,
    )  # fmt: skip
    if wrong or app is None:
        return Response.of_text(f"{wrong}\n", 400)
    state = {"state": asked["state"]} if "state" in asked else {}
    return Response.back_to(back, {"code": access.install(app, frozenset(scopes), back), **state})


def integration(portal: Portal, meter: Meter, token: Token) -> dict[str, Any]:
    """`GET /integrations/v1/me`: the account and the app behind a token."""
    return {**_details(portal, meter), "appId": token.app_id}


def owners(portal: Portal, request: Request, rest: list[str]) -> Answer:
    """`/owners` and `/owners/{id}`."""
    archived = wire.flag(request, "archived")
    found = [owner for _, owner in sorted(portal.owners.items()) if owner.archived == archived]
    if request.method != "GET" or len(rest) > 1:
        raise errors.no_method()
    if rest:
        by_user = request.param("idProperty") == "userId"
        for owner in found:
            if str(owner.user_id if by_user else owner.id) == rest[0]:
                return Answer(200, owner.as_json(), 1)
        raise ApiError(404, "resource not found", "OBJECT_NOT_FOUND")
    address = request.param("email")
    if address:
        found = [owner for owner in found if owner.email.lower() == address.lower()]
    size = wire.page_size(request, 100, 500)
    after = request.param("after") or "0"
    if not (after.isascii() and after.isdigit() and len(after) <= 18):
        raise validation(f"'{after}' is not a valid value for query param 'after'")
    found = [owner for owner in found if owner.id >= int(after)]
    body: dict[str, Any] = {"results": [owner.as_json() for owner in found[:size]]}
    if len(found) > size:
        following = str(found[size].id)
        link = f"{request.scheme}://{request.host}{request.path}?after={following}&limit={size}"
        body["paging"] = {"next": {"after": following, "link": link}}
    return Answer(200, body, len(body["results"]))


def pipelines(portal: Portal, store: TypeStore, request: Request, rest: list[str]) -> Answer:
    """`/pipelines/{type}/...`."""
    kept, name, now = portal.pipelines, store.type.name, portal.now()
    checked = wire.flag(request, "validateReferencesBeforeDelete") or wire.flag(
        request, "validateDealStageUsagesBeforeDelete"
    )
    match request.method, rest:
        case "GET", []:
            return Answer(
                200, {"results": [p.as_json() for p in sorted(kept.of(name).values(), key=lambda p: p.order)]}
            )
        case "POST", []:
            return Answer(201, kept.create(name, wire.body_object(request), now).as_json())
        case "GET", [pipeline]:
            return Answer(200, kept.get(name, pipeline).as_json())
        case "PATCH", [pipeline]:
            return Answer(200, kept.patch(name, pipeline, wire.body_object(request), now).as_json())
        case "PUT", [pipeline]:
            return Answer(200, _replace_pipeline(portal, store, pipeline, wire.body_object(request), checked))
        case "DELETE", [pipeline]:
            stages = [stage.id for stage in kept.get(name, pipeline).stages]
            if checked:
                kept.refuse_in_use(stages, _standing_in(store, stages))
            kept.remove(name, pipeline, now)
            return Answer(204)
        case "GET", [pipeline, "audit"]:
            return _audit(portal, (name, kept.get(name, pipeline).id, None))
        case "GET", [pipeline, "stages"]:
            return Answer(200, {"results": [s.as_json() for s in kept.get(name, pipeline).stages]})
        case "POST", [pipeline, "stages"]:
            return Answer(201, kept.create_stage(name, pipeline, wire.body_object(request), now).as_json())
        case "GET", [pipeline, "stages", stage]:
            return Answer(200, kept.get(name, pipeline).stage(stage).as_json())
        case ("PATCH" | "PUT") as method, [pipeline, "stages", stage]:
            made = kept.change_stage(name, pipeline, stage, wire.body_object(request), now, whole=method == "PUT")
            return Answer(200, made.as_json())
        case "DELETE", [pipeline, "stages", stage]:
            kept.remove_stage(name, pipeline, stage, _standing_in(store, [stage]), now)
            return Answer(204)
        case "GET", [pipeline, "stages", stage, "audit"]:
            kept.get(name, pipeline).stage(stage)
            return _audit(portal, (name, pipeline, stage))
    raise errors.no_method()


def _audit(portal: Portal, key: tuple[str, str, str | None]) -> Answer:
    """The changes of a pipeline or stage, newest first."""
    found = [{**entry, "portalId": portal.id} for entry in reversed(portal.pipelines.audits.get(key, []))]
    return Answer(200, {"results": found})


def _replace_pipeline(
    portal: Portal, store: TypeStore, given: str, document: dict[str, Any], checked: bool
) -> dict[str, Any]:
    name = store.type.name
    before = portal.pipelines.get(name, given)
    made = portal.pipelines.replace(name, given, document, portal.now())
    gone = [s.id for s in before.stages if s.id not in {kept.id for kept in made.stages}]
    if checked and gone:
        try:
            portal.pipelines.refuse_in_use(gone, _standing_in(store, gone))
        except ApiError:
            portal.pipelines.by_type[name][given] = before
            raise
    return made.as_json()


def _standing_in(store: TypeStore, stages: list[str]) -> list[int]:
    """Live records of a type that stand in one of the stages."""
    stage_name = STAGE_NAMES.get(store.type.name, ("hs_pipeline_stage", ""))[0]
    wanted = set(stages)
    return [record.id for record in store.live.values() if record.values.get(stage_name) in wanted]


def _details(portal: Portal, meter: Meter) -> dict[str, Any]:
    offset = portal.clock.now().astimezone(meter.zone_info).utcoffset()
    minutes = int(offset.total_seconds() // 60) if offset else 0
    sign = "-" if minutes < 0 else "+"
    return {
        "portalId": portal.id,
        "accountType": "STANDARD",
        "timeZone": portal.time_zone,
        "companyCurrency": portal.currency,
        "additionalCurrencies": sorted(portal.rates),
        "utcOffset": f"{sign}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}",
        "utcOffsetMilliseconds": minutes * 60_000,
        "uiDomain": "app.hubspot.com",
        "dataHostingLocation": "na1",
    }


def account_info(portal: Portal, meter: Meter, request: Request, rest: list[str]) -> Answer:
    """`/account-info/{version}/details` and the daily usage of private apps."""
    if request.method == "GET" and rest == ["details"]:
        return Answer(200, _details(portal, meter))
    if request.method == "GET" and rest == ["api-usage", "daily", "private-apps"]:
        now = portal.clock.now()
        midnight = now.astimezone(meter.zone_info).replace(hour=0, minute=0, second=0, microsecond=0)
        return Answer(
            200,
            {
                "results": [
                    {
                        "name": "private-apps-api-calls-daily",
                        "usageLimit": meter.limits.daily,
                        "currentUsage": meter.used_today,
                        "collectedAt": wire.iso(portal.now()),
                        "fetchStatus": "SUCCESS",
                        "resetsAt": wire.iso(int(midnight.timestamp() * 1000) + 86_400_000),
                    }
                ]
            },
        )
    raise not_implemented(f"{request.method} {request.path}")


# --- deal splits -----------------------------------------------------------------------------------------------------


def splits(portal: Portal, request: Request, verb: str, actor: Actor) -> Answer:
    """`POST /objects/deals/splits/batch/{read,upsert}`."""
    if verb not in ("read", "upsert"):
        raise errors.no_such_resource()
    deals = portal.store.types["deals"]
    results: list[dict[str, Any]] = []
    failed: list[dict[str, Any]] = []
    missing: list[str] = []
    for item in wire.inputs(request):
        if item.get("id") is None:
            raise missing_fields(["id"])
        deal_id = wire.as_id(item["id"])
        record = deals.find(deal_id) if deal_id is not None else None
        if record is None:
            missing.append(str(item["id"]))
            continue
        if verb == "upsert":
            try:
                portal.splits[record.id] = _checked_splits(portal, item.get("splits"))
            except ApiError as error:
                failed.append(error.entry(ids=str(record.id)))
                continue
            record = portal.recalculate(deals, record, actor)
        results.append({"id": str(record.id), "splits": _split_records(portal, record.id, record.modified)})
    if missing:
        failed.append(errors.missing_ids("DEAL", missing).entry())
    now = wire.iso(portal.now())
    body: dict[str, Any] = {"status": "COMPLETE", "results": results, "startedAt": now, "completedAt": now}
    if failed:
        body |= {"numErrors": len(failed), "errors": failed}
    return Answer(207 if failed else 200, body, len(results))


def _checked_splits(portal: Portal, given: object) -> dict[int, dict[str, str]]:
    if not isinstance(given, list) or not all(isinstance(split, dict) for split in given):
        raise missing_fields(["splits"])
    found: dict[int, dict[str, str]] = {}
    total = Decimal(0)
    for split in given:
        owner = wire.as_id(split.get("ownerId"))
        if owner is None or owner not in portal.owners or portal.owners[owner].archived:
            raise validation(
                f"Owner {split.get('ownerId')} does not exist", context={"ownerId": [str(split.get("ownerId"))]}
            )
        try:
            share = Decimal(str(split.get("percentage")))
        except InvalidOperation:
            raise validation(f"{split.get('percentage')} is not a valid percentage") from None
        if not share.is_finite() or not 0 < share <= 1:
            raise validation(f"Split percentages lie between 0.0 and 1.0, not {share}")
        total += share
        found[owner] = {"hs_deal_split_percentage": str(share), "hubspot_owner_id": str(owner)}
    if found and not Decimal("0.9999") <= total <= Decimal("1.0001"):
        raise validation(f"Split percentages must add up to 1.0, not {total}")
    return found


def _split_records(portal: Portal, deal_id: int, modified: int) -> list[dict[str, Any]]:
    stamp = wire.iso(modified)
    return [
        {
            "id": str(deal_id * 100 + n),
            "properties": {
                "hs_createdate": stamp,
                "hs_deal_split_percentage": split["hs_deal_split_percentage"],
                "hs_lastmodifieddate": stamp,
                "hs_object_id": str(deal_id * 100 + n),
                "hubspot_owner_id": split["hubspot_owner_id"],
            },
            "createdAt": stamp,
            "updatedAt": stamp,
            "archived": False,
        }
        for n, split in enumerate(portal.splits.get(deal_id, {}).values(), 1)
    ]
