"""The short way answers as the long way does, and takes only what it can read beyond doubt."""

import json
import re
import time

import pytest
from tests.serve.running import ROW, Running, request, response

from retrograd.serve.plain import read

BODY = json.dumps(ROW).encode()
LONG = "x-long: \t"  # an empty value: right, but not plain


def test_a_usual_request_is_plain() -> None:
    found = read(request(BODY, "Accept: */*", "Connection: Keep-Alive", "authorization: Bearer x"))
    assert found is not None
    assert (found.path, found.authorization, found.body, found.lacking) == (
        "/predict", b"Bearer x", BODY, 0,
    )  # fmt: skip
    found = read(request(BODY)[:-7])
    assert found is not None
    assert found.lacking == 7


@pytest.mark.parametrize(
    "data",
    [
        b"",
        request(BODY)[:20],
        request(BODY) + b"P",
        request(BODY) + request(BODY),
        request(BODY).replace(b"POST", b"GET"),
        request(BODY).replace(b"HTTP/1.1", b"HTTP/1.0"),
        request(BODY).replace(b"host: x\r\n", b""),
        request(BODY).replace(b"/predict", b"/predict?x=1"),
        request(BODY).replace(b"/predict", b"/%70redict"),
        request(BODY).replace(b"application/json", b"text/plain"),
        request(BODY).replace(b"\r\n", b"\n"),
        request(BODY, "content-length: 10", "content-length: 10"),
        request(BODY, "content-length: +10"),
        request(BODY, "content-length : 10"),
        request(BODY, "Transfer-Encoding: chunked"),
        request(BODY, "content-encoding: gzip"),
        request(BODY, "expect: 100-continue"),
        request(BODY, "connection: close"),
        request(BODY, "upgrade: websocket"),
        request(BODY, "x: a\r\n folded"),
        request(BODY, "x: \x01"),
        request(BODY, "x" * 9000 + ": 1"),
        request(b" " * 70_000),
    ],
)
def test_what_is_not_plain_goes_the_long_way(data: bytes) -> None:
    assert read(data) is None


def without_date(answer: tuple[int, dict[str, str], bytes]) -> tuple[int, dict[str, str], bytes]:
    status, headers, body = answer
    return status, {k: v for k, v in headers.items() if k != "date"}, body


@pytest.mark.parametrize(
    "body",
    [
        BODY,
        json.dumps([ROW] * 3).encode(),
        b"{}",
        b"[]",
        b"nothing",
        b'{"age": 1e400}',
        b"[" * 9999,
    ],
)
def test_both_ways_give_the_same_bytes(server: Running, body: bytes) -> None:
    with server.connect() as short, server.connect() as long:
        for _ in range(3):
            short.sendall(request(body))
            long.sendall(request(body, LONG))
            assert without_date(response(short)) == without_date(response(long))


def test_a_body_may_come_after_its_head(server: Running) -> None:
    data = request(BODY)
    for pause in (0.0, 0.005, 0.1):
        with server.connect() as connection:
            for _ in range(2):
                connection.sendall(data[: -len(BODY)])
                time.sleep(pause)
                connection.sendall(BODY)
                assert response(connection)[0] == 200


def test_what_is_asked_ahead_is_answered_in_order(server: Running) -> None:
    ages = [20, 30, 40, 50]
    alone = [server.client.post("/predict", json={**ROW, "age": age}).json() for age in ages]
    rows = [request(json.dumps({**ROW, "age": age}).encode()) for age in ages]
    with server.connect() as connection:
        for each in rows:
            connection.sendall(each)
            time.sleep(0.0002)
        connection.sendall(request(b"", "connection: close", path="/models/none/predict"))
        data = b""
        while more := connection.recv(65536):
            data += more
    parts = re.findall(rb"HTTP/1.1 (\d+) .*?\r\n\r\n(\{.*?\})(?=HTTP/|$)", data, re.DOTALL)
    assert [int(status) for status, _ in parts] == [200] * 4 + [404]
    assert [json.loads(body) for _, body in parts[:4]] == alone


def test_a_flood_of_what_is_asked_ahead_is_cut(server: Running) -> None:
    with server.connect() as connection, pytest.raises(ConnectionError, match=r"reset|[Bb]roken"):
        flood(connection.sendall, connection.recv)
    assert server.client.post("/predict", json=ROW).status_code == 200


def flood(send: object, receive: object) -> None:
    """Send a request and rubbish after it, until the server has enough."""
    assert callable(send)
    assert callable(receive)
    send(request(BODY))
    for _ in range(200):
        send(b"\0" * 100_000)
        time.sleep(0.001)
    while receive(65536):
        pass
    raise ConnectionResetError("closed, as reset")
