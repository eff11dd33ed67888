"""Frames as players show them: shapes, transparency, dynamic range, and what decord must not be given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from optsg.extract.decoding import decode_image, decode_video, decode_video_with
from optsg.extract.decoding.frame_reader import as_shown, shown_size
from optsg.extract.decoding.high_dynamic_range import HLG, PQ, tone_map
from optsg.extract.decoding.orientation import turn_of
from optsg.extract.decoding.packets import may_try_decord
from optsg.extract.decoding.pyav_reader import PyavReader
from optsg.extract.decoding.sampling import Sampling
from optsg.extract.encoders.pixel_plan import PixelPlan
from PIL import Image, ImageFilter

from tests.extract.decoding.painted_clips import HEIGHT, WIDTH, ClipMaker

NO_B = ("-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-bf", "0", "-g", "250", "-sc_threshold", "0")
PLAN = PixelPlan(mode="shortest", size=(32, 32), crop=(32, 32), interpolation="bicubic")


def test_pixels_that_are_not_square_are_shown_as_ffmpeg_shows_them(make_clip: ClipMaker, tmp_path: Path) -> None:
    path, shown = make_clip("wide.mp4", frames=12, options=("-vf", "setsar=16/11", *NO_B)), tmp_path / "shown.png"
    make_clip.run("-i", path, "-vf", "scale=iw*sar:ih,setsar=1", "-frames:v", "1", "-update", "1", shown)
    expected = decode_image(shown)
    image = decode_video(path).images[0]
    assert image.size == expected.size == (279, HEIGHT)
    assert np.abs(np.asarray(image, dtype=int) - np.asarray(expected, dtype=int)).mean() < 3


def test_the_shape_costs_no_second_resize(make_clip: ClipMaker) -> None:
    """The plan gets the stored picture, and with it the size at which it is shown."""
    path = make_clip("wide.mp4", frames=12, options=("-vf", "setsar=16/11", *NO_B))
    seen = []

    def convert(picture: Image.Image, shown: tuple[int, int]) -> np.ndarray:
        seen.append((picture.size, shown))
        return PLAN(picture, shown)

    pixels = decode_video_with(convert, path, Sampling()).images[0]
    assert set(seen) == {((WIDTH, HEIGHT), (279, HEIGHT))}
    stretched = PLAN(decode_video(path).images[0])
    assert np.abs(pixels.astype(int) - stretched.astype(int)).mean() < 3


@pytest.mark.parametrize(
    ("size", "aspect", "shown"),
    [((720, 576), 64 / 45, (1024, 576)), ((720, 480), 8 / 9, (720, 540)), ((10, 10), 1.0, (10, 10))],
)
def test_no_side_becomes_shorter(size: tuple[int, int], aspect: float, shown: tuple[int, int]) -> None:
    assert shown_size(size, aspect) == shown
    assert as_shown(Image.new("RGB", size), shown).size == shown


def test_a_shrunk_picture_has_the_shape_that_is_shown(make_clip: ClipMaker) -> None:
    path = make_clip("wide.mp4", frames=12, options=("-vf", "setsar=2", *NO_B))
    video = decode_video_with(
        lambda image, shown: (image.size, shown), path, Sampling(), shrink=lambda w, h: (w // 2, h // 2)
    )
    assert video.images[0] == ((192, 32), (192, 32))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_display_matrices_are_what_exif_calls_the_same(tmp_path: Path, orientation: int) -> None:
    """Where the corners of a picture go by the matrix is where EXIF puts them."""
    a, b, c, d = {
        1: (1, 0, 0, 1), 2: (-1, 0, 0, 1), 3: (-1, 0, 0, -1), 4: (1, 0, 0, -1),
        5: (0, 1, 1, 0), 6: (0, 1, -1, 0), 7: (0, -1, -1, 0), 8: (0, -1, 1, 0),
    }[orientation]  # fmt: skip
    stored = Image.fromarray(np.arange(6, dtype=np.uint8).reshape(2, 3) * 40)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "picture.png"
    stored.save(path, exif=exif)
    matrix = np.array([a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30], dtype=np.int32).tobytes()
    turn = turn_of(matrix)
    turned = stored if turn is None else stored.transpose(turn)
    assert np.array_equal(np.asarray(turned.convert("RGB")), np.asarray(decode_image(path)))


CLEAR = "color=red:size=64x64:rate=10:duration=1,format=rgba,geq=r=255:g=0:b=0:a='if(lt(X,32),255,0)'"
TRANSLUCENT = {
    "prores.mov": ("-c:v", "prores_ks", "-profile:v", "4444", "-pix_fmt", "yuva444p10le"),
    "animation.mov": ("-c:v", "qtrle", "-pix_fmt", "argb"),
    "png.mov": ("-c:v", "png"),
    "vp9.webm": ("-c:v", "libvpx-vp9", "-pix_fmt", "yuva420p", "-auto-alt-ref", "0"),
    "vp8.webm": ("-c:v", "libvpx", "-pix_fmt", "yuva420p", "-auto-alt-ref", "0"),
    "ffv1.mkv": ("-c:v", "ffv1", "-pix_fmt", "yuva420p"),
    "utvideo.avi": ("-c:v", "utvideo", "-pix_fmt", "gbrap"),
    "raw.mov": ("-c:v", "rawvideo", "-pix_fmt", "argb"),
    "pictures.apng": ("-c:v", "apng", "-f", "apng"),
}


@pytest.mark.parametrize("name", TRANSLUCENT)
def test_transparent_video_is_on_white_as_images_are(make_clip: ClipMaker, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    make_clip.run("-f", "lavfi", "-i", CLEAR, *TRANSLUCENT[name], path)
    image = decode_video(path).images[0]
    red, clear = image.getpixel((8, 32)), image.getpixel((56, 32))
    assert np.abs(np.array(red) - (255, 0, 0)).max() < 6
    assert np.abs(np.array(clear) - 255).max() < 6


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "AVIF"])
def test_animations_are_on_white_too(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"animation.{kind.lower()}"
    frames = [Image.new("RGBA", (64, 64), (255, 0, 0, 0)) for _ in range(3)]
    for number, frame in enumerate(frames):
        frame.paste((255, 0, 0, 255), (0, 0, 8 + number, 64))
    frames[0].save(path, kind, save_all=True, append_images=frames[1:], duration=500, disposal=2)
    image = decode_video(path).images[-1]
    assert np.abs(np.array(image.getpixel((2, 32))) - (255, 0, 0)).max() < 20
    assert min(image.getpixel((60, 32))) >= 253


def shade(table: ImageFilter.Color3DLUT, code: int) -> int:
    red, green, blue = Image.new("RGB", (1, 1), (code, code, code)).filter(table).getpixel((0, 0))  # type: ignore[misc]
    assert max(red, green, blue) - min(red, green, blue) <= 2
    return int(green)


@pytest.mark.parametrize(
    ("transfer", "expected"),
    [
        (PQ, {0: 0, 32: 23, 64: 56, 96: 107, 128: 181, 160: 232, 192: 255, 255: 255}),
        (HLG, {0: 0, 32: 36, 64: 72, 96: 108, 128: 144, 160: 183, 192: 218, 224: 242}),
    ],
)
def test_greys_of_high_dynamic_range_are_those_of_ffmpegs_chain(transfer: int, expected: dict[int, int]) -> None:
    """Expected: ffmpeg 5.1, ``zscale=t=linear:npl=203,zscale=p=bt709,tonemap=mobius:desat=0:peak=4.926,zscale=t=bt709``."""
    found = {code: shade(tone_map(transfer), code) for code in expected}
    assert max(abs(found[code] - value) for code, value in expected.items()) <= 8


def test_a_video_of_high_dynamic_range_is_no_longer_washed_out(make_clip: ClipMaker, tmp_path: Path) -> None:
    """A red of 203 cd/m², which is full red in standard range."""
    path = tmp_path / "red.mkv"
    colours = ("-color_trc", "smpte2084", "-color_primaries", "bt2020", "-colorspace", "bt2020nc")
    linear = "zscale=pin=bt709:tin=bt709:min=gbr:rin=pc:t=smpte2084:p=bt2020:m=bt2020nc:r=tv:npl=203"
    graph = f"color=red:size=64x64:rate=10:duration=1,format=gbrp,{linear},format=yuv444p10le"
    make_clip.run("-f", "lavfi", "-i", graph, "-c:v", "ffv1", *colours, path)
    red, green, blue = decode_video(path).images[0].getpixel((32, 32))  # type: ignore[misc]
    assert red > 190
    assert max(green, blue) < 25


REFUSED = {
    "wide.mp4": ("-vf", "setsar=2", *NO_B),
    "clear.webm": ("-c:v", "libvpx-vp9", "-pix_fmt", "yuva420p", "-auto-alt-ref", "0"),
    "bright.mp4": (*NO_B, "-color_trc", "smpte2084", "-color_primaries", "bt2020", "-colorspace", "bt2020nc"),
    "two_streams.mkv": ("-map", "0:v", "-map", "0:v", *NO_B),
}


@pytest.mark.parametrize("name", REFUSED)
def test_decord_is_kept_from_what_it_would_show_otherwise(make_clip: ClipMaker, name: str) -> None:
    assert not may_try_decord(PyavReader(make_clip(name, frames=36, options=REFUSED[name])).facts)


def test_decord_gets_turned_videos_and_no_mirror_images(make_clip: ClipMaker, tmp_path: Path) -> None:
    turned = tmp_path / "turned.mp4"
    whole = make_clip("one_group.mp4", frames=36, options=NO_B)
    make_clip.run("-i", whole, "-c", "copy", "-metadata:s:v:0", "rotate=90", turned)
    assert PyavReader(turned).is_plain()
    data = turned.read_bytes()
    place = data.index(b"tkhd") + 44
    mirror = np.array([-1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30], dtype=">i4").tobytes()
    assert not PyavReader(data[:place] + mirror + data[place + 36 :]).is_plain()
