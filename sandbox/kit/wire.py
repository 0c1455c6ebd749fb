"""HTTP on the socket: listening, reading a request whole and bounded, writing an answer exactly.

aiohttp does the protocol (its low-level server, without routing); everything it would decide on its own is decided
here: body limits, unpacking, compression, the `Date` header (the practice clock's), dropped and truncated answers.
"""

from __future__ import annotations

import asyncio
import gzip
import logging
import socket
import ssl
import struct
import zlib
from collections.abc import Awaitable, Callable
from datetime import datetime
from email.utils import format_datetime
from urllib.parse import parse_qsl, quote_from_bytes, urlsplit

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestHandler
from multidict import CIMultiDict, CIMultiDictProxy

from .http import Connection, Request, Response

MAX_LINE = 64 * 1024
"""Bytes of a request line or of one header: more than any of the systems takes; each applies its own limit."""
GZIP_FROM = 1024
"""Bytes from which an answer is worth compressing."""
STREAM_PAUSE = 0.02
"""Seconds before a stream with nothing to say is asked again."""
_GRACE = 0.05
_SILENT = logging.Logger("sandbox.wire", logging.CRITICAL + 1)
"""For aiohttp, which logs each malformed request as an error: here the client is told, and that is all."""

Answer = Callable[[web.BaseRequest, Connection], Awaitable[web.StreamResponse]]


