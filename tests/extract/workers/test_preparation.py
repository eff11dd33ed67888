"""What a file is decides how it is read; its name only where its bytes do not tell."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import pytest
from optsg.data.media import MediaKind
from optsg.extract.decoding.file_kinds import media_kind_of
from optsg.extract.decoding.sampling import Sampling
from optsg.extract.encoders.pixel_plan import PixelPlan
from optsg.extract.workers.preparation import Preparation, Prepared, Unreadable, prepare
from PIL import Image

from tests.extract.decoding.painted_clips import H264, ClipMaker

HOW = Preparation(
    plan=PixelPlan(mode="squash", size=(32, 32), crop=(32, 32), interpolation="bicubic"), sampling=Sampling()
)
RED, BLUE = (Image.new("RGB", (48, 48), colour) for colour in ("red", "blue"))


def saved(kind: str, *more: Image.Image) -> bytes:
    """A red picture, and the others behind it in an animation of a picture a second."""
    file = io.BytesIO()
    RED.save(file, kind, **({"save_all": True, "append_images": more, "duration": 1000} if more else {}))
    return file.getvalue()


def read(kind: MediaKind, payload: Path | bytes) -> Prepared:
    prepared = prepare(kind, payload, HOW)
    assert isinstance(prepared, Prepared), prepared
    return prepared


@pytest.mark.parametrize(
    ("suffix", "options", "what"),
    [
        (".mp4", H264, "an MP4 or QuickTime video"),
        (".mov", H264, "an MP4 or QuickTime video"),
        (".mkv", H264, "a Matroska or WebM video"),
        (".ts", H264, "an MPEG transport stream"),
        (".avi", ("-c:v", "mpeg4"), "an AVI video"),
        (".flv", H264, "an FLV video"),
        (".mpg", ("-c:v", "mpeg2video", "-r", "25"), "an MPEG video"),
    ],
)
def test_a_video_with_the_name_of_a_picture_is_a_video(
    make_clip: ClipMaker, suffix: str, options: Sequence[str], what: str
) -> None:
    clip = make_clip(f"clip{suffix}", frames=36, options=options)
    video, named = read("video", clip), read("image", clip.read_bytes())
    assert (named.kind, len(named.pixels), named.times.tolist()) == ("video", 4, video.times.tolist())
    assert (named.pixels == video.pixels).all()
    assert (video.note, named.note) == ("", f"it is {what}, read as a video whatever its name says")


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        ("JPEG", "a JPEG picture"),
        ("PNG", "a PNG picture"),
        ("WEBP", "a WebP picture"),
        ("TIFF", "a TIFF picture"),
        ("HEIF", "a HEIC picture"),
        ("AVIF", "an AVIF picture"),
        ("JPEG2000", "a JPEG 2000 picture"),
    ],
)
def test_a_picture_with_the_name_of_a_video_is_an_image(kind: str, what: str) -> None:
    image, named = read("image", saved(kind)), read("video", saved(kind))
    assert (named.kind, named.pixels.shape, len(named.times)) == ("image", (1, 32, 32, 3), 0)
    assert (named.pixels == image.pixels).all()
    assert (image.note, named.note) == ("", f"it is {what}, read as an image whatever its name says")


@pytest.mark.parametrize(
    ("kind", "what"),
    [("WEBP", "WebP picture"), ("PNG", "PNG picture"), ("AVIF", "AVIF picture"), ("GIF", "GIF")],
)
def test_an_animation_is_a_video(kind: str, what: str) -> None:
    prepared = read("image", saved(kind, BLUE, RED))
    assert (prepared.kind, prepared.times.tolist()) == ("video", [0, 1, 2])
    assert prepared.note == f"it is an animated {what}, read as a video whatever its name says"
    reds = [prepared.pixels[number, 16, 16, 0] > 128 for number in range(3)]
    assert reds == [True, False, True]


def test_a_gif_of_one_picture_is_what_its_name_says() -> None:
    assert read("image", saved("GIF")).kind == "image"
    assert read("video", saved("GIF")).kind == "video"


def test_motion_jpeg_2000_is_no_picture() -> None:
    signature = b"\0\0\0\x0cjP  \r\n\x87\n\0\0\0\x14ftyp"
    assert media_kind_of(signature + b"mjp2" + bytes(40)) == "video"
    assert media_kind_of(signature + b"jp2 " + bytes(40)) == "image"


@pytest.mark.parametrize("kind", ["video", "image"])
def test_jpeg_xl_is_named_with_what_helps(kind: MediaKind) -> None:
    found = prepare(kind, b"\xff\x0a" + bytes(3000), HOW)
    assert isinstance(found, Unreadable)
    assert found.error == "it is a JPEG XL picture, which cannot be read; convert it, for instance with djxl"


def test_what_is_unknown_is_read_by_its_name() -> None:
    for kind, error in (("video", "it cannot be opened as a video"), ("image", "it cannot be read as an image")):
        found = prepare(kind, bytes(range(256)) * 20, HOW)  # type: ignore[arg-type]
        assert isinstance(found, Unreadable)
        assert found.error.startswith(error)
    missing = prepare("image", Path("nowhere.jpg"), HOW)
    assert isinstance(missing, Unreadable)
    assert missing.error == "there is no such file"
