"""What a file is by its bytes, for people and for whoever must choose how to read it: whatever its name says."""

from __future__ import annotations

from pathlib import Path

from ...data.media import MediaKind
from .frame_reader import first_bytes

LOOKED_AT = 1024
"""Bytes at the start of a file."""

VIDEO_KINDS = (
    (0, b"\x1a\x45\xdf\xa3", "a Matroska or WebM video"),
    (0, b"FLV\x01", "an FLV video"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "a WMV or ASF video"),
    (8, b"AVI ", "an AVI video"),
    (0, b"\x00\x00\x01\xba", "an MPEG video"),
    (0, b"\x06\x0e\x2b\x34", "an MXF video"),
    (0, b"OggS", "an Ogg file"),
    (0, b"GIF8", "a GIF"),
)
"""Where which bytes stand."""

JPEG_2000 = b"jP  "

JPEG_XL = "a JPEG XL picture"

IMAGE_KINDS = (
    (0, b"\xff\xd8\xff", "a JPEG picture"),
    (0, b"\x89PNG\r\n\x1a\n", "a PNG picture"),
    (8, b"WEBP", "a WebP picture"),
    (4, JPEG_2000, "a JPEG 2000 picture"),
    (0, b"II*\x00", "a TIFF picture"),
    (0, b"MM\x00*", "a TIFF picture"),
    (0, b"8BPS", "a Photoshop document"),
    (0, b"\xff\x0a", JPEG_XL),
    (4, b"JXL ", JPEG_XL),
)

OTHER_KINDS = (
    (0, b"%PDF", "a PDF document"),
    (0, b"%!PS", "a PostScript program"),
    (0, b"\xc5\xd0\xd3\xc6", "a PostScript program"),
    (0, b"PK\x03\x04", "a ZIP archive or an office document"),
    (0, b"Rar!", "a RAR archive"),
    (0, b"7z\xbc\xaf", "a 7-Zip archive"),
    (0, b"\x1f\x8b", "a gzip file"),
    (0, b"SQLite format 3", "an SQLite database"),
    (0, b"\x89HDF", "an HDF5 file"),
    (0, b"\x7fELF", "a program"),
    (0, b"MZ", "a program"),
    (0, b"ID3", "an MP3 file"),
    (8, b"WAVE", "a WAV file"),
    (0, b"fLaC", "a FLAC file"),
    (0, b"version https://git-lfs", "a Git LFS pointer; fetch the file itself with git lfs pull"),
)

ANIMATIONS = {
    "a WebP picture": "an animated WebP picture",
    "a PNG picture": "an animated PNG picture",
    "a GIF": "an animated GIF",
}
"""Formats of one picture or several."""

ANIMATED_AVIF = b"avis"

QUICKTIME = (b"moov", b"mdat", b"wide", b"pnot")
"""Boxes that a QuickTime file may begin with in place of its brand."""

PICTURE_BRANDS = {b"heic": "HEIC", b"heix": "HEIC", b"heim": "HEIC", b"mif1": "HEIF", b"avif": "AVIF"}
"""Brands of ISO media files that hold a picture."""

TEXT_KINDS = (
    ((b"<!doctype html", b"<html", b"<head", b"<body", b"<script"), "a web page (HTML)"),
    ((b"<svg",), "an SVG drawing"),
    ((b"<?xml",), "an XML file"),
    ((b'{"', b'[{"', b"{\n", b"{}"), "a JSON file"),
)


def kind_of(payload: Path | bytes) -> str | None:
    """A noun with its article, ``None`` for what is not known."""
    head = first_bytes(payload, LOOKED_AT)
    if head[4:8] == b"ftyp":
        return _kind_of_iso_media(head[8:12])
    if head[4:8] in QUICKTIME:
        return "an MP4 or QuickTime video"
    if head[4:8] == JPEG_2000 and head[20:24] == b"mjp2":
        return "a Motion JPEG 2000 video"
    for place, magic, name in (*VIDEO_KINDS, *IMAGE_KINDS, *OTHER_KINDS):
        if head[place : place + len(magic)] == magic:
            return ANIMATIONS[name] if name in ANIMATIONS and is_animated(payload) else name
    if head[:1] == b"G" and head[188:189] == b"G" and head[376:377] == b"G":
        return "an MPEG transport stream"
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return next((name for starts, name in TEXT_KINDS if text.startswith(starts)), None)


def _kind_of_iso_media(brand: bytes) -> str:
    if brand == ANIMATED_AVIF:
        return "an animated AVIF picture"
    picture = PICTURE_BRANDS.get(brand)
    if picture is None:
        return "an MP4 or QuickTime video"
    return f"{'a' if picture[0] == 'H' else 'an'} {picture} picture"


def media_kind_of(payload: Path | bytes) -> MediaKind | None:
    """How a file is to be read, ``None`` where its bytes do not tell; a GIF of one picture is what its name says."""
    kind = kind_of(payload)
    if kind is None or kind == "a GIF":
        return None
    if kind.startswith("an animated ") or kind.endswith((" video", " stream")):
        return "video"
    return "image" if kind.endswith(" picture") else None


def is_animated(payload: Path | bytes) -> bool:
    """Whether a WebP, PNG or GIF has several pictures by its headers."""
    head = first_bytes(payload, LOOKED_AT)
    if head[8:12] == b"WEBP":
        return head[12:16] == b"VP8X" and len(head) > WEBP_FLAGS and bool(head[WEBP_FLAGS] & WEBP_ANIMATED)
    if head[:4] == b"\x89PNG":
        return b"acTL" in first_bytes(payload, LONGEST_HEAD).partition(b"IDAT")[0]
    data = payload if isinstance(payload, bytes) else payload.read_bytes()
    return data.count(GIF_CONTROL) > 1


WEBP_FLAGS, WEBP_ANIMATED = 20, 0x02
"""Where the header of an extended WebP says what is in it, and the bit for several frames."""

LONGEST_HEAD = 1 << 20
"""Bytes within which what PNG and AVIF say of their pictures stands before them."""

GIF_CONTROL = b"\x21\xf9\x04"
"""What stands before each picture of an animated GIF."""


def is_foreign(kind: str | None) -> bool:
    """Whether a kind is neither a video nor unknown, so that it tells why a video cannot be opened."""
    videos = {name for _, _, name in VIDEO_KINDS} | set(ANIMATIONS.values())
    return kind is not None and kind not in videos and not kind.endswith(("video", "stream"))


def is_picture_of_iso_media(payload: Path | bytes) -> bool:
    """Whether the file is a HEIC or AVIF picture, whose container is that of MP4."""
    head = first_bytes(payload, 12)
    return head[4:8] == b"ftyp" and head[8:12] in PICTURE_BRANDS
