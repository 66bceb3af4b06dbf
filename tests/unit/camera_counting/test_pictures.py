"""Pictures are read right or refused with a reason; never half."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

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
