"""Bodies are read within bounds, and what is no JSON is told with its place."""

import asyncio
from typing import Any

import pytest

from retrograd.serve.body import GoneError, check_head, read_body, read_json
from retrograd.serve.refusal import RefusedError
from retrograd.serve.settings import Limits

SMALL = Limits(body=100, body_seconds=0.05)
KINDS = (b"application/json", b"application/x")


@pytest.mark.parametrize(
    ("body", "words", "place"),
    [
        (b"", "the body is empty, at line 1, column 1", (1, 1)),
        (b"  ", "the body is empty", (1, 3)),
        (b'{"a": NaN}', "invalid character, at line 1, column 7", (1, 7)),
        (b'{"a": 1,\n "b": Infinity}', "invalid character, at line 2, column 7", (2, 7)),
        (b'{"a": 1e400}', "the number is out of range, at line 1, column 7", (1, 7)),
        (b'{"a": "1e400", "b":-1e999}', "the number is out of range", (1, 20)),
        (b'{"a": ' + b"9" * 10_000 + b"}", "the number is out of range", (1, 7)),
        (b"\xef\xbb\xbf{}", "invalid character", (1, 1)),
        (b'{"a": "\xff"}', "a text is not valid UTF-8", (1, 8)),
        (b'{"a": "\\ud800"}', "a text is not valid Unicode", (1, 8)),
        (b'{"a": 1', "it ends too early", (1, 8)),
        (b'{"a": 01}', "invalid number", (1, 8)),
        (b'{"a": 1} x', "trailing characters", (1, 10)),
        (b"{'a': 1}", "at line 1, column 2", (1, 2)),
        (b"<xml/>", "invalid character", (1, 1)),
    ],
)
def test_what_is_no_json_is_told_with_its_place(
    body: bytes, words: str, place: tuple[int, int]
) -> None:
    with pytest.raises(RefusedError) as refused:
        read_json(body)
    assert refused.value.status == 400
    assert words in refused.value.error
    assert (refused.value.place["line"], refused.value.place["column"]) == place


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"a":' * 100_000, b"[" * 900 + b"]" * 900])
def test_lists_without_end_are_refused(body: bytes) -> None:
    if body.endswith(b"]"):
        assert read_json(body) is not None
        return
    with pytest.raises(RefusedError, match="nests lists or objects too deep"):
        read_json(body)


@pytest.mark.parametrize("body", [b'{"a":1,"a":2}', b'[{"b":1},{"a":1, "\\u0061" : 2}]'])
def test_a_field_that_stands_twice_is_refused(body: bytes) -> None:
    with pytest.raises(RefusedError, match="the field 'a' stands twice in one object") as refused:
        read_json(body)
    assert refused.value.place["field"] == "a"


def test_colons_in_texts_are_no_second_field() -> None:
    row = {"at": "2020-01-01T10:30:00", "more": {"a": ":", "b": [{"a": 1}, {"a": 2}]}}
    import json

    assert read_json(json.dumps(row).encode()) == row


def test_a_nested_second_field_is_found_as_well() -> None:
    with pytest.raises(RefusedError, match="'b' stands twice"):
        read_json(b'{"a": {"b": 1, "b": 2}}')
    deep = b'{"a":' * 700 + b"1" + b"}" * 700
    assert read_json(deep) == read_json(deep)


@pytest.mark.parametrize(
    ("headers", "status", "words"),
    [
        ([(b"content-type", b"text/csv")], 415, "not application/json or application/x"),
        ([(b"content-encoding", b"gzip")], 415, "the body is compressed; send it as it is"),
        ([(b"content-length", b"101")], 413, "the body has more than 100 bytes"),
        ([(b"content-length", b"x")], 400, "the body's length is unclear"),
        (
            [(b"content-length", b"2"), (b"transfer-encoding", b"chunked")],
            400,
            "the body's length is unclear; send its content-length alone",
        ),
    ],
)
def test_heads_are_refused_before_the_body(
    headers: list[tuple[bytes, bytes]], status: int, words: str
) -> None:
    with pytest.raises(RefusedError) as refused:
        check_head(headers, KINDS, SMALL)
    assert (refused.value.status, words in refused.value.error) == (status, True)


def test_types_are_read_as_people_write_them() -> None:
    given = [
        (b"content-type", b"Application/JSON; charset=utf-8"),
        (b"content-encoding", b"identity"),
    ]
    assert check_head(given, KINDS, SMALL) == b"application/json"
    assert check_head([], KINDS, SMALL) == b"application/json"


def receiver(*messages: dict[str, Any]) -> Any:
    """Return a `receive` that gives these, and then waits."""
    left = list(messages)

    async def receive() -> Any:
        if not left:
            await asyncio.sleep(5)
        return left.pop(0)

    return receive


def part(body: bytes, *, more: bool = True) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


def test_bodies_come_in_parts() -> None:
    given = receiver(part(b"a"), part(b"b"), part(b"c", more=False))
    assert asyncio.run(read_body(given, SMALL)) == b"abc"


@pytest.mark.parametrize(
    ("messages", "status", "words"),
    [
        ([part(b"x" * 101, more=False)], 413, "more than 100 bytes; send fewer rows"),
        ([part(b"x" * 60), part(b"x" * 60)], 413, "more than 100 bytes"),
        ([part(b"x")], 408, "the body was not sent within 0.05 seconds"),
    ],
)
def test_bodies_without_end_are_refused(
    messages: list[dict[str, Any]], status: int, words: str
) -> None:
    with pytest.raises(RefusedError) as refused:
        asyncio.run(read_body(receiver(*messages), SMALL))
    assert (refused.value.status, words in refused.value.error) == (status, True)


@pytest.mark.parametrize("before", [[], [part(b"x")]])
def test_who_hangs_up_is_not_answered(before: list[dict[str, Any]]) -> None:
    with pytest.raises(GoneError):
        asyncio.run(read_body(receiver(*before, {"type": "http.disconnect"}), SMALL))
