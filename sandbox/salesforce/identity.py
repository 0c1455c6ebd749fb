"""Who the bearer of a token is: the identity URL, UserInfo, and where the OAuth endpoints are.

Source: Salesforce Help "Identity URLs", "Query for User Information" and "OpenID Connect Discovery Endpoint"; an
identity recorded by a public project. No profile has photos of its own here: the addresses lead nowhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from sandbox.kit.http import Request, Response

from .ids import to18
from .values import moment

if TYPE_CHECKING:
    from .server import SalesforceServer


def identity(server: SalesforceServer, request: Request) -> Response:
    """GET /id/{organization}/{user}. Its refusals are bare words, 403 or 404."""
    parts = [to18(part) for part in request.path.strip("/").split("/")[1:]]
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() not in ("bearer", "oauth"):
        token = request.param("oauth_token") or request.form().get("access_token", "")
    if not token:
        return Response.of_text("Missing_OAuth_Token", 403)
    session = server.sessions.find(token.strip(), server.clock.now())
    if session is None:
        return Response.of_text("Bad_OAuth_Token", 403)
    if len(parts) != 2 or parts[1] is None or server.store.get("User", parts[1]) is None:
        return Response.of_text("Bad_Id", 404)
    if parts[0] != server.organisation_id:
        return Response.of_text("Wrong_Org", 403)
    if (request.param("format") or "json").lower() != "json":
        return Response.of_text("The practice server does not implement an identity in XML", 501)
    return Response.of_json(_identity(server, parts[1]))


def user_info(server: SalesforceServer, request: Request) -> Response:
    """GET or POST /services/oauth2/userinfo. Raises Failure 401."""
    user = server.authenticate(request).user
    full = _identity(server, user)
    row = server.store.table("User").rows[user]
    address = {name: row.get(field) for name, field in _ADDRESS.items() if row.get(field)}
    return Response.of_json(
        {
            "sub": full["id"],
            **{name: full[name] for name in ("user_id", "organization_id")},
            "preferred_username": full["username"],
            "nickname": full["nick_name"],
            "name": full["display_name"],
            **{name: full[name] for name in ("email", "email_verified")},
            "given_name": full["first_name"],
            "family_name": full["last_name"],
            "zoneinfo": full["timezone"],
            "photos": full["photos"],
            "profile": full["urls"]["profile"],
            "picture": full["photos"]["picture"],
            "address": address,
            **{name: full[name] for name in ("urls", "active", "user_type", "language", "locale", "utcOffset")},
            "updated_at": full["last_modified_date"],
        }
    )


_ADDRESS = {
    "street_address": "Street", "locality": "City", "region": "State", "postal_code": "PostalCode",
    "country": "Country",
}  # fmt: skip


def _identity(server: SalesforceServer, user: str) -> dict[str, Any]:
    row = server.store.table("User").rows[user]
    return {
        "id": server.identity_url(user),
        "asserted_user": True,
        "user_id": user,
        "organization_id": server.organisation_id,
        "username": row["Username"],
        "nick_name": row["CommunityNickname"],
        "display_name": row["Name"],
        "email": row["Email"],
        "email_verified": True,
        "first_name": row["FirstName"],
        "last_name": row["LastName"],
        "timezone": row["TimeZoneSidKey"],
        "photos": {name: f"{server.url}/profilephoto/005/{size}" for name, size in _PHOTOS.items()},
        **{f"addr_{part}": row.get(name) for part, name in _PARTS.items()},
        "mobile_phone": row.get("MobilePhone"),
        "mobile_phone_verified": False,
        "is_lightning_login_user": False,
        "status": {"created_date": None, "body": None},
        "urls": _urls(server, user),
        "active": row["IsActive"],
        "user_type": "STANDARD",
        "language": row["LanguageLocaleKey"],
        "locale": row["LocaleSidKey"],
        "utcOffset": _offset(row),
        "last_modified_date": moment(row["LastModifiedDate"]).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "is_app_installed": True,
    }


_PHOTOS = {"picture": "F", "thumbnail": "T"}
_PARTS = {"street": "Street", "city": "City", "state": "State", "country": "Country", "zip": "PostalCode"}


def _offset(row: Mapping[str, Any]) -> int:
    """Milliseconds of the zone from UTC in winter, as recorded for users of zones with summer time."""
    offset = datetime(2026, 1, 1, tzinfo=ZoneInfo(row["TimeZoneSidKey"] or "UTC")).utcoffset()
    return int(offset.total_seconds() * 1000) if offset else 0


def _urls(server: SalesforceServer, user: str) -> dict[str, str]:
    soap, data = f"{server.url}/services/Soap", f"{server.url}/services/data/v{{version}}"
    short = server.organisation_id[:15]
    return {
        "enterprise": f"{soap}/c/{{version}}/{short}",
        "metadata": f"{soap}/m/{{version}}/{short}",
        "partner": f"{soap}/u/{{version}}/{short}",
        "rest": f"{data}/",
        **{name: f"{data}/{name}/" for name in ("sobjects", "search", "query", "recent")},
        "tooling_soap": f"{soap}/T/{{version}}/{short}",
        "tooling_rest": f"{data}/tooling/",
        "profile": f"{server.url}/{user}",
        "feeds": f"{data}/chatter/feeds",
        "groups": f"{data}/chatter/groups",
        "users": f"{data}/chatter/users",
        "feed_items": f"{data}/chatter/feed-items",
        "feed_elements": f"{data}/chatter/feed-elements",
        "custom_domain": server.url,
    }


def discovery(server: SalesforceServer) -> Response:
    """GET /.well-known/openid-configuration, with what is here: there are no ID tokens."""
    base = f"{server.url}/services/oauth2"
    return Response.of_json(
        {
            "issuer": server.url,
            "authorization_endpoint": f"{base}/authorize",
            "token_endpoint": f"{base}/token",
            "revocation_endpoint": f"{base}/revoke",
            "userinfo_endpoint": f"{base}/userinfo",
            "introspection_endpoint": f"{base}/introspect",
            "scopes_supported": ["api", "full", "id", "offline_access", "refresh_token", "web"],
            "response_types_supported": ["code", "token"],
            "subject_types_supported": ["public"],
            "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic", "private_key_jwt"],
        }
    )
