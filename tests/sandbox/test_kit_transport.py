"""HTTP as the practice servers speak it: what any client may send, and what it gets back on the wire."""

from __future__ import annotations

import gzip
import http.client
import socket
import ssl
import threading
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import pytest

from sandbox.kit import CertificateAuthority
from tests.sandbox.echo import EchoServer


@pytest.fixture
def server() -> Iterator[EchoServer]:
    with EchoServer() as running:
        yield running


@pytest.fixture
def client(server: EchoServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url) as open_client:
        yield open_client


def raw(server: EchoServer, request: bytes) -> bytes:
    """Everything the server says to a request written byte for byte."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
        connection.sendall(request)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    return answer


def test_a_request_arrives_as_it_was_sent(client: httpx.Client, server: EchoServer) -> None:
    seen = client.post("/a%2Fb/c?x=1&x=2&empty=&plus=a+b", content=b"\x00\xff", headers={"X-Some": "Thing"}).json()
    assert seen["method"] == "POST"
    assert seen["path"] == "/a%2Fb/c"
    assert seen["query"] == [["x", "1"], ["x", "2"], ["empty", ""], ["plus", "a b"]]
    assert seen["body"] == "\x00\xff"
    assert ["X-Some", "Thing"] in seen["headers"]
    assert seen["host"] == f"127.0.0.1:{server.port}"
    assert seen["scheme"] == "http"


def test_header_case_and_repeats_are_kept_on_the_wire(server: EchoServer) -> None:
    answer = raw(server, b"GET /headers HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert b"\r\nX-MixedCASE: kept\r\n" in answer
    assert b"\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n" in answer


def test_a_header_value_can_never_split_the_answer(client: httpx.Client, server: EchoServer) -> None:
    answer = client.get("/odd-header")
    assert answer.status_code == 200
    assert answer.headers["X-Odd"].startswith("line  break")
    assert server.crashes == []


def test_chunked_bodies_are_joined(client: httpx.Client) -> None:
    assert client.post("/x", content=iter([b"one ", b"two"])).json()["body"] == "one two"


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        ("gzip", gzip.compress(b"payload", mtime=0)),
        ("deflate", zlib.compress(b"payload")),
        ("deflate", zlib.compress(b"payload", wbits=-15)),
        ("identity", b"payload"),
        ("GZIP", gzip.compress(b"payload", mtime=0)),
    ],
)
def test_packed_bodies_are_unpacked(client: httpx.Client, encoding: str, packed: bytes) -> None:
    assert client.post("/x", content=packed, headers={"Content-Encoding": encoding}).json()["body"] == "payload"


def test_a_body_that_is_not_what_it_says_is_refused(client: httpx.Client, server: EchoServer) -> None:
    assert client.post("/x", content=b"plain", headers={"Content-Encoding": "gzip"}).status_code == 400
    cut = gzip.compress(b"payload" * 100, mtime=0)[:-9]
    assert client.post("/x", content=cut, headers={"Content-Encoding": "gzip"}).status_code == 400
    assert client.post("/x", content=b"x", headers={"Content-Encoding": "br"}).status_code == 415
    assert server.crashes == []


def test_answers_are_compressed_only_when_asked_for_and_worth_it(client: httpx.Client) -> None:
    asked = client.get("/large", headers={"Accept-Encoding": "gzip, deflate"})
    assert asked.headers["Content-Encoding"] == "gzip"
    assert int(asked.headers["Content-Length"]) < 1000
    assert asked.text == "0123456789" * 1000
    for refusing in ("identity", "gzip;q=0", "deflate"):
        assert "Content-Encoding" not in client.get("/large", headers={"Accept-Encoding": refusing}).headers
    assert "Content-Encoding" not in client.get("/headers", headers={"Accept-Encoding": "gzip"}).headers


def test_bodies_are_bounded_whether_announced_streamed_or_packed(server: EchoServer) -> None:
    server.max_body = 1000
    with httpx.Client(base_url=server.url) as client:
        assert client.post("/x", content=b"a" * 1000).status_code == 200
        assert client.post("/x", content=b"a" * 1001).status_code == 413
        assert client.post("/x", content=iter([b"a" * 600, b"a" * 600])).status_code == 413
        bomb = gzip.compress(b"a" * 100_000, mtime=0)
        assert client.post("/x", content=bomb, headers={"Content-Encoding": "gzip"}).status_code == 413


def test_lines_up_to_64_kb_are_read_and_longer_ones_refused(client: httpx.Client, server: EchoServer) -> None:
    assert client.get("/x?q=" + "a" * 60_000).status_code == 200
    assert client.get("/x", headers={"X-Long": "a" * 60_000}).status_code == 200
    answer = raw(server, b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.0 400"))


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"NONSENSE\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nNo colon here\r\n\r\n",
        b"GET /\xff\xfe?\xff HTTP/1.1\r\nHost: x\r\nX-Bytes: \xff\xfe\r\nConnection: close\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\nzz\r\nabc\r\n0\r\n\r\n",
        b"GET http://elsewhere/absolute?x=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /%zz%?%zz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"BREW /pot HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    ],
)
def test_malformed_http_is_never_an_internal_error(server: EchoServer, request_bytes: bytes) -> None:
    answer = raw(server, request_bytes)
    status = int(answer.split(b" ", 2)[1])
    assert status in (200, 400)
    assert server.crashes == []


def test_bad_json_that_a_handler_lets_pass_is_a_400(client: httpx.Client, server: EchoServer) -> None:
    assert client.post("/json", content=b'{"a":').status_code == 400
    assert client.post("/json", content=b"").status_code == 400
    assert client.post("/json", content=b'{"a":1}').json() == {"a": 1}
    assert server.crashes == []


def test_a_bug_in_a_handler_answers_500_with_a_correlation_id_and_is_kept(
    client: httpx.Client, server: EchoServer
) -> None:
    answer = client.get("/boom")
    assert answer.status_code == 500
    assert [crash.correlation_id for crash in server.crashes] == [answer.text.split()[-1]]
    assert "RuntimeError: a bug" in server.crashes[0].traceback
    assert "RuntimeError" not in answer.text
    assert client.get("/x").status_code == 200


def test_head_is_get_without_the_body(client: httpx.Client) -> None:
    get, head = client.get("/large"), client.head("/large")
    assert head.status_code == 200
    assert head.content == b""
    assert head.headers["Content-Type"] == get.headers["Content-Type"]
    assert head.headers["Content-Length"] == get.headers["Content-Length"]


def test_204_has_no_body_and_the_connection_goes_on(client: httpx.Client) -> None:
    answer = client.get("/no-content")
    assert (answer.status_code, answer.content) == (204, b"")
    assert client.get("/x").status_code == 200


def test_expect_100_continue_is_answered(server: EchoServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
        connection.sendall(b"POST /x HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 100 Continue")
        connection.sendall(b"abc")
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")


def test_a_stream_waits_without_blocking_others(client: httpx.Client) -> None:
    assert client.get("/stream").text == "first,second"


def test_a_stream_that_breaks_ends_early_and_is_kept_as_a_crash(client: httpx.Client, server: EchoServer) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        client.get("/broken-stream")
    assert "a bug in the middle" in server.crashes[0].traceback


def test_each_connection_has_an_identity_that_lasts_as_long_as_it(server: EchoServer) -> None:
    with httpx.Client(base_url=server.url) as first, httpx.Client(base_url=server.url) as second:
        assert [first.get("/connection").json() for _ in range(3)] == [1, 2, 3]
        assert second.get("/connection").json() == 1


def test_requests_are_atomic_under_concurrent_clients(server: EchoServer) -> None:
    def work() -> None:
        with httpx.Client(base_url=server.url) as own:
            for _ in range(50):
                own.post("/increment")

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.call(lambda: server.value) == 400
    assert server.counters.calls == 400
    assert server.counters.records == 400


def test_a_pipelining_client_gets_its_answers_in_order(server: EchoServer) -> None:
    request = b"POST /increment HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
    last = request.replace(b"Host: x", b"Host: x\r\nConnection: close")
    answer = raw(server, request * 2 + last)
    assert [answer.count(b'{"value":%d}' % number) for number in (1, 2, 3)] == [1, 1, 1]


def test_the_date_header_is_the_servers_clock(client: httpx.Client, server: EchoServer) -> None:
    server.clock.fix(datetime(2026, 3, 2, 9, 0, tzinfo=UTC))
    assert client.get("/x").headers["Date"] == "Mon, 02 Mar 2026 09:00:00 GMT"


def test_tls_is_verified_by_the_servers_own_authority() -> None:
    with EchoServer(tls=True) as server:
        assert server.url.startswith("https://")
        assert server.ca_file is not None
        context = ssl.create_default_context(cafile=str(server.ca_file))
        answer = httpx.get(f"{server.url}/x", verify=context)
        assert answer.json()["scheme"] == "https"
        with pytest.raises(httpx.ConnectError, match="certificate"):
            httpx.get(f"{server.url}/x")
        connection = http.client.HTTPSConnection("localhost", server.port, context=context, timeout=5)
        connection.request("GET", "/x")
        assert connection.getresponse().status == 200
        connection.close()
        ca_file = server.ca_file
    assert not ca_file.exists()
    assert not ca_file.parent.exists()


def test_servers_may_share_an_authority_which_outlives_them() -> None:
    authority = CertificateAuthority()
    with EchoServer(ca=authority) as one, EchoServer(ca=authority) as two:
        with httpx.Client(verify=authority.client_context()) as client:
            assert client.get(f"{one.url}/x").status_code == client.get(f"{two.url}/x").status_code == 200
        assert one.ca_file == two.ca_file == authority.ca_file
    assert authority.ca_file.exists()
    authority.close()
    assert not authority.ca_file.exists()


def test_a_stopped_server_comes_back_on_its_port_with_its_state_and_certificate() -> None:
    server = EchoServer(tls=True).start()
    assert server.ca_file is not None
    url, context = server.url, ssl.create_default_context(cafile=str(server.ca_file))
    httpx.post(f"{url}/increment", verify=context)
    server.stop()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/x", verify=context)
    with server:
        assert server.url == url
        assert httpx.post(f"{url}/increment", verify=context).json() == {"value": 2}


def test_stop_leaves_no_thread_and_no_open_socket() -> None:
    before = set(threading.enumerate())
    server = EchoServer().start()
    port, control_port = server.port, server.control_port
    idle = socket.create_connection(("127.0.0.1", port))
    busy = socket.create_connection(("127.0.0.1", port))
    server.faults.add("slow", seconds=60)
    busy.sendall(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
    while not server.faults.hits:
        pass
    server.stop()
    assert set(threading.enumerate()) == before
    for connection in (idle, busy):
        with connection:
            connection.settimeout(5)
            assert connection.recv(100) == b""
    for free in (port, control_port):
        with socket.socket() as again:
            again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            again.bind(("127.0.0.1", free))


def test_a_taken_port_is_an_os_error_and_leaves_nothing_running() -> None:
    before = set(threading.enumerate())
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        server = EchoServer(port=taken.getsockname()[1])
        with pytest.raises(OSError, match="in use"):
            server.start()
    assert set(threading.enumerate()) == before
    with server:
        assert httpx.get(f"{server.url}/x").status_code == 200
