"""Images to patches, as the image processor of Qwen's vision-language models makes them."""

import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from crossrank.errors import InputError, UnsupportedModelError
from crossrank.multimodal.images import read_image
from crossrank.multimodal.media import Media
from crossrank.types import Patches

_KINDS = ("Qwen2VLImageProcessor", "Qwen2VLImageProcessorFast", "Qwen2VLImageProcessorPil")

_CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
_CLIP_STD = (0.26862954, 0.26130258, 0.27577711)

_MOST_ELONGATED = 200
"""Images more than this times as wide as high, or high as wide, are refused."""


@dataclass(frozen=True)
class PatchProcessor:
    """Keeps an image's proportions, within bounds on its size, and cuts it into patches.

    Attributes:
        side: Of a patch, in pixels.
        merged: The model makes one state of a square of this many patches to a side.
        frames: How often an image is repeated, for models that read videos by pairs of frames.
        fewest: Pixels; smaller images are enlarged.
        most: Pixels; larger images are made smaller.
        resample: Pillow's number of the filter; 3 is bicubic.
        scale: What pixels from 0 to 255 are multiplied with.
        mean: Subtracted, a number a channel.
        std: Divided by, a number a channel.
    """

    side: int = 14
    merged: int = 2
    frames: int = 2
    fewest: int = 56 * 56
    most: int = 28 * 28 * 1280
    resample: int = 3
    scale: float = 1 / 255
    mean: tuple[float, ...] = _CLIP_MEAN
    std: tuple[float, ...] = _CLIP_STD

    @classmethod
    def of(cls, settings: dict[str, Any]) -> Self:
        """Read the settings of an image processor of transformers.

        Raises:
            UnsupportedModelError: It is of another kind, or leaves a step out.
        """
        kind = settings.get("image_processor_type")
        if kind not in _KINDS:
            raise UnsupportedModelError(
                f"The image processor must be a {_KINDS[0]}, received {kind!r}."
            )
        for step in ("do_resize", "do_rescale", "do_normalize", "do_convert_rgb"):
            if not settings.get(step, True):
                raise UnsupportedModelError(f"The image processor must have {step}, which is off.")
        size = settings.get("size") or {}
        return cls(
            side=int(settings.get("patch_size", cls.side)),
            merged=int(settings.get("merge_size", cls.merged)),
            frames=int(settings.get("temporal_patch_size", cls.frames)),
            fewest=int(settings.get("min_pixels") or size.get("shortest_edge", cls.fewest)),
            most=int(settings.get("max_pixels") or size.get("longest_edge", cls.most)),
            resample=int(settings.get("resample", cls.resample)),
            scale=float(settings.get("rescale_factor", cls.scale)),
            mean=tuple(settings.get("image_mean", cls.mean)),
            std=tuple(settings.get("image_std", cls.std)),
        )

    def __call__(self, media: Media) -> Patches:
        """Decode an image and cut it into patches.

        Neighbours that the model merges follow each other.

        Raises:
            InputError: It cannot be decoded, is too large or too elongated; the message names it.
        """
        image = read_image(media)
        width, height = image.size
        if max(width, height) > _MOST_ELONGATED * min(width, height):
            raise InputError(
                f"{media.name} must be at most {_MOST_ELONGATED} times as long as wide, received "
                f"{width} times {height} pixels."
            )
        height, width = self.fit(height, width)
        if image.size != (width, height):
            image = image.resize((width, height), resample=self.resample)
        mean, std = np.array(self.mean, np.float32), np.array(self.std, np.float32)
        pixels = (np.asarray(image, dtype=np.float32) * np.float32(self.scale) - mean) / std
        rows, columns, square = height // self.side, width // self.side, self.merged
        parts = pixels.reshape(
            rows // square, square, self.side, columns // square, square, self.side, 3
        ).transpose(0, 3, 1, 4, 6, 2, 5)
        patches = parts.reshape(rows * columns, 3, 1, self.side**2).repeat(self.frames, axis=2)
        return Patches(patches.reshape(rows * columns, -1), (1, rows, columns))

    def fit(self, height: int, width: int) -> tuple[int, int]:
        """Find the size that an image gets: whole squares of patches, its proportions about kept.

        Example:
            >>> PatchProcessor(side=14, merged=2).fit(300, 200)
            (308, 196)
        """
        unit = self.side * self.merged
        high, wide = (round(length / unit) * unit for length in (height, width))
        if high * wide > self.most:
            shrink = math.sqrt(height * width / self.most)
            high, wide = (
                max(unit, math.floor(length / shrink / unit) * unit) for length in (height, width)
            )
        elif high * wide < self.fewest:
            grow = math.sqrt(self.fewest / (height * width))
            high, wide = (math.ceil(length * grow / unit) * unit for length in (height, width))
        return high, wide

    def states(self, image: Patches) -> int:
        """How many states, and tokens, an image has in the model."""
        return math.prod(image.grid) // self.merged**2
