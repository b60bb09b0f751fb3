"""What must be survived: a clear answer with the right status, and the next request is answered."""

import contextlib
import gzip
import json
import socket
import time
from collections.abc import Iterator

import httpx
import pytest
from tests.serve.running import JSON, ROW, Running, request, response

BODY = json.dumps(ROW).encode()


@pytest.fixture(autouse=True)
def _lives_on(server: Running) -> Iterator[None]:
    """After every test of this file the server answers as before, and told nobody its insides."""
    yield
    reply = server.client.post("/predict", json=ROW)
    assert (reply.status_code, reply.json()["notes"]) == (200, [])
    assert server.process.poll() is None
    assert not any(line["event"] == "fault" for line in server.lines())


def ask(server: Running, data: bytes) -> tuple[int, bytes]:
    with server.connect() as connection:
        connection.sendall(data)
        status, _, body = response(connection)
        return status, body


def is_quiet(text: str) -> bool:
    """Return whether an answer tells nothing of our insides."""
    return not any(word in text for word in ("Traceback", ".py", "/src/", "site-packages"))


@pytest.mark.parametrize(
    ("headers", "body", "statuses"),
    [
        (["content-length: 1000000000000000"], b"{}", {413, 400}),
        (["content-length: 100000000000000000000000"], b"{}", {413, 400}),
        (["content-length: -1"], b"{}", {400}),
        (["content-length: 1_0"], b"{}", {400}),
        (["content-length: 2", "content-length: 3"], b"{}", {400}),
        (["content-length: 2", "transfer-encoding: chunked"], b"{}", {400, 411}),
        (["transfer-encoding: gzip, chunked"], b"{}", {400, 411, 415, 501}),
        (["transfer-encoding: chunked"], b"zz\r\n{}\r\n", {400}),
        (["transfer-encoding: chunked"], b"2\r\n{}\r\n0\r\n\r\n", {422}),
        (["content-encoding: gzip"], gzip.compress(b"0" * 10**7), {415}),
        (["content-encoding: br"], BODY, {415}),
        (["content-encoding: identity"], BODY, {200}),
        (["bad header"], BODY, {400}),
        (["x: " + "y" * 1_000_000], BODY, {400, 431}),
        (["x\0y: 1"], BODY, {400}),
        (["upgrade: websocket", "connection: upgrade"], BODY, {200, 400, 426}),
    ],
)
def test_heads_that_lie(
    server: Running, headers: list[str], body: bytes, statuses: set[int]
) -> None:
    status, text = ask(server, request(body, *headers))
    assert status in statuses, text
    assert is_quiet(text.decode())


@pytest.mark.parametrize(
    "data",
    [
        b"\0" * 1000,
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
        b"x" * 70_000,
        b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
def test_what_is_no_http(server: Running, data: bytes) -> None:
    with server.connect() as connection:
        with contextlib.suppress(OSError):  # refused before it was sent
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
        status, _, text = response(connection)
    assert status in (0, 200, 400, 404, 405, 414, 431, 505)
    assert is_quiet(text.decode())


def test_who_asks_before_sending_is_told_to_go_on(server: Running) -> None:
    with server.connect() as connection:
        connection.sendall(request(BODY, "expect: 100-continue")[: -len(BODY)])
        assert connection.recv(1000).startswith(b"HTTP/1.1 100 ")
        connection.sendall(BODY)
        assert response(connection)[0] == 200
    with server.connect() as connection:
        connection.sendall(request(b"", "expect: 100-continue", "content-length: 10000000"))
        assert response(connection)[0] == 413


def test_a_body_that_is_too_long_is_refused_and_read_to_its_end(server: Running) -> None:
    reply = server.client.post("/predict", content=b"x" * 5_000_000, headers=JSON)
    assert reply.status_code == 413
    assert reply.json()["error"].startswith("the body has more than 200,000 bytes")
    assert reply.headers["connection"] == "close"


def test_chunks_without_end_are_refused(server: Running) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(1000):
            yield b"x" * 1000

    reply = server.client.post("/predict", content=chunks(), headers=JSON)
    assert reply.status_code == 413


def test_a_refused_short_body_keeps_the_connection(server: Running) -> None:
    with server.connect() as connection:
        for _ in range(3):
            connection.sendall(request(BODY, path="/models/none/predict"))
            status, headers, _ = response(connection)
            assert (status, headers.get("connection")) == (404, None)


@pytest.mark.parametrize(
    "path",
    [
        "/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/models/../../x",
        "/models/%2e%2e%2fshop/predict",
        "/pages/form.html",
        "/static/x",
        "/models/shop.retro",
        "//",
        "/models/",
        "/\u00ff",
        "/%ff%00",
    ],
)
def test_no_path_leads_to_a_file(server: Running, path: str) -> None:
    with server.connect() as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
        status, _, body = response(connection)
    assert status in (400, 404, 405)
    assert b"root:" not in body


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"])
def test_methods(server: Running, method: str) -> None:
    reply = server.client.request(method, "/predict")
    assert (reply.status_code, reply.headers["allow"]) == (405, "POST")
    assert reply.json()["error"] == "rows are sent with POST"
    if method != "GET":
        reply = server.client.request(method, "/healthz")
        assert (reply.status_code, reply.headers["allow"]) == (405, "GET, HEAD")
        assert reply.json()["error"] == "this address is only looked at, with GET"


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/nothing", "there is no such address; look at /docs"),
        ("/models/none", "no model is called 'none'; there are: shop, price"),
        ("/models/shop/versions/9", "'shop' has no version '9'; there are: 1"),
        ("/v2/models/none/ready", "no model is called 'none'"),
    ],
)
def test_unknown_addresses(server: Running, path: str, words: str) -> None:
    reply = server.client.get(path)
    assert reply.status_code == 404
    assert reply.json()["error"].startswith(words)


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"1", b'"x"', b"[[1]]", b"[null]", b"{}", b"[" * 100_000, b'{"a":NaN}', b"\xff",
     b'{"age":1e400}', b'{"age":' + b"1" * 10_000 + b"}", b'{"age":1,"age":2}', b"\xef\xbb\xbf{}"],
)  # fmt: skip
def test_broken_rows(server: Running, body: bytes) -> None:
    reply = server.client.post("/predict", content=body, headers=JSON)
    assert reply.status_code in (400, 422)
    assert set(reply.json()) <= {"error", "row", "field", "line", "column"}
    assert is_quiet(reply.text)


