"""Images to arrays of pixels, as the image processors of transformers make them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from crossrank.errors import InputError, UnsupportedModelError
from crossrank.multimodal.media import Media
from crossrank.optional import require
from crossrank.types import Floats

MAX_PIXELS = 50_000_000
"""Larger images are refused before they are decoded: a small file can claim any size."""

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
"""What is opened; other formats of Pillow call programs, or are read by rarely used code."""


@dataclass(frozen=True)
class ImageProcessor:
    """Resizes, rescales and normalises.

    Attributes:
        channels: 3, or 1 for grey.
        height: In pixels.
        width: In pixels.
        resample: Pillow's number of the filter; 2 is bilinear.
        scale: What pixels from 0 to 255 are multiplied with.
        mean: Subtracted, a number a channel.
        std: Divided by, a number a channel.
    """

    channels: int
    height: int
    width: int
    resample: int = 2
    scale: float = 1 / 255
    mean: tuple[float, ...] = (0.5,)
    std: tuple[float, ...] = (0.5,)

    @classmethod
    def of(cls, settings: dict[str, Any], shape: list[int]) -> Self:
        """Read the ``preprocessor_config.json`` of transformers.

        Args:
            settings: Its values.
            shape: Channels, height and width of the pixels that the model reads.

        Raises:
            UnsupportedModelError: It asks for what is not done here.
        """
        channels, height, width = shape
        size = settings.get("size", {})
        size = {"height": size, "width": size} if isinstance(size, int) else size
        if settings.get("do_center_crop") or size != {"height": height, "width": width}:
            raise UnsupportedModelError(
                f"The processor must resize images to the {height} times {width} pixels that the "
                f"model reads, without a crop; its size is {size}. Change preprocessor_config.json."
            )
        normalise = settings.get("do_normalize", True)
        rescale = settings.get("do_rescale", True)
        return cls(
            channels,
            height,
            width,
            resample=int(settings.get("resample", 2)),
            scale=float(settings.get("rescale_factor", 1 / 255)) if rescale else 1.0,
            mean=tuple(settings.get("image_mean", (0.5,))) if normalise else (0.0,),
            std=tuple(settings.get("image_std", (0.5,))) if normalise else (1.0,),
        )

    def __call__(self, media: Media) -> Floats:
        """Decode an image and make pixels ``[channels, height, width]`` of it.

        Raises:
            InputError: It cannot be decoded, or is too large; the message names it.
        """
        image = read_image(media, "L" if self.channels == 1 else "RGB")
        if image.size != (self.width, self.height):
            image = image.resize((self.width, self.height), resample=self.resample)
        pixels = np.asarray(image, dtype=np.float32).reshape(self.height, self.width, self.channels)
        mean, std = np.array(self.mean, np.float32), np.array(self.std, np.float32)
        return np.ascontiguousarray(
            ((pixels * np.float32(self.scale) - mean) / std).transpose(2, 0, 1)
        )


def read_image(media: Media, mode: str = "RGB") -> Any:
    """Decode an image.

    Args:
        media: The image. It is turned as its camera says.
        mode: ``"RGB"`` or ``"L"``; other colours are converted.

    Returns:
        An image of Pillow.

    Raises:
        InputError: It cannot be decoded, or has more than ``MAX_PIXELS``; the message names it.
    """
    turn = require("PIL.ImageOps", extra="multimodal").exif_transpose
    with _opened(media) as image:
        # Pillow opens such a file in 32 bits, of which it fills 16.
        half = image.mode == "I" and image.format == "PPM"
        return _in_8_bits(turn(image), media, half=half).convert(mode)


def count_pixels(media: Media) -> int:
    """Look up how many pixels an image claims to have, without decoding it.

    Raises:
        InputError: It is no image, or has more than ``MAX_PIXELS``; the message names it.
    """
    with _opened(media) as image:
        return int(image.width * image.height)


@contextmanager
def _opened(media: Media) -> Iterator[Any]:
    """Give an image of Pillow, not yet decoded; what goes wrong with it names the document."""
    pillow = require("PIL.Image", extra="multimodal")
    try:
        if not isinstance(media.source, bytes | Path):
            yield _checked(media, _made(media.source, pillow))
            return
        with media.open() as file:
            yield _checked(media, pillow.open(file, formats=FORMATS))
    except (pillow.DecompressionBombError, pillow.DecompressionBombWarning) as error:
        raise _too_large(media, str(error)) from error
    except InputError:
        raise
    # Decoders raise whatever a damaged file makes them stumble on.
    except Exception as error:
        reason = str(error) or type(error).__name__
        if isinstance(error, pillow.UnidentifiedImageError):  # Pillow names the object it read from
            reason = "it is of another kind"
        raise InputError(
            f"{media.name} must be a whole image ({', '.join(FORMATS)}), and cannot be decoded: "
            f"{reason}."
        ) from error


def _made(source: Any, pillow: Any) -> Any:
    """Make an image of an array; an image of Pillow is one."""
    if not isinstance(source, np.ndarray):
        return source
    if source.dtype != np.uint8:
        source = (source * 255).round().astype(np.uint8)
    return pillow.fromarray(source[:, :, 0] if source.shape[2:] == (1,) else source)


def _in_8_bits(image: Any, media: Media, *, half: bool) -> Any:
    """Take the upper half of 16 bits a pixel, which Pillow would cut off at 255."""
    if half or image.mode.startswith("I;16"):
        pixels = np.asarray(image) >> 8
        return require("PIL.Image", extra="multimodal").fromarray(pixels.astype(np.uint8))
    if image.mode in ("I", "F"):
        raise InputError(
            f"{media.name} must have 8 or 16 bits a pixel, received 32 (Pillow's mode "
            f"{image.mode!r}), whose range is not known. Pass an array of floats from 0 to 1."
        )
    return image


def _checked(media: Media, image: Any) -> Any:
    """Look at the size that an image claims, before it is decoded."""
    if image.width * image.height > MAX_PIXELS:
        raise _too_large(media, f"{image.width} times {image.height}")
    return image


def _too_large(media: Media, received: str) -> InputError:
    return InputError(
        f"{media.name} must have at most {MAX_PIXELS:,} pixels, received {received}. "
        "Make it smaller: models look at far fewer."
    )
