"""A minimal practice server for the tests of the kit: it keeps a counter and says what it was asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sandbox.kit import Connection, DropConnection, Fault, PracticeServer, Request, Response


class EchoServer(PracticeServer):
    name = "echo"

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.value = 0
        self.generous = False
        self.fault_kinds = {"quota": self._quota}
        self.conditions = {"generous": "Doubles every increment. Args: on (true)."}

    def endpoint(self, request: Request) -> str:
        return f"{request.method} {request.path.rstrip('0123456789')}"

    def handle(self, request: Request) -> Response:
        if request.path == "/increment":
            self.value += 2 if self.generous else 1
            return Response.of_json({"value": self.value}, records=1)
        if request.path == "/boom":
            raise RuntimeError("a bug")
        if request.path == "/json":
            return Response.of_json(request.json())
        if request.path == "/hang-up":
            raise DropConnection
        if request.path == "/stream":
            return Response(200, _chunks(), [("Content-Type", "text/plain")])
        if request.path == "/broken-stream":
            return Response(200, _broken_chunks(), [("Content-Type", "text/plain")])
        if request.path == "/large":
            return Response.of_text("0123456789" * 1000)
        if request.path == "/headers":
            return Response(200, b"ok", [("X-MixedCASE", "kept"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])
        if request.path == "/odd-header":
            return Response(200, b"ok", [("X-Odd", "line\r\nbreak \udcff")])
        if request.path == "/connection":
            return Response.of_json(self._visits(request.connection))
        if request.path == "/no-content":
            return Response(204)
        return Response.of_json(
            {
                "method": request.method,
                "path": request.path,
                "query": request.query,
                "headers": list(request.headers.items()),
                "body": request.body.decode("latin-1"),
                "host": request.host,
                "scheme": request.scheme,
            }
        )

    def snapshot(self) -> object:
        return self.value

    def restore(self, snapshot: object) -> None:
        assert isinstance(snapshot, int)
        self.value = snapshot

    def condition(self, name: str, **args: Any) -> Any:
        if name == "generous":
            self.generous = bool(args.get("on", True))
            return self.generous
        return super().condition(name, **args)

    def connection_info(self) -> dict[str, Any]:
        return {"url": self.url, "token": "echo-token"}

    def populate(self, seed: int) -> dict[str, int]:
        self.value = seed
        return {"Value": 1}

    def load_data(self, objects: Mapping[str, list[dict[str, Any]]]) -> dict[str, int]:
        for record in objects.get("Value", []):
            if "value" not in record:
                raise ValueError(f"Value: a record has no value: {record}")
            self.value += int(record["value"])
        return {"Value": len(objects.get("Value", []))}

    def load_schema(self, schema: Mapping[str, Any]) -> None:
        self.generous = bool(schema["generous"])

    def _quota(self, request: Request, fault: Fault) -> Response | None:
        """Answer 403 with a body of this system. Args: limit."""
        return Response.of_json([{"errorCode": "REQUEST_LIMIT_EXCEEDED", "limit": fault.args.get("limit")}], 403)

    @staticmethod
    def _visits(connection: Connection) -> int:
        connection.state["visits"] = connection.state.get("visits", 0) + 1
        return int(connection.state["visits"])


def _chunks() -> Iterator[bytes]:
    yield b"first,"
    yield b""
    yield b"second"


def _broken_chunks() -> Iterator[bytes]:
    yield b"first,"
    raise RuntimeError("a bug in the middle")
