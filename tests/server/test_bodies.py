"""Bodies as they are parsed: an object of JSON, or a refusal."""

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossrank.server.bodies import parse
from crossrank.server.problems import RequestError


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200) | st.text(alphabet='{}[]":,\\u0dEe19.-+ntfNI \ud800', max_size=60))
def test_parse_gives_an_object_or_refuses(body: bytes | str) -> None:
    raw = body if isinstance(body, bytes) else body.encode("utf-8", "surrogatepass")
    try:
        found = parse(raw)
    except RequestError:
        return
    assert parse(json.dumps(found).encode()) == found == json.loads(raw)


def test_parse_reads_all_that_json_has() -> None:
    value = {"a": [None, True, -0.5e-3, 10**300, {"": "\ud800\x00\N{SNOWMAN}"}], "b": {}, "\n": []}
    assert parse(json.dumps(value).encode()) == value
    assert (
        parse(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))["a"][3] == 10**300
    )


def test_looking_for_a_key_that_is_there_twice_takes_no_time() -> None:
    keys = [f'"{number}":0' for number in range(100_000)]
    began = time.monotonic()
    with pytest.raises(RequestError, match="'99999' is there twice"):
        parse(("{" + ",".join([*keys, keys[-1]]) + "}").encode())
    assert time.monotonic() - began < 5
