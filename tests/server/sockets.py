"""Plain sockets, for what no client of HTTP would send."""

import socket
from urllib.parse import urlsplit

NEVER = 20
"""Seconds after which a test that hangs fails."""


def connect(base: str) -> socket.socket:
    address = urlsplit(base)
    return socket.create_connection((address.hostname, address.port), timeout=NEVER)


def read_all(connection: socket.socket) -> bytes:
    """Read until the server closes the connection."""
    found = b""
    while chunk := connection.recv(65536):
        found += chunk
    return found


def read_answer(connection: socket.socket) -> bytes:
    """Read an answer, whose body is a JSON object."""
    found = b""
    while not found.endswith(b"}"):
        chunk = connection.recv(65536)
        assert chunk, found
        found += chunk
    return found


def head(length: int, path: str = "/v1/rerank") -> bytes:
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: localhost",
        "Content-Type: application/json",
        f"Content-Length: {length}",
    ]
    return "\r\n".join([*lines, "", ""]).encode()
