"""What a caller gives for an image or a recording, checked but not yet decoded."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import blake2b, file_digest
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import Any, Literal

import numpy as np

from crossrank.errors import InputError, describe
from crossrank.types import Fetcher

Modality = Literal["image", "audio"]

_HINTS = {
    "image": "a pathlib.Path, bytes, a Pillow image or an array of pixels",
    "audio": "a pathlib.Path, bytes, or {'array': samples, 'sampling_rate': hertz}",
}

MAX_SAMPLING_RATE = 1_000_000
"""In hertz."""

_LOUDEST = 10.0
"""Of float samples: decoders go a little beyond 1, sixteen-bit integers thousands."""

_ORIENTATION = 0x0112
"""EXIF's tag for how the camera was held."""


@dataclass(frozen=True)
class Media:
    """A document that is an image or a recording.

    Equal to another of the same content, as far as can be told without reading files: those are
    the same while path, size and time of change are. ``str()`` is the digest of what is in them.

    Attributes:
        modality: What it is.
        key: Tells it from others.
        source: A path, bytes, an array or a Pillow image.
        sampling_rate: Of an array of samples, in hertz.
        where: Names it in messages, e.g. ``"The document of the pair at index 7"``.
        values: How many numbers the model reads of it; its length.
    """

    modality: Modality
    key: str
    source: Any = field(compare=False, repr=False)
    sampling_rate: int | None = None
    where: str = field(default="The document", compare=False)
    values: int = field(default=1, compare=False)

    def __len__(self) -> int:
        return self.values

    def __str__(self) -> str:
        return self._digest

    @cached_property
    def _digest(self) -> str:
        if not isinstance(self.source, Path):
            rate = f":{self.sampling_rate}" if self.sampling_rate else ""
            return f"{self.modality}:{self.key}{rate}"
        with self.open() as file:
            content = file_digest(file, lambda: blake2b(digest_size=16)).hexdigest()
        return f"{self.modality}:{content}"

    @property
    def name(self) -> str:
        """What messages call it."""
        shown = f" ({self.source})" if isinstance(self.source, Path) else ""
        return f"{self.where}{shown}"

    def open(self) -> BytesIO | BufferedReader:
        """Open the encoded file.

        Raises:
            InputError: It cannot be read.
        """
        if isinstance(self.source, bytes):
            return BytesIO(self.source)
        try:
            return Path(self.source).open("rb")
        except OSError as error:
            raise InputError(f"{self.name} cannot be read: {error.strerror}.") from error


def read_media(
    value: Any, modality: Modality, where: str, values: int = 1, fetcher: Fetcher | None = None
) -> Media:
    """Check what a caller gave for an image or a recording, without decoding it.

    Args:
        value: See ``crossrank.multimodal``.
        modality: What is required.
        where: Names it in messages.
        values: How many numbers the model will read of it.
        fetcher: Gives the file at an address; without one, addresses are refused.

    Raises:
        InputError: It is nothing of this kind, or a file that does not exist or cannot be fetched.
    """
    if isinstance(value, Media):
        _require(value.modality == modality, value.modality, modality, where)
        return replace(value, values=values)
    rate = None
    if isinstance(value, Mapping):
        value, rate = _unwrapped(value, modality, where)
    if isinstance(value, str):
        if fetcher is None:
            raise InputError(
                f"{where} is a text, and this model reads {modality} documents: "
                f"{_HINTS[modality]}. Name a file by pathlib.Path; addresses on the network are "
                "fetched only by a model that is loaded with a fetcher."
            )
        value = _fetched(value, fetcher, where)
    if isinstance(value, bytearray | memoryview):
        value = bytes(value)
    if isinstance(value, np.ndarray):
        value = _checked_array(value, rate, modality, where)
    elif not isinstance(value, Path | bytes) and not (modality == "image" and _is_pillow(value)):
        raise InputError(f"{where} must be {_HINTS[modality]}, received {describe(value)}.")
    return Media(modality, _key(value, where), value, rate, where, values)


def _fetched(address: str, fetcher: Fetcher, where: str) -> bytes:
    named = f"{where} ({address[:200]})"
    try:
        content = fetcher(address)
    # A caller's function raises whatever its library does.
    except Exception as error:
        raise InputError(f"{named} cannot be fetched: {type(error).__name__}: {error}.") from error
    if not isinstance(content, bytes):
        raise InputError(f"{named}: the fetcher must return bytes, received {describe(content)}.")
    return content


def _require(fits: bool, received: str, modality: str, where: str) -> None:
    if not fits:
        raise InputError(f"{where} is {received}, and this model reads {modality} documents.")


