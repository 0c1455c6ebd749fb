"""The Microsoft identity platform as far as an application needs it: discovery, and tokens for client credentials.

Source: "OAuth 2.0 client credentials flow", "Application authentication certificate credentials"; error codes from
"Microsoft Entra authentication and authorization error codes".
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sandbox.kit.http import Request, Response

TENANT = "84bd8158-6d4d-4958-8b9f-9d6445542f95"
PUBLIC_LOGIN = "https://login.microsoftonline.com"
SCOPES = ("https://graph.microsoft.com/.default",)
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ROLES = (
    "Calendars.Read", "Calendars.ReadWrite", "Contacts.Read", "Contacts.ReadWrite", "MailboxSettings.Read",
    "User.Read.All",
)  # fmt: skip
"""Application permissions that mean something here."""


@dataclass
class Application:
    """An app registration: its secret, its certificate (PEM, public), its permissions, and the mailboxes in scope.

    `mailboxes` None is what a grant without RBAC for Applications means: every mailbox of the organisation.
    """

    client_id: str
    secret: str = ""
    certificate: str = ""
    roles: tuple[str, ...] = ROLES
    mailboxes: frozenset[str] | None = None

    def reaches(self, address: str) -> bool:
        """Whether the application's scope covers a mailbox."""
        return self.mailboxes is None or address.lower() in self.mailboxes


@dataclass(frozen=True)
class Refused(Exception):
    """The token endpoint's refusal."""

    error: str
    number: int
    text: str
    status: int = 400


