"""Pictures are read right or refused with a reason; never half."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from camera_counting.errors import PictureError
from camera_counting.pictures import decode_picture, read_picture

RED, BLUE = (255, 0, 0), (0, 0, 255)


def half_and_half(width: int = 64, height: int = 48) -> Image.Image:
    """Left half red, right half blue."""
    image = Image.new("RGB", (width, height), RED)
    image.paste(BLUE, (width // 2, 0, width, height))
    return image


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def is_red(pixel: np.ndarray) -> bool:
    return bool(pixel[0] > 200 and pixel[1] < 60 and pixel[2] < 60)


def is_blue(pixel: np.ndarray) -> bool:
    return bool(pixel[2] > 200 and pixel[0] < 60 and pixel[1] < 60)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {"quality": 95}),
        ("JPEG", {"quality": 95, "progressive": True}),
        ("PNG", {}),
        ("WEBP", {"quality": 95}),
        ("WEBP", {"lossless": True}),
    ],
)
def test_reads_each_format_in_rgb(kind: str, options: dict[str, object]) -> None:
    picture = decode_picture(encoded(half_and_half(), kind, **options))
    assert picture.shape == (48, 64, 3)
    assert picture.dtype == np.uint8
    assert is_red(picture[24, 8])
    assert is_blue(picture[24, 56])


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(
    ("orientation", "shape", "red_at"),
    [
        (1, (48, 64), (24, 8)),
        (3, (48, 64), (24, 56)),  # turned by 180 degrees
        (6, (64, 48), (8, 24)),  # turned by 90 degrees clockwise: the left half is now on top
        (8, (64, 48), (56, 24)),
    ],
)
def test_turns_the_picture_upright(
    kind: str, orientation: int, shape: tuple[int, int], red_at: tuple[int, int]
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = decode_picture(encoded(half_and_half(), kind, exif=exif.tobytes(), quality=95))
    assert picture.shape[:2] == shape
    assert is_red(picture[red_at])


@pytest.mark.parametrize(
    ("image", "kind", "expected"),
    [
        (Image.new("L", (8, 8), 77), "PNG", (77, 77, 77)),
        (Image.new("L", (8, 8), 77), "JPEG", (77, 77, 77)),
        (Image.new("1", (8, 8), 1), "PNG", (255, 255, 255)),
        (Image.new("P", (8, 8), 0), "PNG", (0, 0, 0)),
        (Image.fromarray(np.full((8, 8), 200 << 8, np.uint16)), "PNG", (200, 200, 200)),
        (Image.new("RGBA", (8, 8), (10, 20, 30, 255)), "PNG", (10, 20, 30)),
        (Image.new("RGBA", (8, 8), (255, 0, 0, 0)), "PNG", (114, 114, 114)),  # nothing to be seen
        (Image.new("LA", (8, 8), (90, 255)), "PNG", (90, 90, 90)),
        (Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", (255, 0, 0)),
    ],
)
def test_reads_every_colour_mode(image: Image.Image, kind: str, expected: tuple[int, int, int]) -> None:
    picture = decode_picture(encoded(image, kind))
    np.testing.assert_allclose(picture[4, 4].astype(int), expected, atol=6)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("kept", [0.02, 0.3, 0.6, 0.9, 0.99])
def test_a_picture_that_is_cut_off_is_refused(kind: str, kept: float) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (200, 300, 3), np.uint8)
    data = encoded(Image.fromarray(noise), kind)
    with pytest.raises(PictureError, match=r"cut off|damaged|expected a JPEG"):
        decode_picture(data[: int(len(data) * kept)])


def test_a_thumbnails_end_does_not_make_a_cut_jpeg_whole() -> None:
    exif = Image.Exif()
    thumbnail = encoded(half_and_half(16, 16), "JPEG")
    exif[0x9286] = b"ASCII\0\0\0" + thumbnail
    data = encoded(half_and_half(200, 200), "JPEG", exif=exif.tobytes())
    assert data.count(b"\xff\xd9") == 2
    decode_picture(data)
    with pytest.raises(PictureError, match="cut off"):
        decode_picture(data[:-200])


def photograph(width: int = 640, height: int = 480) -> Image.Image:
    """Soft and sharp things of all sizes, so that its JPEG looks to a decoder as that of a camera does."""
    rng = np.random.default_rng(5)
    noise = rng.integers(0, 255, (height // 8, width // 8, 3), np.uint8)
    image = Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)
    image.paste((20, 20, 20), (width // 5, height // 3, width // 2, height // 2))
    return image.filter(ImageFilter.GaussianBlur(1))


JPEGS: dict[str, tuple[str, dict[str, object]]] = {
    "baseline": ("RGB", {}),
    "grey": ("L", {}),
    "cmyk": ("CMYK", {}),
    "optimised": ("RGB", {"optimize": True}),
    "fine": ("RGB", {"quality": 95, "subsampling": 0}),
    "restarts": ("RGB", {"restart_marker_rows": 1}),
    "progressive": ("RGB", {"progressive": True}),
}


def a_jpeg(kind: str) -> tuple[bytes, int]:
    """A JPEG of this kind, and where the data of its (first) scan begins."""
    mode, options = JPEGS[kind]
    data = encoded(photograph().convert(mode), "JPEG", **options)
    at = data.index(b"\xff\xda")
    return data, at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")


@pytest.mark.parametrize("kind", JPEGS)
@pytest.mark.parametrize("at", [0.1, 0.5, 0.8])
def test_a_jpeg_whose_middle_is_missing_is_refused(kind: str, at: float) -> None:
    data, start = a_jpeg(kind)
    assert decode_picture(data).shape == (480, 640, 3)
    cut = start + int((len(data) - start) * at)
    with pytest.raises(PictureError, match="damaged"):
        decode_picture(data[:cut] + b"\xff\xd9")
    with pytest.raises(PictureError, match="marker FFD8 stands in the middle of its data"):
        decode_picture(data[:cut] + data)
    with pytest.raises(PictureError, match="damaged"):
        decode_picture(data[:cut] + data[cut + 2000 :])


@pytest.mark.parametrize("kind", [kind for kind in JPEGS if kind != "progressive"])
@pytest.mark.parametrize("at", [0.1, 0.5, 0.8])
def test_a_jpeg_with_zeros_in_its_data_is_refused(kind: str, at: float) -> None:
    data, start = a_jpeg(kind)
    hole = start + int((len(data) - start) * at)
    with pytest.raises(PictureError, match="damaged"):
        decode_picture(data[:hole] + bytes(3000) + data[hole + 3000 :])


@pytest.mark.parametrize("colour", [(0, 0, 0), (128, 128, 128), (255, 255, 255)])
@pytest.mark.parametrize("size", [(1, 1), (9, 7), (1280, 720)])
@pytest.mark.parametrize("kind", JPEGS)
def test_a_flat_jpeg_is_no_damaged_one(colour: tuple[int, int, int], size: tuple[int, int], kind: str) -> None:
    mode, options = JPEGS[kind]
    picture = decode_picture(encoded(Image.new("RGB", size, colour).convert(mode), "JPEG", **options))
    np.testing.assert_allclose(picture, np.broadcast_to(colour, (size[1], size[0], 3)), atol=6)


def test_a_jpeg_that_would_take_for_ever_is_refused() -> None:
    data, _ = a_jpeg("progressive")
    last = data.rindex(b"\xff\xda")
    with pytest.raises(PictureError, match="more than 100 scans"):
        decode_picture(data[:last] + data[last:-2] * 100 + data[-2:])


def test_what_a_camera_appends_is_not_looked_at() -> None:
    data, _ = a_jpeg("baseline")
    for trailer in (bytes(500), b"\xff" * 20, b"SEFH and more", data):
        np.testing.assert_array_equal(decode_picture(data + trailer), decode_picture(data))


def test_of_a_telephones_photograph_with_a_preview_the_first_picture_is_taken() -> None:
    data = encoded(half_and_half(), "MPO", save_all=True, append_images=[half_and_half(16, 16)])
    assert Image.open(io.BytesIO(data)).format == "MPO"
    assert decode_picture(data).shape == (48, 64, 3)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_odd_exif_is_no_reason_for_a_traceback(kind: str) -> None:
    data = encoded(half_and_half(), kind, exif=b"Exif\0\0MM\0*")
    try:
        assert decode_picture(data).shape == (48, 64, 3)
    except PictureError:
        assert kind != "JPEG"


SEEDS = [
    encoded(photograph(96, 64).convert(mode), kind, **options)
    for kind, mode, options in (
        *(("JPEG", mode, options) for mode, options in JPEGS.values()),
        ("PNG", "RGB", {}),
        ("PNG", "P", {}),
        ("WEBP", "RGB", {}),
        ("WEBP", "RGBA", {"lossless": True}),
    )
] + [encoded(half_and_half(), kind, exif=b"Exif\0\0MM\0*" + bytes(16)) for kind in ("JPEG", "PNG", "WEBP")]


@settings(max_examples=400, deadline=None)
@given(
    seed=st.sampled_from(SEEDS),
    changes=st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=6), st.integers(0, 40)), max_size=5),
)
def test_whatever_comes_is_a_picture_or_refused(seed: bytes, changes: list[tuple[float, bytes, int]]) -> None:
    data = bytearray(seed)
    for place, put, removed in changes:
        at = int(place * len(data))
        data[at : at + removed] = put
    try:
        picture = decode_picture(bytes(data))
    except PictureError:
        return
    assert picture.dtype == np.uint8
    assert picture.ndim == 3
    assert picture.shape[2] == 3


def png_that_claims(width: int, height: int) -> bytes:
    """A tiny, valid PNG header for a gigantic picture."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(("width", "height"), [(8001, 8000), (30_000, 30_000), (2**31 - 1, 2**31 - 1)])
