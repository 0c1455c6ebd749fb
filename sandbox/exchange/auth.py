"""Who is calling: Basic, NTLM bound to its TCP connection, and OAuth bearer tokens with their token endpoint.

Sources: [MS-NLMP] sections 2.2 and 3.3.2 (NTLMv2); "Authenticate an EWS application by using OAuth"; RFC 7617.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sandbox.kit.http import Request, Response

from .store import Account, Mailbox, World

_SIGNATURE = b"NTLMSSP\x00"
_FLAGS = 0xE28A8235
"""Unicode, NTLM, extended session security, target info, 128 and 56 bit, always sign, version, key exchange."""
TOKEN_LIFETIME = 3599


@dataclass(frozen=True)
class Principal:
    """The authenticated caller. `address` is empty for an account without a mailbox; `app` marks app-only tokens."""

    login: str
    address: str = ""
    impersonates: tuple[str, ...] = ()
    full_access: tuple[str, ...] = ()
    app: bool = False

    def may_impersonate(self, address: str) -> bool:
        """Whether the caller may act as a mailbox (role ApplicationImpersonation, full_access_as_app)."""
        return "*" in self.impersonates or address.lower() in self.impersonates


@dataclass
class Application:
    """A registered OAuth application: its secret, and the mailboxes it may act as ("*": all)."""

    client_id: str
    secret: str
    impersonates: tuple[str, ...] = ("*",)


@dataclass
class Authenticator:
    """Checks credentials against the accounts of a world."""

    world: Callable[[], World]
    now: Callable[[], datetime]
    schemes: tuple[str, ...] = ("NTLM", "Basic", "Bearer")
    realm: str = "practice.example"
    domain: str = "PRACTICE"
    applications: dict[str, Application] = field(default_factory=dict)
    tokens: dict[str, tuple[Principal, datetime]] = field(default_factory=dict)

    def authenticate(self, request: Request) -> Principal | Response:
        """The caller, or the 401 to send. NTLM continues on the connection of the request."""
        header = request.headers.get("Authorization", "")
        scheme, _, given = header.partition(" ")
        scheme, given = scheme.lower(), given.strip()
        principal: Principal | None = None
        if not header:
            kept = request.connection.state.get("ntlm")
            return kept if isinstance(kept, Principal) else self.challenge()
        if scheme == "basic" and "Basic" in self.schemes:
            principal = self._basic(given)
        elif scheme == "bearer" and "Bearer" in self.schemes:
            principal = self._bearer(given)
        elif scheme in ("ntlm", "negotiate") and "NTLM" in self.schemes:
            return self._ntlm(request, given, "Negotiate" if scheme == "negotiate" else "NTLM")
        return principal if principal is not None else self.challenge()

    def challenge(self) -> Response:
        """401 with the schemes on offer. The connection stays open: NTLM needs it, and a close is taken for busy."""
        offers = {
            "NTLM": "NTLM",
            "Basic": f'Basic realm="{self.realm}"',
            "Bearer": 'Bearer client_id="00000002-0000-0ff1-ce00-000000000000", trusted_issuers="practice", '
            'token_types="app_asserted_user_v1 service_asserted_app_v1"',
        }
        headers = [("WWW-Authenticate", offers[scheme]) for scheme in self.schemes]
        return Response(401, b"", [*headers, ("Content-Length", "0")])

    def account(self, login: str) -> tuple[Mailbox | Account, str] | None:
        """The account of a login name (address, DOMAIN\\name or name) and its password."""
        world = self.world()
        name = login.rpartition("\\")[2].strip().lower()
        box = world.mailbox(name)
        if box is None and "@" not in name:
            box = next((one for one in world.mailboxes.values() if one.login.lower() == name), None)
        if box is not None:
            return box, box.password
        account = world.accounts.get(name) or world.accounts.get(name.partition("@")[0])
        return (account, account.password) if account is not None else None

    def principal(self, account: Mailbox | Account) -> Principal:
        """The caller that an account is."""
        if isinstance(account, Mailbox):
            extra = self.world().accounts.get(account.address.lower())
            rights = (extra.impersonates, extra.full_access) if extra else ((), ())
            return Principal(account.login, account.address, *rights)
        return Principal(account.login, "", account.impersonates, account.full_access)

    def _basic(self, given: str) -> Principal | None:
        try:
            login, colon, password = base64.b64decode(given, validate=True).decode("utf-8").partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        found = self.account(login) if colon else None
        if found is None or not hmac.compare_digest(found[1].encode(), password.encode()):
            return None
        return self.principal(found[0])

    # -- OAuth ----------------------------------------------------------------------------------------------------

    def _bearer(self, token: str) -> Principal | None:
        known = self.tokens.get(token)
        if known is None or known[1] <= self.now():
            return None
        return known[0]

    def issue(self, form: dict[str, str], basic: str = "") -> Response:
        """The token endpoint: client_credentials for applications, password for users (RFC 6749)."""
        client, secret = form.get("client_id", ""), form.get("client_secret", "")
        if basic:
            try:
                client, _, secret = base64.b64decode(basic).decode("utf-8").partition(":")
            except (binascii.Error, UnicodeDecodeError):
                client = ""
        grant = form.get("grant_type")
        if grant not in ("client_credentials", "password", "refresh_token"):
            return _oauth_error("unsupported_grant_type", "AADSTS70003: The grant type is not supported.")
        application = self.applications.get(client)
        if application is None:
            return _oauth_error("unauthorized_client", f"AADSTS700016: Application '{client}' was not found.", 400)
        if not hmac.compare_digest(application.secret.encode(), secret.encode()):
            return _oauth_error("invalid_client", "AADSTS7000215: Invalid client secret provided.", 401)
        if grant == "client_credentials":
            principal = Principal(client, "", application.impersonates, app=True)
        elif grant == "password":
            found = self.account(form.get("username", ""))
            if found is None or not hmac.compare_digest(found[1].encode(), form.get("password", "").encode()):
                return _oauth_error("invalid_grant", "AADSTS50126: Invalid username or password.")
            principal = self.principal(found[0])
        else:
            known = self.tokens.get(form.get("refresh_token", ""))
            if known is None:
                return _oauth_error("invalid_grant", "AADSTS70008: The refresh token has expired.")
            principal = known[0]
        token = secrets.token_urlsafe(48)
        self.tokens[token] = (principal, self.now() + timedelta(seconds=TOKEN_LIFETIME))
        reply: dict[str, Any] = {
            "token_type": "Bearer", "expires_in": TOKEN_LIFETIME, "ext_expires_in": TOKEN_LIFETIME,
            "access_token": token,
        }  # fmt: skip
        if grant != "client_credentials":
            reply["refresh_token"] = secrets.token_urlsafe(48)
            self.tokens[reply["refresh_token"]] = (principal, self.now() + timedelta(days=90))
        return Response.of_json(reply, headers=[("Cache-Control", "no-store")])

    # -- NTLM -----------------------------------------------------------------------------------------------------

    def _ntlm(self, request: Request, given: str, scheme: str) -> Principal | Response:
        try:
            token = base64.b64decode(given, validate=True)
        except (binascii.Error, ValueError):
            return self.challenge()
        start = token.find(_SIGNATURE)
        if start < 0 or len(token) < start + 12:
            return self.challenge()
        token = token[start:]
        (kind,) = struct.unpack_from("<I", token, 8)
        state = request.connection.state
        if kind == 1:
            state["ntlm_challenge"] = secrets.token_bytes(8)
            state.pop("ntlm", None)
            reply = base64.b64encode(self._challenge_message(state["ntlm_challenge"])).decode("ascii")
            return Response(401, b"", [("WWW-Authenticate", f"{scheme} {reply}"), ("Content-Length", "0")])
        challenge = state.pop("ntlm_challenge", None)
        principal = self._verify(token, challenge) if kind == 3 and challenge is not None else None
        if principal is None:
            return self.challenge()
        state["ntlm"] = principal
        return principal

    def _challenge_message(self, challenge: bytes) -> bytes:
        target = self.domain.encode("utf-16-le")
        host = "EXCH01".encode("utf-16-le")
        ticks = int((self.now().timestamp() + 11644473600) * 10_000_000)
        info = b"".join(
            struct.pack("<HH", identifier, len(value)) + value
            for identifier, value in ((2, target), (1, host), (7, struct.pack("<Q", ticks)), (0, b""))
        )
        offset = 56
        return b"".join(
            (
                _SIGNATURE,
                struct.pack("<I", 2),
                struct.pack("<HHI", len(target), len(target), offset),
                struct.pack("<I", _FLAGS),
                challenge,
                bytes(8),
                struct.pack("<HHI", len(info), len(info), offset + len(target)),
                b"\x0a\x00\x63\x45\x00\x00\x00\x0f",
                target,
                info,
            )
        )

    def _verify(self, token: bytes, challenge: bytes) -> Principal | None:
        try:
            response, domain, user = (_field(token, at) for at in (20, 28, 36))
            name, realm = user.decode("utf-16-le"), domain.decode("utf-16-le")
        except (struct.error, ValueError, UnicodeDecodeError):
            return None
        found = self.account(name)
        if found is None or len(response) < 24:
            return None
        key = hmac.digest(md4(found[1].encode("utf-16-le")), (name.upper() + realm).encode("utf-16-le"), "md5")
        proof = hmac.digest(key, challenge + response[16:], "md5")
        return self.principal(found[0]) if hmac.compare_digest(proof, response[:16]) else None


def _field(token: bytes, at: int) -> bytes:
    length, _, offset = struct.unpack_from("<HHI", token, at)
    if offset + length > len(token):
        raise ValueError("the field lies outside the message")
    return token[offset : offset + length]


def _oauth_error(code: str, text: str, status: int = 400) -> Response:
    return Response.of_json({"error": code, "error_description": text}, status)


_Round = tuple[Callable[[int, int, int], int], int, tuple[int, ...], tuple[int, ...]]
_ROUNDS: tuple[_Round, ...] = (
    (lambda x, y, z: (x & y) | (~x & z), 0, tuple(range(16)), (3, 7, 11, 19)),
    (
        lambda x, y, z: (x & y) | (x & z) | (y & z),
        0x5A827999,
        (0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15),
        (3, 5, 9, 13),
    ),
    (lambda x, y, z: x ^ y ^ z, 0x6ED9EBA1, (0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15), (3, 9, 11, 15)),
)


def md4(data: bytes) -> bytes:
    """MD4 (RFC 1320): the NT hash needs it, and OpenSSL 3 no longer offers it."""
    try:
        return hashlib.new("md4", data, usedforsecurity=False).digest()
    except ValueError:
        pass
    mask = 0xFFFFFFFF
    state = [0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476]
    padded = data + b"\x80" + bytes(-(len(data) + 9) % 64) + struct.pack("<Q", len(data) * 8)
    for start in range(0, len(padded), 64):
        block = struct.unpack("<16I", padded[start : start + 64])
        a, b, c, d = state
        for mix, constant, order, shifts in _ROUNDS:
            for step, index in enumerate(order):
                total = (a + (mix(b, c, d) & mask) + block[index] + constant) & mask
                shift = shifts[step % 4]
                a, b, c, d = d, ((total << shift) | (total >> (32 - shift))) & mask, b, c
        state = [(old + new) & mask for old, new in zip(state, (a, b, c, d), strict=True)]
    return struct.pack("<4I", *state)
