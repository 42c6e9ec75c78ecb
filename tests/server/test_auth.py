"""API keys, who may come in without, and pages of other origins."""

import hmac
import logging
import os
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from crossrank.errors import InputError
from crossrank.server.auth import ApiKeys, check_openness, hash_key, new_key
from crossrank.server.problems import RequestError

Small = Callable[..., str]
ASK = {"query": "w1", "documents": ["w1", "w2"], "inputs": ["w1", "w2"]}


def write(file: Path, *lines: str) -> None:
    """Replace a file as a whole, as programs that care do."""
    file.with_suffix(".new").write_text("\n".join(lines))
    file.with_suffix(".new").rename(file)


def admits(keys: ApiKeys, authorization: str) -> bool:
    try:
        keys.check(authorization)
    except RequestError:
        return False
    return True


def test_keys_are_random_and_hashed_as_sha256() -> None:
    key, line = new_key()
    assert key.startswith("crk_")
    assert len(key) == 47
    assert key != new_key()[0]
    assert line == hash_key(key)
    # The standard's own example: SHA-256 of "abc".
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert hash_key("abc") == f"sha256:{expected}"


def test_any_of_several_keys_is_admitted_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    write(file, "# ours", hash_key("one"), "", f"{hash_key('two')}  # of the search team")
    keys = ApiKeys(file)
    for authorization in ("Bearer one", "Bearer two", "bearer one", "BEARER  two "):
        assert admits(keys, authorization), authorization
    for authorization in (
        "",
        "one",
        "Bearer",
        "Bearer ",
        "Bearer three",
        "Bearer one two",
        "Basic one",
        f"Bearer {hash_key('one')}",
        "Bearer \xff\x00",
        "Bearer " + "x" * 100_000,
    ):
        assert not admits(keys, authorization), authorization


def test_every_key_is_compared_and_in_constant_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "keys"
    write(file, *(hash_key(name) for name in "abc"))
    keys = ApiKeys(file)
    compared: list[str] = []
    compare = hmac.compare_digest

    def counting(found: str, known: str) -> bool:
        compared.append(known)
        return compare(found, known)

    monkeypatch.setattr(hmac, "compare_digest", counting)
    for authorization in ("Bearer a", "Bearer c", "Bearer x", ""):
        compared.clear()
        admits(keys, authorization)
        assert compared == [hash_key(name) for name in "abc"]


def test_the_file_is_read_again_when_it_changes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "crossrank.server")
    file = tmp_path / "keys"
    write(file, hash_key("old"))
    keys = ApiKeys(file)
    write(file, hash_key("new"))
    os.utime(file, (0, 0))
    assert admits(keys, "Bearer new")
    assert not admits(keys, "Bearer old")
    assert [line.message for line in caplog.records] == ["read the API keys again"]
    # What cannot be read changes nothing, and is said once.
    write(file, "new")
    assert admits(keys, "Bearer new")
    assert not admits(keys, "Bearer old")
    file.unlink()
    for _ in range(2):
        assert admits(keys, "Bearer new")
    assert len(caplog.records) == 3
    for line, reason in zip(
        caplog.records[1:],
        ("key 1: a line must read sha256:HASH", "No such file or directory"),
        strict=True,
    ):
        assert line.message.startswith("The API keys stay as they are: ")
        assert reason in line.message
    write(file, hash_key("newest"))
    assert admits(keys, "Bearer newest")
    assert not admits(keys, "Bearer new")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "has no keys"),
        (b"# none\n\n", "has no keys"),
        (b"secret", "key 1: a line must read sha256:HASH"),
        (b"sha256:abc", "key 1"),
        (b"sha256:" + b"G" * 64, "key 1"),
        (b"\xff\xfe\x00", "key 1"),
        (hash_key("a").encode() + b"\n# that was one\nx", "key 2"),
    ],
)
def test_a_file_that_is_wrong_is_refused(tmp_path: Path, content: bytes, expected: str) -> None:
    file = tmp_path / "keys"
    file.write_bytes(content)
    with pytest.raises(InputError, match=expected) as error:
        ApiKeys(file)
    assert "secret" not in str(error.value)


def test_a_file_of_keys_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"The file of keys cannot be read: .*keys\.txt"):
        ApiKeys(tmp_path / "keys.txt")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_this_machine_needs_no_keys(host: str) -> None:
    check_openness(host, None, anonymous=False)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "2001:db8::1", "a.host", ""])
def test_other_machines_need_keys_unless_asked(host: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="lets anybody use the server who can reach it"):
        check_openness(host, None, anonymous=False)
    check_openness(host, None, anonymous=True)
    check_openness(host, tmp_path / "keys", anonymous=False)