def test_types_that_are_not_read(server: Running) -> None:
    for kind in (
        "text/csv",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
    ):
        reply = server.client.post("/predict", content=b"x", headers={"content-type": kind})
        assert reply.status_code == 415
        assert "application/json" in reply.json()["error"]


def test_slow_senders_are_closed_and_others_are_not_kept(server: Running) -> None:
    begun = time.monotonic()
    with server.connect() as head, server.connect() as body, server.connect() as nothing:
        head.sendall(b"POST /predict HTTP/1.1\r\nhost: x\r\n")
        body.sendall(request(BODY)[:-5])
        for _ in range(20):
            assert server.client.post("/predict", json=ROW, timeout=1).status_code == 200
        status, headers, text = response(body)
        assert (status, headers["connection"]) == (408, "close")
        assert b"the body was not sent within 1.5 seconds" in text
        assert response(head)[0] == 0
        assert response(nothing)[0] == 0
    assert 1 < time.monotonic() - begun < 8


def test_a_head_that_trickles_is_closed(server: Running) -> None:
    def trickle(connection: socket.socket) -> None:
        for letter in request(BODY):
            connection.sendall(bytes([letter]))
            time.sleep(0.1)

    with server.connect() as connection, pytest.raises(ConnectionError, match=r"reset|[Bb]roken"):
        trickle(connection)


def test_resets_and_closed_halves(server: Running) -> None:
    for data in (request(BODY), request(BODY)[:-3], b"POST", b""):
        connection = server.connect()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.sendall(data)
        connection.close()
    assert ask(server, request(BODY, "connection: close"))[0] == 200


def test_requests_in_one_packet_are_answered_in_order(server: Running) -> None:
    last = request(b"{}", "connection: close", path="/x")
    with server.connect() as connection:
        connection.sendall(request(BODY) + request(b"[]") + last)
        data = b""
        while more := connection.recv(65536):
            data += more
    assert [int(part[:3]) for part in data.split(b"HTTP/1.1 ")[1:]] == [200, 422, 404]


def test_four_hundred_idle_connections_harm_nobody(server: Running) -> None:
    idle = [server.connect() for _ in range(400)]
    try:
        for _ in range(20):
            assert server.client.post("/predict", json=ROW, timeout=2).status_code == 200
        found = server.client.get("/metrics").text
        (count,) = [x for x in found.splitlines() if x.startswith("retrograd_connections ")]
        assert 401 <= float(count.split()[1]) <= 410
    finally:
        for connection in idle:
            connection.close()


def test_health_and_pages(server: Running) -> None:
    for path, expected in {
        "/healthz": {"live": True}, "/readyz": {"ready": True}, "/v2/health/live": {"live": True},
        "/v2/models/shop/ready": {"name": "shop", "ready": True},
    }.items():  # fmt: skip
        assert server.client.get(path).json() == expected
    for path in ("/", "/docs"):
        page = server.client.get(path)
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'sha256-" in policy
        assert "http://" not in page.text
        assert "https://" not in page.text
    assert httpx.head(server.address + "/").content == b""