class Refused(Exception):
    """The request cannot be read; the answer to give is in it."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.response = Response.of_text(text + "\n", status)


class Door:
    """One listening socket whose requests go to `answer`."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._protocols: _Protocols | None = None
        self._listener: asyncio.Server | None = None

    async def open(self, host: str, port: int, context: ssl.SSLContext | None) -> int:
        """Listen; the port listened on. Raises OSError if it is taken."""
        loop = asyncio.get_running_loop()
        self._protocols = _Protocols(self._answer)
        self._listener = await loop.create_server(
            self._protocols, host, port, ssl=context, backlog=1024, reuse_address=True
        )
        return int(self._listener.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Stop listening and end every connection, also those in the middle of an answer."""
        if self._listener is not None:
            self._listener.close()
        if self._protocols is not None:
            transports = self._protocols.transports
            self._protocols.pre_shutdown()
            await self._protocols.shutdown(_GRACE)
            for transport in transports:
                transport.abort()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        self._listener = self._protocols = None


class _Protocols(web.Server):
    """aiohttp's connection factory, which gives every connection an identity."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(self._dispatch)
        self._answer = answer
        self._identities: dict[RequestHandler, Connection] = {}
        self._open: dict[RequestHandler, asyncio.Transport] = {}

    @property
    def transports(self) -> list[asyncio.Transport]:
        return list(self._open.values())

    def __call__(self) -> RequestHandler:
        return RequestHandler(
            self,
            loop=self._loop,
            logger=_SILENT,
            access_log=None,  # type: ignore[arg-type]  # aiohttp documents None as "no access log"
            max_line_size=MAX_LINE,
            max_field_size=MAX_LINE,
            max_headers=256,
            auto_decompress=False,
            lingering_time=2.0,
        )

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        self._identities[handler] = Connection()
        self._open[handler] = transport
        raw = transport.get_extra_info("socket")
        if raw is not None and raw.family != getattr(socket, "AF_UNIX", None):
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        super().connection_lost(handler, exc)
        self._identities.pop(handler, None)
        self._open.pop(handler, None)

    async def _dispatch(self, request: web.BaseRequest) -> web.StreamResponse:
        connection = self._identities.get(request.protocol)
        return await self._answer(request, connection if connection is not None else Connection())


# -- reading ------------------------------------------------------------------------------------------------------


async def read_request(base: web.BaseRequest, connection: Connection, max_body: int) -> Request:
    """The whole request. Raises `Refused` when its body is too large, not what it says, or cut off."""
    target = base.raw_path
    if not target.startswith("/"):
        parts = urlsplit(target)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    path, _, query = target.partition("?")
    headers = base.headers
    body = await _read_body(base, max_body) if base.body_exists else b""
    return Request(
        method=base.method.upper(),
        path=_ascii(path.partition("#")[0]),
        query=parse_qsl(query, keep_blank_values=True, errors="replace") if query else [],
        headers=_clean(headers),
        body=body,
        connection=connection,
        scheme=base.scheme,
        host=headers.get("Host", "") or "localhost",
    )


async def _read_body(base: web.BaseRequest, max_body: int) -> bytes:
    length = base.content_length
    if length is not None and length > max_body:
        raise Refused(413, f"The request body has {length} bytes; at most {max_body} are accepted")
    if base.headers.get("Expect", "").lower() == "100-continue" and base.transport is not None:
        base.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    chunks: list[bytes] = []
    size = 0
    try:
        async for chunk in base.content.iter_any():
            size += len(chunk)
            if size > max_body:
                raise Refused(413, f"The request body is larger than {max_body} bytes")
            chunks.append(chunk)
    except (web.RequestPayloadError, HttpProcessingError, ValueError) as error:
        raise Refused(400, f"The request body cannot be read: {error}") from error
    return _unpack(b"".join(chunks), base.headers.get("Content-Encoding", ""), max_body)


def _unpack(body: bytes, encodings: str, max_body: int) -> bytes:
    """Undo the content encodings, last first, never unpacking more than `max_body` bytes."""
    for encoding in reversed([name.strip().lower() for name in encodings.split(",") if name.strip()]):
        if encoding == "identity" or not body:
            continue
        if encoding in ("gzip", "x-gzip", "deflate"):
            body = _inflate(body, encoding, max_body)
        else:
            raise Refused(415, f"Content-Encoding {encoding} is not supported; send gzip, deflate or identity")
    return body


def _inflate(body: bytes, encoding: str, max_body: int) -> bytes:
    # 47: gzip or zlib, told by the header. Raw deflate is what some clients send under the name of deflate.
    widths = (47, -15) if encoding == "deflate" else (31,)
    for width in widths:
        unpacker = zlib.decompressobj(wbits=width)
        try:
            unpacked = unpacker.decompress(body, max_body + 1)
        except zlib.error:
            continue
        if len(unpacked) > max_body:
            raise Refused(413, f"The request body unpacks to more than {max_body} bytes")
        if unpacker.eof:
            return unpacked
    raise Refused(400, f"The request body is not valid {encoding}")


def _ascii(path: str) -> str:
    """A path with stray non-ASCII bytes percent-encoded, so that it can be written anywhere."""
    if path.isascii():
        return path
    return quote_from_bytes(path.encode("utf-8", "surrogateescape"), safe="/%:@&=+$,;~!*'()")


def _clean(headers: CIMultiDictProxy[str]) -> CIMultiDictProxy[str]:
    """Headers without lone surrogates, which no answer could repeat."""
    if all(value.isascii() for value in headers.values()):
        return headers
    pairs = ((name, value.encode("utf-8", "surrogateescape").decode("latin-1")) for name, value in headers.items())
    return CIMultiDictProxy(CIMultiDict(pairs))


# -- writing ------------------------------------------------------------------------------------------------------


def pack(response: Response, accept_encoding: str) -> bytes | None:
    """The body as it goes over the wire, compressed if the client takes it; None for a stream. Changes headers."""
    body = response.body
    if not isinstance(body, bytes | bytearray | memoryview):
        return None
    packed = bytes(body)
    if len(packed) >= GZIP_FROM and _takes_gzip(accept_encoding) and response.header("Content-Encoding") is None:
        packed = gzip.compress(packed, compresslevel=1, mtime=0)
        response.headers = [*response.headers, ("Content-Encoding", "gzip"), ("Vary", "Accept-Encoding")]
    return packed


def _takes_gzip(accept_encoding: str) -> bool:
    if "gzip" not in accept_encoding:
        return False
    for choice in accept_encoding.split(","):
        name, _, weight = choice.partition(";")
        if name.strip().lower() == "gzip":
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


async def send(
    base: web.BaseRequest, response: Response, packed: bytes | None, now: datetime, keep: int | None = None
) -> tuple[web.StreamResponse, int]:
    """Write an answer; the aiohttp response and the body bytes written.

    With `keep`, the full length is announced, that many bytes of the body are sent, and the connection is closed.
    """
    headers = _headers(response, now)
    if packed is None:
        return await _stream(base, response, headers)
    if keep is None:
        return web.Response(status=response.status, headers=headers, body=packed), len(packed)
    headers["Content-Length"] = str(len(packed))
    partial = web.StreamResponse(status=response.status, headers=headers)
    await partial.prepare(base)
    await partial.write(packed[:keep])
    if base.transport is not None:
        base.transport.close()
    return partial, keep


async def _stream(
    base: web.BaseRequest, response: Response, headers: CIMultiDict[str]
) -> tuple[web.StreamResponse, int]:
    stream = web.StreamResponse(status=response.status, headers=headers)
    if base.version >= (1, 1):
        stream.enable_chunked_encoding()
    else:
        stream.force_close()
    sent = 0
    chunks = iter(response.body)
    try:
        await stream.prepare(base)
        for chunk in chunks:
            if not isinstance(chunk, bytes):
                raise TypeError("a streamed body yields bytes")
            if chunk:
                await stream.write(chunk)
                sent += len(chunk)
            else:
                await asyncio.sleep(STREAM_PAUSE)
            if base.transport is None or base.transport.is_closing():
                break
    finally:
        close = getattr(chunks, "close", None)
        if close is not None:
            close()
    return stream, sent


def hang_up(base: web.BaseRequest, *, reset: bool = False) -> web.StreamResponse:
    """Close the connection without a reply: a clean end of stream, or a TCP reset."""
    transport = base.transport
    if transport is not None:
        raw = transport.get_extra_info("socket")
        if reset and raw is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return web.Response()  # never leaves: writing it finds the transport closed


def _headers(response: Response, now: datetime) -> CIMultiDict[str]:
    headers: CIMultiDict[str] = CIMultiDict()
    for name, value in response.headers:
        headers.add(name, value if value.isascii() and value.isprintable() else _one_line(value))
    if "Date" not in headers:
        headers["Date"] = _http_date(now)
    headers.setdefault("Server", "practice")
    return headers


def _one_line(value: str) -> str:
    printable = "".join(character if character.isprintable() else " " for character in value)
    return printable.encode("utf-8", "replace").decode("utf-8")


_last_date: tuple[datetime | None, str] = (None, "")


def _http_date(now: datetime) -> str:
    global _last_date  # one cached second: a race between servers costs a formatting, never a wrong date
    second = now.replace(microsecond=0)
    cached, text = _last_date
    if cached != second:
        text = format_datetime(second, usegmt=True)
        _last_date = (second, text)
    return text