def _unwrapped(value: Mapping[str, Any], modality: Modality, where: str) -> tuple[Any, int | None]:
    """Take a document out of a dictionary, with the sampling rate where there is one."""
    keys = set(value)
    if keys & {"text", "image", "audio"}:
        _require(keys == {modality}, " and ".join(sorted(map(str, keys))), modality, where)
        inner = value[modality]
        return _unwrapped(inner, modality, where) if isinstance(inner, Mapping) else (inner, None)
    if {"array", "sampling_rate"} <= keys:
        rate = value["sampling_rate"]
        if isinstance(rate, bool) or not isinstance(rate, int) or not 0 < rate <= MAX_SAMPLING_RATE:
            raise InputError(
                f"{where} must have a sampling_rate in hertz, received {describe(rate)}."
            )
        return np.asarray(value["array"]), rate
    if keys == {"bytes", "path"}:
        path = value["path"]
        return (value["bytes"] if value["bytes"] is not None else Path(str(path))), None
    raise InputError(
        f"{where} must have the key {modality!r}, received a dictionary with {sorted(keys)}."
    )


def _checked_array(value: Any, rate: int | None, modality: Modality, where: str) -> Any:
    shape = list(value.shape)
    if value.dtype.kind not in "iuf" or not value.size:
        raise InputError(f"{where} must hold numbers, received an array {shape} of {value.dtype}.")
    if value.dtype.kind == "f" and not np.isfinite(value).all():
        raise InputError(f"{where} must hold finite numbers, and holds NaN or infinity.")
    if modality == "audio":
        if rate is None:
            raise InputError(
                f"{where} is an array without a sampling rate: pass "
                "{'array': samples, 'sampling_rate': hertz}."
            )
        if value.ndim != 1:
            raise InputError(
                f"{where} must have one channel, samples [samples], received an array {shape}. "
                "Mix channels down first, e.g. array.mean(axis=0)."
            )
        if value.dtype.itemsize > 4 and value.dtype.kind != "f":
            raise InputError(
                f"{where} must have samples of 8, 16 or 32 bits, or floats from -1 to 1, received "
                f"{value.dtype}. If they are those of 16 bits: array.astype('int16')."
            )
        if value.dtype.kind == "f" and (np.abs(value) > _LOUDEST).any():
            raise InputError(
                f"{where} must have samples from -1 to 1 as floats, received up to "
                f"{np.abs(value).max():g}. If they are those of 16 bits: array.astype('int16')."
            )
    elif not (value.ndim == 2 or (value.ndim == 3 and value.shape[2] in (1, 3))):
        raise InputError(
            f"{where} must be pixels [height, width], [height, width, 1] or [height, width, 3], "
            f"received an array {shape}."
        )
    elif value.dtype.kind == "f" and not ((value >= 0) & (value <= 1)).all():
        raise InputError(f"{where} must have pixels from 0 to 1 as floats, or 0 to 255 as uint8.")
    elif value.dtype.kind != "f" and value.dtype != np.uint8:
        raise InputError(f"{where} must have pixels of uint8 or floats, received {value.dtype}.")
    return value


def _is_pillow(value: Any) -> bool:
    """Say whether a value is an image of Pillow, which is imported if it is."""
    pillow = sys.modules.get("PIL.Image")
    return pillow is not None and isinstance(value, pillow.Image)


def _key(value: Any, where: str) -> str:
    if isinstance(value, Path):
        try:
            state = value.stat()
        except OSError as error:
            raise InputError(f"{where} ({value}) cannot be read: {error.strerror}.") from error
        if not value.is_file():
            raise InputError(f"{where} ({value}) must be a file.")
        return f"{value.absolute()}:{state.st_size}:{state.st_mtime_ns}"
    if isinstance(value, bytes):
        return _digest(value)
    if isinstance(value, np.ndarray):
        return f"{_digest(value.tobytes())}:{value.dtype}{list(value.shape)}"
    return _key_of_image(value, where)


def _key_of_image(image: Any, where: str) -> str:
    """Tell an image of Pillow by all that is read of it: palette and orientation, too."""
    try:
        content = image.tobytes() + bytes(image.getpalette() or [])
        orientation = image.getexif().get(_ORIENTATION, 1)
    # Decoders raise whatever a damaged file makes them stumble on.
    except Exception as error:
        raise InputError(
            f"{where} must be a whole image, and cannot be decoded: {error}."
        ) from error
    return f"{_digest(content)}:{image.mode}{image.size}:{orientation}"


def _digest(content: bytes) -> str:
    return blake2b(content, digest_size=16).hexdigest()
