"""A small OpenID Connect provider: discovery, authorisation, tokens and keys, with ways to misbehave."""

from __future__ import annotations

import base64
import hashlib
import secrets
import socket
import threading
import time
from typing import Any
from urllib.parse import parse_qsl, urlencode

import jwt
import uvicorn
from cryptography.hazmat.primitives.asymmetric import rsa
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

CLIENT, SECRET = "sidefeed", "a client's secret"


class IdentityProvider:
    """Signs in ``email`` without asking. ``spoil`` changes the claims; ``sign`` may sign a token in another way."""

    def __init__(self) -> None:
        self.email = "ann@example.com"
        self.spoil: dict[str, Any] = {}
        self.sign: Any = None
        self.refuses = ""
        self.asked: dict[str, str] = {}
        self._codes: dict[str, dict[str, str]] = {}
        self.rotate()
        listening = socket.socket()
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        self.issuer = f"http://127.0.0.1:{listening.getsockname()[1]}"
        app = Starlette(routes=[
            Route("/.well-known/openid-configuration", self._metadata), Route("/authorize", self._authorize),
            Route("/token", self._token, methods=["POST"]), Route("/keys", self._keys)])
        self._server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [listening]}, daemon=True)
        self._thread.start()

    def rotate(self) -> None:
        """Sign with a new key from now on, and publish no other."""
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.kid = secrets.token_hex(4)

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join(20)

    async def _metadata(self, _request: Request) -> Response:
        return JSONResponse({"issuer": self.issuer, "authorization_endpoint": f"{self.issuer}/authorize",
                             "token_endpoint": f"{self.issuer}/token", "jwks_uri": f"{self.issuer}/keys"})

    async def _authorize(self, request: Request) -> Response:
        self.asked = dict(request.query_params)
        back = self.asked["redirect_uri"]
        if self.refuses:
            return RedirectResponse(f"{back}?{urlencode({'error': self.refuses, 'state': self.asked['state']})}", 302)
        code = secrets.token_urlsafe(16)
        self._codes[code] = self.asked
        return RedirectResponse(f"{back}?{urlencode({'code': code, 'state': self.asked['state']})}", 302)

    async def _token(self, request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode()))
        given = self._codes.pop(form.get("code", ""), None)
        expected = "Basic " + base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        if request.headers.get("authorization") != expected:
            return JSONResponse({"error": "invalid_client"}, 401)
        if given is None or given["code_challenge"] != challenge.rstrip(b"=").decode() or (
                given["redirect_uri"] != form.get("redirect_uri")):
            return JSONResponse({"error": "invalid_grant"}, 400)
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT, "sub": "1", "iat": now, "exp": now + 300, "email": self.email,
                  "email_verified": True, "nonce": given["nonce"], **self.spoil}
        claims = {name: value for name, value in claims.items() if value is not None}
        return JSONResponse({"access_token": "x", "token_type": "Bearer", "id_token": self._signed(claims)})

    def _signed(self, claims: dict[str, Any]) -> str:
        if self.sign is not None:
            return str(self.sign(claims))
        return jwt.encode(claims, self.key, algorithm="RS256", headers={"kid": self.kid})

    async def _keys(self, _request: Request) -> Response:
        found = jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        return JSONResponse({"keys": [{**found, "kid": self.kid, "alg": "RS256", "use": "sig"}]})