def test_an_image_bomb_is_refused_before_it_is_unpacked(width: int, height: int) -> None:
    with pytest.raises(PictureError, match="more than the 64000000 pixels"):
        decode_picture(png_that_claims(width, height))


def test_the_limit_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAMERA_COUNTING_MAX_PIXELS", "1000")
    with pytest.raises(PictureError, match=r"64 x 48, more than the 1000 pixels"):
        decode_picture(encoded(half_and_half(), "PNG"))


def test_the_limit_may_be_above_pillows_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAMERA_COUNTING_MAX_PIXELS", "400000000")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    assert decode_picture(encoded(half_and_half(), "PNG")).shape == (48, 64, 3)
    assert decode_picture(encoded(half_and_half(), "JPEG")).shape == (48, 64, 3)


@pytest.mark.parametrize("value", ["64M", "²", "0", "-5", "1e6"])
def test_a_limit_that_is_no_number_is_told(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAMERA_COUNTING_MAX_PIXELS", value)
    with pytest.raises(PictureError, match=rf"CAMERA_COUNTING_MAX_PIXELS: expected a whole number.*got '{value}'"):
        decode_picture(encoded(half_and_half(), "PNG"))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "0 bytes"),
        (b"hello", "expected a JPEG, PNG or WebP"),
        (b"GIF89a" + b"\0" * 50, "expected a JPEG, PNG or WebP"),
        (b"\xff\xd8\xff", "expected a JPEG"),
        (encoded(half_and_half(), "TIFF"), "expected a JPEG, PNG or WebP"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "expected a JPEG"),
    ],
)
def test_what_is_no_picture_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(PictureError, match=reason):
        decode_picture(data)


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_a_moving_picture_is_refused(kind: str) -> None:
    frames = [half_and_half(), Image.new("RGB", (64, 48), BLUE)]
    with pytest.raises(PictureError, match="2 frames; send it as a clip"):
        decode_picture(encoded(frames[0], kind, save_all=True, append_images=frames[1:]))


def test_reads_paths_arrays_and_pillow_pictures(tmp_path: Path) -> None:
    image = half_and_half()
    image.save(tmp_path / "a.png")
    expected = np.asarray(image)
    for source in (tmp_path / "a.png", str(tmp_path / "a.png"), image, expected, encoded(image, "PNG")):
        np.testing.assert_array_equal(read_picture(source), expected)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (np.zeros((4, 4, 3), np.float32), "uint8.*got float32"),
        (np.zeros((4, 4, 2), np.uint8), r"got uint8 of shape \(4, 4, 2\)"),
        (np.zeros((0, 4, 3), np.uint8), "empty"),
        (7, "got int"),
        ("/nowhere/at/all.jpg", "cannot read the picture"),
        ("a\0b", "cannot read the picture"),
    ],
)
def test_says_what_it_expected(source: object, reason: str) -> None:
    with pytest.raises(PictureError, match=reason):
        read_picture(source)
