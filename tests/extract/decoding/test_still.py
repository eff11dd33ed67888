"""Images as they are meant: on white where transparent, grey by its depth, read by what they are."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from optsg.data.errors import DecodeError
from optsg.data.media import IMAGE_SUFFIXES
from optsg.extract.decoding import decode_image
from PIL import EpsImagePlugin, Image, PngImagePlugin

WHITE = (255, 255, 255)


def png(depth: int, colour: int, row: bytes, *, key: bytes = b"", palette: bytes = b"") -> bytes:
    """A PNG of two pixels side by side, chunk by chunk."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    chunks = [chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 1, depth, colour, 0, 0, 0))]
    chunks += [chunk(b"PLTE", palette)] if palette else []
    chunks += [chunk(b"tRNS", key)] if key else []
    return b"\x89PNG\r\n\x1a\n" + b"".join([*chunks, chunk(b"IDAT", zlib.compress(b"\0" + row)), chunk(b"IEND", b"")])


def pixels(data: bytes) -> list[tuple[int, ...]]:
    image = decode_image(data)
    assert image.mode == "RGB"
    return [image.getpixel((x, 0)) for x in range(2)]  # type: ignore[misc]


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


KEYED = {
    "grey of 1 bit": (png(1, 0, b"\x40", key=b"\0\0"), WHITE, WHITE),
    "grey of 2 bits": (png(2, 0, b"\x60", key=b"\0\1"), WHITE, (170, 170, 170)),
    "grey of 4 bits": (png(4, 0, b"\x38", key=b"\0\3"), WHITE, (136, 136, 136)),
    "grey of 8 bits": (png(8, 0, b"\x0a\x64", key=b"\0\x0a"), WHITE, (100, 100, 100)),
    "grey of 16 bits": (png(16, 0, struct.pack(">2H", 16, 32768), key=b"\0\x10"), WHITE, (127, 127, 127)),
    "colours of 8 bits": (png(8, 2, bytes([9, 8, 7, 200, 0, 0]), key=struct.pack(">3H", 9, 8, 7)), WHITE, (200, 0, 0)),
    "colours of 16 bits": (
        png(16, 2, struct.pack(">6H", 4660, 9029, 13398, 65280, 0, 0), key=struct.pack(">3H", 4660, 9029, 13398)),
        WHITE,
        (255, 0, 0),
    ),
    "palette": (png(8, 3, b"\0\1", key=b"\0", palette=bytes([9, 9, 9, 200, 0, 0])), WHITE, (200, 0, 0)),
    "palette of 4 bits": (png(4, 3, b"\x01", key=b"\0", palette=bytes([9, 9, 9, 200, 0, 0])), WHITE, (200, 0, 0)),
    "grey of 16 bits and alpha": (png(16, 4, struct.pack(">4H", 0, 0, 32768, 65535)), WHITE, (128, 128, 128)),
    "colours of 16 bits and alpha": (
        png(16, 6, struct.pack(">8H", 0, 0, 0, 0, 32768, 0, 0, 65535)),
        WHITE,
        (128, 0, 0),
    ),
}


@pytest.mark.parametrize("name", KEYED)
def test_what_is_transparent_is_white(name: str) -> None:
    data, first, second = KEYED[name]
    assert pixels(data) == [first, second]


def test_half_transparent_is_half_white() -> None:
    assert decode_image(saved(Image.new("RGBA", (2, 1), (0, 0, 0, 128)), "PNG")).getpixel((0, 0)) == (127, 127, 127)


def test_grey_is_scaled_by_its_depth_and_not_by_its_maximum() -> None:
    assert pixels(png(16, 0, struct.pack(">2H", 255, 200))) == [(0, 0, 0), (0, 0, 0)]
    assert pixels(png(16, 0, struct.pack(">2H", 65535, 257 * 80))) == [WHITE, (80, 80, 80)]
    dark = Image.fromarray(np.full((1, 2), 255, dtype=np.uint16))
    assert pixels(saved(dark, "TIFF")) == [(0, 0, 0), (0, 0, 0)]
    assert pixels(b"P5 2 1 65535\n" + struct.pack(">2H", 255, 65535)) == [(0, 0, 0), WHITE]
    assert pixels(b"P5 2 1 1023\n" + struct.pack(">2H", 1023, 0)) == [WHITE, (0, 0, 0)]


def test_grey_with_a_fraction_is_white_at_one() -> None:
    grey = Image.fromarray(np.array([[0.5, 1.0]], dtype=np.float32))
    assert pixels(saved(grey, "TIFF")) == [(127, 127, 127), WHITE]


def test_a_text_of_megabytes_costs_no_picture() -> None:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("workflow", "x" * 3_000_000, zip=True)
    texts.add_itxt("parameters", "y" * 2_000_000, zip=True)
    assert decode_image(saved(Image.new("RGB", (4, 4), "red"), "PNG", pnginfo=texts)).getpixel((0, 0)) == (255, 0, 0)


