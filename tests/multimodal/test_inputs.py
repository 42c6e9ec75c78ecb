"""What a document may be, and what each bad one is answered with."""

import struct
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.multimodal.conftest import RATE, encoded, picture, tone, wav

from crossrank.errors import InputError
from crossrank.multimodal import images as images_module
from crossrank.multimodal.audio import read_audio
from crossrank.multimodal.images import read_image
from crossrank.multimodal.media import Media, read_media

from PIL import Image  # isort: skip

WHERE = "The document of the pair at index 7"


def image(value: Any) -> np.ndarray:
    return np.asarray(read_image(read_media(value, "image", WHERE)))


def audio(value: Any, rate: int = RATE, samples: int = 4000) -> np.ndarray:
    return read_audio(read_media(value, "audio", WHERE), rate, samples)


def claimed(width: int, height: int) -> bytes:
    """A PNG whose header claims a size, with hardly any data."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b""))


def test_every_form_of_an_image_gives_the_same_pixels(tmp_path: Path) -> None:
    pixels = picture("red")
    file = tmp_path / "a.png"
    file.write_bytes(encoded(pixels))
    forms = [
        file,
        file.read_bytes(),
        bytearray(file.read_bytes()),
        Image.fromarray(pixels),
        pixels,
        pixels.astype(np.float32) / 255,
        {"image": file},
        {"image": pixels},
        {"bytes": file.read_bytes(), "path": None},
        {"bytes": None, "path": str(file)},
        {"image": {"bytes": file.read_bytes(), "path": "elsewhere.png"}},
    ]
    for form in forms:
        np.testing.assert_array_equal(image(form), pixels, err_msg=repr(form)[:60])


def test_grey_and_transparent_images_become_what_the_model_reads() -> None:
    grey = picture("red")[:, :, 0]
    np.testing.assert_array_equal(image(grey), np.stack([grey] * 3, axis=-1))
    np.testing.assert_array_equal(image(grey[:, :, None]), np.stack([grey] * 3, axis=-1))
    clear = np.dstack([picture("blue"), np.full((20, 20), 9, np.uint8)])
    np.testing.assert_array_equal(image(Image.fromarray(clear)), picture("blue"))
    loaded = read_image(read_media(picture("red"), "image", WHERE), "L")
    assert loaded.mode == "L"
    assert loaded.size == (20, 20)


def test_an_image_is_turned_as_its_camera_says(tmp_path: Path) -> None:
    pixels = np.zeros((4, 8, 3), np.uint8)
    pixels[:, :4] = 200
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by a quarter
    Image.fromarray(pixels).save(tmp_path / "turned.png", exif=exif)
    found = image(tmp_path / "turned.png")
    assert found.shape == (8, 4, 3)
    assert found[:4].min() == 200
    assert found[4:].max() == 0


def test_every_form_of_a_recording_gives_the_same_samples(tmp_path: Path) -> None:
    samples = tone(440)
    for kind in ("WAV", "FLAC"):
        file = tmp_path / f"a.{kind}"
        file.write_bytes(wav(samples, kind=kind))
        for form in (
            file,
            file.read_bytes(),
            {"audio": file},
            {"audio": {"bytes": file.read_bytes(), "path": None}},
        ):
            np.testing.assert_allclose(audio(form), samples, atol=1e-4)
    whole = (samples * 32767).round().astype(np.int16)
    unsigned = ((samples + 1) * 127.5).round().astype(np.uint8)
    for array, atol in ((samples, 0), (list(samples), 1e-7), (whole, 1e-4), (unsigned, 2e-2)):
        form = {"array": array, "sampling_rate": RATE}
        np.testing.assert_allclose(audio(form), samples, atol=atol)
        np.testing.assert_allclose(audio({"audio": form}), samples, atol=atol)


def test_a_recording_is_resampled_and_cut() -> None:
    found = audio({"array": tone(440, rate=44_100), "sampling_rate": 44_100}, samples=2000)
    assert found.shape == (2000,)
    np.testing.assert_allclose(found[100:1900], tone(440)[100:1900], atol=2e-3)
    assert len(audio(wav(tone(440, 0.1)), samples=4000)) == 800


def test_equal_contents_are_equal_documents(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(encoded(picture("red")))
    once, again = (read_media(file, "image", where) for where in ("here", "there"))
    assert once == again
    assert hash(once) == hash(again)
    assert once != read_media(encoded(picture("blue")), "image", WHERE)
    pixels = picture("red")
    assert read_media(pixels, "image", "a") == read_media(pixels.copy(), "image", "b")
    assert read_media(pixels, "image", "a") != read_media(pixels.reshape(40, 10, 3), "image", "a")
    slow = read_media({"array": tone(440), "sampling_rate": 8000}, "audio", "a")
    fast = read_media({"array": tone(440), "sampling_rate": 16000}, "audio", "a")
    assert slow != fast
    assert str(slow) != str(fast)


def test_the_digest_is_that_of_the_content_wherever_it_lies(tmp_path: Path) -> None:
    content = encoded(picture("red"))
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(content)
    one, other = (read_media(tmp_path / name, "image", WHERE) for name in ("a.png", "b.png"))
    assert one != other
    assert str(one) == str(other) == str(read_media(content, "image", WHERE))


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_16_bits_a_pixel_keep_their_shades(kind: str) -> None:
    ramp = np.linspace(0, 65535, 256).round().astype(np.uint16).reshape(16, 16)
    made = Image.fromarray(ramp)
    file = BytesIO()
    made.save(file, kind)
    expected = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    for given in (made, file.getvalue()):
        np.testing.assert_array_equal(image(given), expected)


def test_a_sampling_rate_that_shares_no_divisor_costs_no_more() -> None:
    high, exact = (
        audio({"array": tone(440, rate=rate), "sampling_rate": rate}) for rate in (999_983, 48_000)
    )
    # A hundred-thousandth of the pitch is off: .02 radians after half a second.
    np.testing.assert_allclose(high[100:3900], exact[100:3900], atol=0.03)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (encoded(picture("red", size=300), "JPEG")[:2000], "whole image.*cannot be decoded.*trunc"),
        (b"no image", "cannot be decoded: it is of another kind"),
        (encoded(picture("red"))[:100], "whole image"),
        (b"no image at all", "whole image"),
        (b"", "whole image"),
        (claimed(10_000, 10_000), "at most 50,000,000 pixels, received"),
        (claimed(30_000, 30_000), "at most 50,000,000 pixels, received"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "whole image"),
        (Path("no-such-file.png"), r"\(no-such-file.png\) cannot be read: No such file"),
        (Path(), "must be a file"),
        ("a.png", "is a text, and this model reads image documents.*pathlib.Path"),
        ("https://example.org/a.png", "addresses on the network are fetched only by"),
        (None, "must be a pathlib.Path.*received None"),
        (7, "received int 7"),
        ({"audio": b"RIFF"}, "is audio, and this model reads image documents"),
        ({"text": "a coat"}, "is text, and this model reads image documents"),
        ({"text": "a coat", "image": b"x"}, "is image and text, and this model reads image"),
        ({"picture": b"x"}, r"must have the key 'image', received a dictionary with \['picture'\]"),
        (np.zeros((4, 4, 4), np.uint8), r"received an array \[4, 4, 4\]"),
        (np.zeros(4, np.uint8), r"pixels \[height, width\].*received an array \[4\]"),
        (np.zeros((0, 4), np.uint8), "must hold numbers"),
        (np.array([["a"]]), "must hold numbers"),
        (np.full((4, 4), 300, np.int64), "pixels of uint8 or floats, received int64"),
        (np.full((4, 4), 2.0), "pixels from 0 to 1"),
        (np.full((4, 4), np.nan), "NaN or infinity"),
        (Image.fromarray(np.full((4, 4), 70_000, np.int32)), "8 or 16 bits .* mode 'I'"),
        (Image.fromarray(np.full((4, 4), 0.5, np.float32)), "8 or 16 bits .* mode 'F'"),
    ],
    ids=lambda value: None if isinstance(value, str) else repr(value)[:30],
)
def test_a_bad_image_is_named(document: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        image(document)
    assert str(caught.value).startswith(WHERE)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (wav(tone(440)[:0]), "at least one sample, and is empty"),
        (wav(np.stack([tone(440)] * 2, axis=1)), "must have one channel, received 2"),
        (wav(tone(440))[:20], "cannot be decoded"),
        (b"", "cannot be decoded"),
        (encoded(picture("red")), "cannot be decoded"),
        (Path("no-such-file.wav"), "cannot be read: No such file"),
        (tone(440), "an array without a sampling rate"),
        ({"array": tone(440)[None], "sampling_rate": RATE}, r"one channel.*array \[1, 4000\]"),
        ({"array": [], "sampling_rate": RATE}, "must hold numbers"),
        ({"array": tone(440), "sampling_rate": 0}, "sampling_rate in hertz, received int 0"),
        ({"array": tone(440), "sampling_rate": "8k"}, "sampling_rate in hertz, received str"),
        ({"array": np.array([0.0, np.inf]), "sampling_rate": RATE}, "NaN or infinity"),
        ({"array": [3000, -3000], "sampling_rate": RATE}, "8, 16 or 32 bits, .* received int64"),
        ({"array": [3000.5, -9.0], "sampling_rate": RATE}, "from -1 to 1 as floats.* up to 3000.5"),
        (wav(tone(440), rate=16_000_001), "at most 1,000,000 Hz, received 16,000,001"),
        ("seven", "is a text, and this model reads audio documents"),
        ({"image": b"x"}, "is image, and this model reads audio documents"),
        (Image.fromarray(picture("red")), "must be a pathlib.Path, bytes, or {'array'"),
    ],
    ids=lambda value: None if isinstance(value, str) else repr(value)[:30],
)
def test_a_bad_recording_is_named(document: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        audio(document)
    assert str(caught.value).startswith(WHERE)


def test_a_file_of_samples_that_are_no_numbers_is_named(tmp_path: Path) -> None:
    import soundfile

    soundfile.write(tmp_path / "a.wav", np.float32([0.5, np.nan]), RATE, subtype="FLOAT")
    with pytest.raises(InputError, match=r"index 7 \(.*a.wav\) must hold finite samples"):
        audio(tmp_path / "a.wav")


def test_a_bomb_is_refused_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images_module, "MAX_PIXELS", 100)

    def decode(*_: object) -> None:
        raise AssertionError("it was decoded")

    monkeypatch.setattr(Image.Image, "convert", decode)
    with pytest.raises(InputError, match="at most 100 pixels, received 20 times 20"):
        image(encoded(picture("red")))


def test_what_was_read_once_is_checked_for_its_modality() -> None:
    media = read_media(encoded(picture("red")), "image", WHERE)
    assert read_media(media, "image", "elsewhere").where == WHERE
    assert isinstance(media, Media)
    with pytest.raises(InputError, match="elsewhere is image, and this model reads audio"):
        read_media(media, "audio", "elsewhere")


def test_images_of_pillow_differ_by_all_that_is_read_of_them() -> None:
    def palettised(colour: tuple[int, int, int]) -> Any:
        image = Image.new("P", (4, 4), 0)
        image.putpalette(colour)
        return image

    red, blue = palettised((255, 0, 0)), palettised((0, 0, 255))
    assert read_media(red, "image", WHERE) != read_media(blue, "image", WHERE)
    assert read_media(red, "image", WHERE) == read_media(palettised((255, 0, 0)), "image", WHERE)
    file = BytesIO()
    upright, exif = Image.fromarray(picture("red")), Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    upright.save(file, "PNG", exif=exif)
    turned = Image.open(file)
    assert read_media(turned, "image", WHERE) != read_media(upright, "image", WHERE)
    cut_short = Image.open(BytesIO(encoded(picture("red", size=300), "JPEG")[:2000]))
    with pytest.raises(InputError, match=f"{WHERE} must be a whole image"):
        read_media(cut_short, "image", WHERE)