@dataclass
class Login:
    """Issues and checks tokens. `life` is their validity in seconds."""

    now: Callable[[], datetime]
    tenant: str = TENANT
    life: int = 3599
    applications: dict[str, Application] = field(default_factory=dict)
    tokens: dict[str, tuple[str, datetime]] = field(default_factory=dict)
    issued: int = 0

    def discovery(self, base_url: str) -> dict[str, Any]:
        """The OpenID configuration. Over plain http it names the public host, since no client takes an http one."""
        host = base_url if base_url.startswith("https") else PUBLIC_LOGIN
        root = f"{host}/{self.tenant}"
        return {
            "token_endpoint": f"{root}/oauth2/v2.0/token",
            "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt", "client_secret_basic"],
            "jwks_uri": f"{root}/discovery/v2.0/keys",
            "issuer": f"{root}/v2.0",
            "authorization_endpoint": f"{root}/oauth2/v2.0/authorize",
            "device_authorization_endpoint": f"{root}/oauth2/v2.0/devicecode",
            "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
            "tenant_region_scope": "EU",
            "cloud_instance_name": "microsoftonline.com",
            "msgraph_host": "graph.microsoft.com",
        }

    def answer(self, request: Request, tenant: str, rest: str) -> Response | None:
        """The answer of a login path below a tenant; None if there is no such path."""
        if rest == "v2.0/.well-known/openid-configuration" and request.method == "GET":
            if tenant not in (self.tenant, "common", "organizations"):
                unknown = Refused("invalid_tenant", 90002, f"Tenant '{tenant}' not found.")
                return self._refusal(unknown)
            return Response.of_json(self.discovery(request.base_url))
        if rest == "oauth2/v2.0/token":
            if request.method != "POST":
                return Response(405, b"", [("Allow", "POST")])
            try:
                return Response.of_json(self.issue(request.form(), tenant, request.base_url))
            except Refused as refused:
                return self._refusal(refused)
        return None

    def issue(self, form: dict[str, str], tenant: str, base_url: str) -> dict[str, Any]:
        """A token for a client that proves itself by secret or certificate. Raises `Refused`."""
        if tenant != self.tenant:
            raise Refused("invalid_request", 90002, f"Tenant '{tenant}' not found.")
        if form.get("grant_type") != "client_credentials":
            grant = form.get("grant_type", "")
            raise Refused("unsupported_grant_type", 70003, f"The app requested an unsupported grant type '{grant}'.")
        client_id = form.get("client_id", "")
        application = self.applications.get(client_id)
        if application is None:
            text = f"Application with identifier '{client_id}' was not found in the directory."
            raise Refused("unauthorized_client", 700016, text)
        if form.get("scope") not in SCOPES:
            text = f"The provided request must include a 'scope' input parameter. '{form.get('scope')}' is not valid."
            raise Refused("invalid_scope", 70011, text)
        self._prove(application, form, base_url)
        self.issued += 1
        token = f"practice.{hashlib.sha256(f'{client_id}:{self.issued}'.encode()).hexdigest()}"
        self.tokens[token] = (client_id, self.now() + timedelta(seconds=self.life))
        return {"token_type": "Bearer", "expires_in": self.life, "ext_expires_in": self.life, "access_token": token}

    def _prove(self, application: Application, form: dict[str, str], base_url: str) -> None:
        if form.get("client_assertion_type") == ASSERTION:
            self._check_assertion(application, form.get("client_assertion", ""), base_url)
        elif "client_secret" not in form:
            text = "The request body must contain the following parameter: 'client_assertion' or 'client_secret'."
            raise Refused("invalid_client", 7000218, text, 401)
        elif not application.secret or form["client_secret"] != application.secret:
            text = f"Invalid client secret provided. Ensure the secret being sent for app '{application.client_id}' "
            raise Refused("invalid_client", 7000215, text + "is the client secret value, not its ID.", 401)

    def _check_assertion(self, application: Application, assertion: str, base_url: str) -> None:
        """A JWT signed with the key of the registered certificate, for this endpoint, from this application."""
        import jwt
        from cryptography.hazmat.primitives.serialization import load_pem_public_key
        from cryptography.x509 import load_pem_x509_certificate

        wrong = "Client assertion failed signature validation or is not from this application."
        if not application.certificate:
            raise Refused("invalid_client", 700027, wrong, 401)
        pem = application.certificate.encode()
        key: Any = load_pem_x509_certificate(pem).public_key() if b"CERTIFICATE" in pem else load_pem_public_key(pem)
        audience = [f"{host}/{self.tenant}/oauth2/v2.0/token" for host in (PUBLIC_LOGIN, base_url)]
        options: Any = {"verify_exp": False, "verify_nbf": False, "verify_iat": False}
        try:
            claims = jwt.decode(assertion, key, algorithms=["RS256", "PS256"], audience=audience, options=options)
            expires = datetime.fromtimestamp(float(claims["exp"]), self.now().tzinfo)
        except (jwt.PyJWTError, KeyError, TypeError, ValueError, OverflowError, OSError):
            raise Refused("invalid_client", 700027, wrong, 401) from None
        if claims.get("iss") != application.client_id or claims.get("sub") != application.client_id:
            raise Refused("invalid_client", 700027, wrong, 401)
        if expires < self.now():
            text = "Client assertion is not within its valid time range."
            raise Refused("invalid_client", 700024, text, 401)

    def _refusal(self, refused: Refused) -> Response:
        trace, now = str(uuid.uuid4()), self.now()
        description = f"AADSTS{refused.number}: {refused.text} Trace ID: {trace} Timestamp: {now:%Y-%m-%d %H:%M:%SZ}"
        return Response.of_json(
            {
                "error": refused.error,
                "error_description": description,
                "error_codes": [refused.number],
                "timestamp": f"{now:%Y-%m-%d %H:%M:%SZ}",
                "trace_id": trace,
                "correlation_id": trace,
            },
            refused.status,
        )

    def bearer(self, request: Request) -> Application | None:
        """The application whose token a request carries; None if it carries none that is good now."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        known = self.tokens.get(token.strip()) if scheme.lower() == "bearer" else None
        if known is None or known[1] <= self.now():
            return None
        return self.applications.get(known[0])
