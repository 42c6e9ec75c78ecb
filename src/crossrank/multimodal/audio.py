"""Recordings to what audio encoders read: spectrograms, or the waveform itself."""

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any, Self

import numpy as np

from crossrank.errors import InputError, UnsupportedModelError
from crossrank.multimodal.media import MAX_SAMPLING_RATE, Media
from crossrank.optional import require
from crossrank.types import Floats

_PREEMPHASIS = 0.97
_LOWEST_HERTZ = 20.0
_FLOOR = float(np.finfo(np.float32).eps)

_HIGHEST_HERTZ = 8000.0
_SILENCE = 1e-10
_DYNAMIC_RANGE = 8.0
"""Of Whisper: what is softer than the loudest by more powers of ten than this is cut off."""


@dataclass(frozen=True)
class SpectrogramProcessor:
    """Log-mel filter banks as Kaldi computes them, for the Audio Spectrogram Transformer.

    Windows of 25 ms, every 10 ms. The same numbers as transformers' ``ASTFeatureExtractor``.

    Attributes:
        sampling_rate: In hertz; other recordings are resampled.
        frames: Shorter recordings are filled up with zeros, longer ones cut.
        bins: Mel bins.
        mean: Of the values over a corpus.
        std: The same; values are divided by twice this.
    """

    sampling_rate: int
    frames: int
    bins: int
    mean: float = -4.2677393
    std: float = 4.5689974

    @classmethod
    def of(cls, settings: dict[str, Any], shape: list[int]) -> Self:
        """Read a ``preprocessor_config.json``; ``shape`` is frames and bins."""
        frames, bins = shape
        normalise = settings.get("do_normalize", True)
        return cls(
            int(settings.get("sampling_rate", 16000)),
            frames,
            bins,
            mean=float(settings.get("mean", cls.mean)) if normalise else 0.0,
            std=float(settings.get("std", cls.std)) if normalise else 0.5,
        )

    def __call__(self, media: Media) -> Floats:
        """Read a recording and make a spectrogram ``[frames, bins]`` of it.

        Raises:
            InputError: It cannot be read; the message names it.
        """
        window, step = self._samples(0.025), self._samples(0.01)
        samples = read_audio(media, self.sampling_rate, window + step * (self.frames - 1))
        banks = np.zeros((self.frames, self.bins), dtype=np.float32)
        if len(samples) >= window:
            found = self.filter_banks(samples)[: self.frames]
            banks[: len(found)] = found
        normalised: Floats = (banks - np.float32(self.mean)) / np.float32(2 * self.std)
        return normalised

    def filter_banks(self, samples: Floats) -> Floats:
        """Compute log-mel energies ``[frames, bins]`` of at least one window of samples."""
        window, step = self._samples(0.025), self._samples(0.01)
        frames = np.lib.stride_tricks.sliding_window_view(samples, window)[::step].astype(
            np.float64
        )
        frames = frames - frames.mean(axis=1, keepdims=True)
        before = np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
        spectrum = np.fft.rfft((frames - _PREEMPHASIS * before) * np.hanning(window), self._points)
        energies = (np.abs(spectrum) ** 2) @ self._filters
        return np.asarray(np.log(np.maximum(energies, _FLOOR)), dtype=np.float32)

    def _samples(self, seconds: float) -> int:
        return int(self.sampling_rate * seconds)

    @property
    def _points(self) -> int:
        """Points of the Fourier transform: the next power of two."""
        return 1 << (self._samples(0.025) - 1).bit_length()

    @cached_property
    def _filters(self) -> Any:
        """Triangles, evenly spaced and straight on the mel scale, ``[frequencies, bins]``."""
        top = self.sampling_rate // 2
        edges = np.linspace(_mel(_LOWEST_HERTZ), _mel(float(top)), self.bins + 2)
        mels = _mel(np.linspace(0.0, self.sampling_rate / 2, self._points // 2 + 1))[:, None]
        rising = (mels - edges[:-2]) / (edges[1:-1] - edges[:-2])
        falling = (edges[2:] - mels) / (edges[2:] - edges[1:-1])
        return np.maximum(0.0, np.minimum(rising, falling))


@dataclass(frozen=True)
class LogMelProcessor:
    """Log-mel energies for Whisper's encoder (Radford et al., 2022, arXiv:2212.04356).

    The same numbers as transformers' ``WhisperFeatureExtractor``, which adds no noise by default
    (``dither``), as nothing here does.

    Attributes:
        sampling_rate: In hertz; other recordings are resampled.
        bins: Mel bins, up to 8 kHz.
        frames: Shorter recordings are filled up with silence, longer ones cut.
        step: Samples from one frame to the next.
        window: Samples of a frame, which is also the length of the Fourier transform.
    """

    sampling_rate: int
    bins: int
    frames: int
    step: int = 160
    window: int = 400

    @classmethod
    def of(cls, settings: dict[str, Any], shape: list[int]) -> Self:
        """Read a ``preprocessor_config.json``; ``shape`` is bins and frames.

        Raises:
            UnsupportedModelError: It makes another number of bins than the model reads.
        """
        bins, frames = shape
        made = settings.get("feature_size", bins)
        if made != bins:
            raise UnsupportedModelError(
                f"A WhisperFeatureExtractor must make the {bins} mel bins that the model reads "
                f"(num_mel_bins in its config), received feature_size {made!r}."
            )
        return cls(
            int(settings.get("sampling_rate", 16000)),
            bins,
            frames,
            step=int(settings.get("hop_length", cls.step)),
            window=int(settings.get("n_fft", cls.window)),
        )

    def __call__(self, media: Media) -> Floats:
        """Read a recording and make a spectrogram ``[bins, frames]`` of it.

        Raises:
            InputError: It cannot be read; the message names it.
        """
        length = self.step * self.frames
        samples = read_audio(media, self.sampling_rate, length)
        filled = np.pad(samples, (0, length - len(samples)))
        # Each frame is the middle of its window; the last of all, behind the end, is left out.
        around = np.pad(filled, self.window // 2, mode="reflect")
        windows = np.lib.stride_tricks.sliding_window_view(around, self.window)[:: self.step]
        hann = np.hanning(self.window + 1)[:-1]
        spectrum = np.fft.rfft(windows[: self.frames] * hann)
        energies = self._filters @ (np.abs(spectrum) ** 2).T
        levels = np.log10(np.maximum(energies, _SILENCE))
        levels = np.maximum(levels, levels.max() - _DYNAMIC_RANGE)
        return np.asarray((levels + 4.0) / 4.0, dtype=np.float32)

    @cached_property
    def _filters(self) -> Any:
        """Triangles on Slaney's mel scale, each of the same area, ``[bins, frequencies]``."""
        top = _slaney_mel(_HIGHEST_HERTZ)
        edges = _slaney_hertz(np.linspace(0.0, top, self.bins + 2))[:, None]
        hertz = np.linspace(0.0, self.sampling_rate / 2, self.window // 2 + 1)
        rising = (hertz - edges[:-2]) / (edges[1:-1] - edges[:-2])
        falling = (edges[2:] - hertz) / (edges[2:] - edges[1:-1])
        heights = 2.0 / (edges[2:] - edges[:-2])
        return np.maximum(0.0, np.minimum(rising, falling)) * heights


@dataclass(frozen=True)
class WaveformProcessor:
    """The samples, normalised, for Wav2Vec2 and its kin.

    What fills a short recording up does not count when it is normalised, as transformers has it
    with ``return_attention_mask``.

    Attributes:
        sampling_rate: In hertz; other recordings are resampled.
        samples: Shorter recordings are filled up with zeros, longer ones cut.
        normalise: Shift and scale to mean 0 and variance 1.
    """

    sampling_rate: int
    samples: int
    normalise: bool = True

    @classmethod
    def of(cls, settings: dict[str, Any], shape: list[int]) -> Self:
        """Read a ``preprocessor_config.json``; ``shape`` is the number of samples."""
        (samples,) = shape
        rate = int(settings.get("sampling_rate", 16000))
        return cls(rate, samples, bool(settings.get("do_normalize", True)))

    def __call__(self, media: Media) -> Floats:
        """Read a recording and give samples ``[samples]``.

        Raises:
            InputError: It cannot be read; the message names it.
        """
        found = read_audio(media, self.sampling_rate, self.samples)
        if self.normalise:
            found = (found - found.mean()) / np.sqrt(found.var() + np.float32(1e-7))
        return np.pad(found, (0, self.samples - len(found)))


def read_audio(media: Media, sampling_rate: int, samples: int) -> Floats:
    """Read the start of a recording.

    Args:
        media: The recording, of one channel.
        sampling_rate: What it is resampled to, in hertz.
        samples: How many to give at most.

    Returns:
        Samples from -1 to 1, ``[samples]``, at least one.

    Raises:
        InputError: It cannot be decoded, is empty or has several channels; the message names it.
    """
    if isinstance(media.source, np.ndarray):
        found, rate = _as_floats(media.source), media.sampling_rate or sampling_rate
        found = found[: _needed(samples, rate, sampling_rate)]
    else:
        found, rate = _decode(media, samples, sampling_rate)
    if not np.isfinite(found).all():
        raise InputError(f"{media.name} must hold finite samples, and holds NaN or infinity.")
    if rate != sampling_rate:
        # The filter is as long as the larger number: an odd rate is taken for one near it.
        ratio = Fraction(sampling_rate, rate).limit_denominator(1000)
        resample = require("scipy.signal", extra="multimodal").resample_poly
        found = resample(found, ratio.numerator, ratio.denominator)
    return np.asarray(found[:samples], dtype=np.float32)


def _decode(media: Media, samples: int, sampling_rate: int) -> tuple[Floats, int]:
    soundfile = require("soundfile", extra="multimodal")
    try:
        with media.open() as opened, soundfile.SoundFile(opened) as file:
            rate, channels, length = file.samplerate, file.channels, file.frames
            if channels == 1 and length and rate <= MAX_SAMPLING_RATE:
                wanted = _needed(samples, rate, sampling_rate)
                found = file.read(wanted, dtype="float32")
                length = len(found)
    except soundfile.LibsndfileError as error:
        raise InputError(
            f"{media.name} must be a recording (WAV, FLAC or OGG), and cannot be decoded: {error}"
        ) from error
    if rate > MAX_SAMPLING_RATE:
        raise InputError(
            f"{media.name} must have a sampling rate of at most {MAX_SAMPLING_RATE:,} Hz, "
            f"received {rate:,}."
        )
    if channels != 1:
        raise InputError(
            f"{media.name} must have one channel, received {channels}. Mix them down first, e.g. "
            "{'array': samples.mean(axis=1), 'sampling_rate': rate}."
        )
    if not length:
        raise InputError(f"{media.name} must hold at least one sample, and is empty.")
    return found, rate


def _needed(samples: int, rate: int, sampling_rate: int) -> int:
    """How many samples at one rate give this many at another."""
    return -(-samples * rate // sampling_rate) + 1


def _as_floats(samples: Any) -> Floats:
    """Samples from -1 to 1; those of integer types fill their range."""
    if samples.dtype.kind == "f":
        return np.asarray(samples, dtype=np.float32)
    span = np.iinfo(samples.dtype)
    middle = 0 if span.min < 0 else (span.max + 1) // 2
    scaled = (samples.astype(np.float64) - middle) / (span.max + 1 - middle)
    return np.asarray(scaled, dtype=np.float32)


def _mel(hertz: Any) -> Any:
    return 1127.0 * np.log(1.0 + hertz / 700.0)


def _slaney_mel(hertz: float) -> float:
    """Straight up to 1 kHz, which is 15, and logarithmic above; 6.4 kHz is 42."""
    if hertz < 1000.0:
        return hertz * 3.0 / 200.0
    return 15.0 + 27.0 * float(np.log(hertz / 1000.0) / np.log(6.4))


def _slaney_hertz(mels: Any) -> Any:
    """The inverse of it."""
    return np.where(mels < 15.0, mels * 200.0 / 3.0, 1000.0 * 6.4 ** ((mels - 15.0) / 27.0))