@pytest.mark.parametrize("kind", ["HEIF", "AVIF", "PNG", "WEBP", "TIFF", "GIF", "BMP", "JPEG2000", "TGA"])
def test_a_name_that_lies_does_not_matter(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "photo.jpg"
    Image.new("RGB", (40, 20), "red").save(path, kind)
    image = decode_image(path)
    assert image.size == (40, 20)
    red, green, blue = image.getpixel((20, 10))  # type: ignore[misc]
    assert red > 240 > 20 > max(green, blue)


def test_heic_is_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "photo.heic"
    Image.new("RGB", (40, 20), "red").save(path, exif=exif.tobytes())
    assert decode_image(path).size == (20, 40)


PQ, HLG = 16, 18


def with_transfer(kind: str, transfer: int) -> bytes:
    """A grey of 148 whose file says how it is coded, as cameras say it."""
    grey = Image.new("RGB", (64, 64), (148, 148, 148))
    if kind == "HEIF":
        colours = {"color_primaries": 9, "matrix_coefficients": 9, "full_range_flag": 1}
        return saved(grey, "HEIF", quality=95, transfer_characteristics=transfer, **colours)
    if kind == "AVIF":
        plain = saved(grey, "AVIF", quality=95)
        place = plain.index(b"colrnclx") + 8
        return plain[: place + 2] + struct.pack(">H", transfer) + plain[place + 4 :]
    plain, chunk = saved(grey, "PNG"), b"cICP" + bytes([9, transfer, 0, 1])
    return plain[:33] + struct.pack(">I", 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) + plain[33:]


@pytest.mark.parametrize("kind", ["HEIF", "AVIF", "PNG"])
@pytest.mark.parametrize(("transfer", "expected"), [(PQ, 214), (HLG, 168), (13, 148)])
def test_stills_of_high_dynamic_range_are_tone_mapped_as_videos_are(kind: str, transfer: int, expected: int) -> None:
    image = decode_image(with_transfer(kind, transfer))
    assert image.mode == "RGB"
    assert all(abs(value - expected) <= 6 for value in image.getpixel((32, 32)))  # type: ignore[union-attr]


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "AVIF"])
def test_orientation_of_exif_counts_in_every_format(kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = Image.new("RGB", (64, 32), "white")
    picture.paste((255, 0, 0), (0, 0, 32, 32))
    image = decode_image(saved(picture, kind, exif=exif))
    assert image.size == (32, 64)
    pixels = np.array(image)
    assert pixels[16, 16, 1:].max() < 40 < 215 < pixels[48, 16].min()


POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n{} loop\n"


def test_no_program_is_run_for_a_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PostScript is a program. Pillow hands it to Ghostscript, which would go on when the decoding process is ended."""
    ran = tmp_path / "ran"
    fake = tmp_path / "gs"
    fake.write_text(f"#!/bin/sh\ntouch {ran}\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)
    with pytest.raises(DecodeError):
        decode_image(POSTSCRIPT)
    assert not ran.exists()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\0\0\0\x20ftypisom" + bytes(40), "it is an MP4 or QuickTime video, not an image, whatever its name says"),
        (b"\x1a\x45\xdf\xa3" + bytes(40), "it is a Matroska or WebM video, not an image, whatever its name says"),
        (b"<!DOCTYPE html><html>", "it is a web page (HTML), not an image, whatever its name says"),
        (b"\xef\xbb\xbf  <HTML>", "it is a web page (HTML), not an image, whatever its name says"),
        (b'{"error": "not found"}', "it is a JSON file, not an image, whatever its name says"),
        (b"%PDF-1.7", "it is a PDF document, not an image, whatever its name says"),
        (POSTSCRIPT, "it is a PostScript program, not an image, whatever its name says"),
        (
            b"\xc5\xd0\xd3\xc6" + struct.pack("<6IH", 32, len(POSTSCRIPT), 0, 0, 0, 0, 0xFFFF) + bytes(2) + POSTSCRIPT,
            "it is a PostScript program, not an image, whatever its name says",
        ),
        (b"<svg width='3'/>", "it is an SVG drawing, not an image, whatever its name says"),
        (b"\xff\x0a" + bytes(40), "it is a JPEG XL picture, which cannot be read; convert it, for instance with djxl"),
    ],
)
def test_what_is_no_image_is_named(data: bytes, reason: str) -> None:
    with pytest.raises(DecodeError) as caught:
        decode_image(data)
    assert str(caught.value) == reason


PILLOW_KINDS = {"hif": "HEIF", "jpx": "JPEG2000", "jpf": "JPEG2000", "jpc": "JPEG2000", "jpe": "JPEG", "qoi": "QOI"}


@pytest.mark.parametrize("suffix", sorted(IMAGE_SUFFIXES - {".psd"}))
def test_every_image_suffix_is_one_that_can_be_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"picture{suffix}"
    mode = {".pbm": "1", ".pgm": "L"}.get(suffix, "RGB")
    kind = PILLOW_KINDS.get(suffix[1:])
    Image.new(mode, (64, 64)).save(path, kind)
    assert max(decode_image(path).size) in (64, 1024)  # an ICNS has several sizes, of which Pillow reads the largest


def test_a_photoshop_document_is_read(tmp_path: Path) -> None:
    path = tmp_path / "picture.psd"
    header = struct.pack(">4sH6xHIIHH", b"8BPS", 1, 3, 1, 2, 8, 3)
    path.write_bytes(header + bytes(12) + struct.pack(">H", 0) + bytes([200, 0, 10, 0, 20, 0]))
    assert pixels(path.read_bytes()) == [(200, 10, 20), (0, 0, 0)]