def test_a_server_with_keys_asks_for_one_wherever_it_tells_or_works(
    small: Small, tmp_path: Path
) -> None:
    file = tmp_path / "keys"
    write(file, hash_key("mine"))
    base = small(api_keys=file)
    key = {"authorization": "Bearer mine"}
    closed = {
        ("POST", "/v1/rerank"): {"message", "detail", "error"},
        ("POST", "/predict"): {"error", "error_type"},
        ("GET", "/v1/models"): {"message", "detail", "error"},
        ("GET", "/info"): {"error", "error_type"},
        ("GET", "/metrics"): {"message", "detail", "error"},
    }
    for (method, path), shape in closed.items():
        body = ASK if method == "POST" else None
        response = httpx.request(method, base + path, json=body)
        assert response.status_code == 401, path
        assert response.headers["www-authenticate"] == "Bearer"
        assert shape <= response.json().keys()
        response = httpx.request(method, base + path, json=body, headers=key)
        assert response.status_code == 200, path
    for path in ("/health", "/ready", "/openapi.json", "/"):
        assert httpx.get(base + path).status_code == 200, path
    # A key is checked before a body is read.
    response = httpx.post(f"{base}/v1/rerank", content=b"{", headers={"authorization": "Bearer x"})
    assert response.status_code == 401


def test_the_document_says_where_a_key_is_required(small: Small, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    write(file, hash_key("mine"))
    base = small(api_keys=file)
    paths = httpx.get(f"{base}/openapi.json").json()["paths"]
    operations = {path: method for path, ways in paths.items() for method in ways.values()}
    takes_key = {path for path, found in operations.items() if found.get("security")}
    assert takes_key == operations.keys() - {"/health", "/ready"}
    assert all("401" in operations[path]["responses"] for path in takes_key)
    shape = operations["/metrics"]["responses"]["401"]["content"]["application/json"]["schema"]
    assert (
        shape
        == operations["/v1/models"]["responses"]["401"]["content"]["application/json"]["schema"]
    )
    assert operations["/ready"]["responses"].keys() == {"200", "503"}
    open_to_all = httpx.get(f"{small()}/openapi.json").json()["paths"]
    assert open_to_all["/metrics"]["get"]["security"] == []


ORIGIN = {"origin": "https://search.example"}
PREFLIGHT = ORIGIN | {
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization,content-type",
}


def test_pages_of_other_origins_may_not_call(small: Small) -> None:
    base = small()
    preflight = httpx.request("OPTIONS", f"{base}/v1/rerank", headers=PREFLIGHT)
    assert preflight.status_code == 405
    for response in (preflight, httpx.post(f"{base}/v1/rerank", json=ASK, headers=ORIGIN)):
        assert not [name for name in response.headers if name.startswith("access-control")]


def test_pages_of_origins_that_are_named_may(small: Small) -> None:
    base = small(cors_origins=["https://search.example"])
    preflight = httpx.request("OPTIONS", f"{base}/v1/rerank", headers=PREFLIGHT)
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == "https://search.example"
    assert "POST" in preflight.headers["access-control-allow-methods"]
    for body, status in ((ASK, 200), ({}, 422)):
        response = httpx.post(f"{base}/v1/rerank", json=body, headers=ORIGIN)
        assert response.status_code == status
        assert response.headers["access-control-allow-origin"] == "https://search.example"
        assert "x-request-id" in response.headers["access-control-expose-headers"].lower()
    evil = PREFLIGHT | {"origin": "https://evil.example"}
    refused = httpx.request("OPTIONS", f"{base}/v1/rerank", headers=evil)
    assert refused.status_code == 400
    assert "access-control-allow-origin" not in refused.headers


def test_who_serves_this_machine_alone_is_asked_for_by_its_own_names(
    small: Small, tmp_path: Path
) -> None:
    """Else a page could give its own name this machine's address, and ask as if from there."""
    base = small()
    for host in ("", "LocalHost:8000", "127.0.0.1:1", "127.8.8.8", "[::1]", "[::1]:80"):
        assert httpx.post(f"{base}/v1/rerank", json=ASK, headers={"host": host}).status_code == 200
    for host in (
        "evil.example",
        "evil.example:8000",
        "localhost.evil.example",
        "[evil",
        "10.0.0.1",
    ):
        for path in ("/rerank", "/v1/rerank", "/", "/ready"):
            response = httpx.get(base + path, headers={"host": host})
            assert response.status_code == 421, host
            assert f"was asked for as {host!r}" in response.text
    write(tmp_path / "keys", hash_key("mine"))
    for others in (small(anonymous=True), small(api_keys=tmp_path / "keys")):
        assert httpx.get(f"{others}/ready", headers={"host": "a.proxy"}).status_code == 200
