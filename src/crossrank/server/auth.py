"""API keys: who may use the server."""

import hashlib
import hmac
import ipaddress
import secrets
from pathlib import Path

from crossrank.errors import InputError
from crossrank.server.logs import LOGGER
from crossrank.server.problems import RequestError

PREFIX = "sha256:"


def new_key() -> tuple[str, str]:
    """Make a key.

    Returns:
        The key, for the client, and its line for the server's file.

    Example:
        >>> key, line = new_key()
        >>> line == hash_key(key)
        True
    """
    key = f"crk_{secrets.token_urlsafe(32)}"
    return key, hash_key(key)


def hash_key(key: str) -> str:
    """Hash a key for the file. Keys are random and long, so a fast hash gives nothing away."""
    return PREFIX + hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


class ApiKeys:
    """The keys in a file, read again whenever it changes.

    Args:
        path: One hashed key a line; what follows a ``#`` is a comment.

    Raises:
        InputError: A line is no hashed key, there is none, or the file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._seen: tuple[int, ...] = _version(path)
            self._hashes = _read(path)
        except OSError as error:
            raise InputError(f"The file of keys cannot be read: {error}.") from error

    def check(self, authorization: str) -> None:
        """Let a request in, or not.

        Args:
            authorization: The header: ``Bearer KEY``.

        Raises:
            RequestError: The key is missing or unknown.
        """
        self._refresh()
        scheme, _, key = authorization.partition(" ")
        found = hash_key(key.strip()) if scheme.lower() == "bearer" else ""
        # All are compared, each in constant time, so that timing tells nothing.
        matches = [hmac.compare_digest(found, known) for known in self._hashes]
        if not any(matches):
            raise RequestError(
                "unauthorized", "A valid API key is required: send `Authorization: Bearer KEY`."
            )

    def _refresh(self) -> None:
        """Read the file when it has changed; while it cannot be read, the keys stay as they are."""
        try:
            version = _version(self._path)
            if version == self._seen:
                return
            hashes = _read(self._path)
        except OSError as error:
            if self._seen:
                LOGGER.warning("The API keys stay as they are: %s", error)
            self._seen = ()  # tried again at the next request
        except InputError as error:
            LOGGER.warning("The API keys stay as they are: %s", error)
            self._seen = version
        else:
            LOGGER.info("read the API keys again")
            self._seen, self._hashes = version, hashes


def check_openness(host: str, keys: Path | None, anonymous: bool) -> None:
    """Refuse to let anybody in who can reach this machine, unless that was asked for.

    Raises:
        InputError: The address is not this machine's own, and there are no keys.
    """
    if keys is None and not anonymous and not is_loopback(host):
        raise InputError(
            f"Listening on {host} without API keys lets anybody use the server who can reach it: "
            "name a file with --api-keys, or say --anonymous if that is wanted."
        )


def is_loopback(host: str) -> bool:
    """Say whether a name or an address is this machine's own."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _version(path: Path) -> tuple[int, ...]:
    """What changes whenever a file does."""
    found = path.stat()
    return found.st_mtime_ns, found.st_size, found.st_ino


def _read(path: Path) -> list[str]:
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    hashes = [text for line in lines if (text := line.partition("#")[0].strip())]
    for number, text in enumerate(hashes, 1):
        digits = text.removeprefix(PREFIX)
        if digits == text or len(digits) != 64 or set(digits) - set("0123456789abcdef"):
            raise InputError(
                f"{path}, key {number}: a line must read sha256:HASH, as `crossrank serve "
                "--new-key` prints it."
            )
    if not hashes:
        raise InputError(f"{path} has no keys: make one with `crossrank serve --new-key`.")
    return hashes
