"""How the decoders divide the work, and that they agree; what comes of every kind of file is in ``test_torture.py``."""

from __future__ import annotations

import itertools
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from optsg.data.errors import DecodeError
from optsg.extract.decoding import DecodedVideo, decode_image, decode_video, decode_video_with
from optsg.extract.decoding.decord_reader import DecordReader, describe_decord
from optsg.extract.decoding.packets import may_try_decord, mostly_needed, plan_decoding, same_times
from optsg.extract.decoding.pyav_reader import PyavReader
from optsg.extract.decoding.sampling import Sampling
from PIL import Image

from tests.extract.decoding.painted_clips import H264, HEIGHT, WIDTH, ClipMaker, read_number

DECORD = describe_decord().split()[0]
"""``decord``, or ``decord2`` where that is installed."""


def numbers(video: DecodedVideo[Image.Image]) -> list[int]:
    return [read_number(image) for image in video.images]


def times(video: DecodedVideo[Image.Image]) -> list[float]:
    return [round(float(time), 3) for time in video.times]


NO_B = ("-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-bf", "0", "-g", "250", "-sc_threshold", "0")
TRUSTED = {
    "h264.mp4": H264,
    "h264.mov": H264,
    "h264.mkv": H264,
    "fragmented.mp4": (*H264, "-movflags", "frag_keyframe+empty_moov"),
    "hevc.mp4": ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none:keyint=20:open-gop=0"),
    "vp8.webm": ("-c:v", "libvpx", "-b:v", "1M", "-deadline", "realtime", "-cpu-used", "8", "-g", "20"),
    "vp9.webm": ("-c:v", "libvpx-vp9", "-b:v", "1M", "-deadline", "realtime", "-cpu-used", "8", "-g", "20"),
    "ten_bit.mkv": (*H264[:4], "-pix_fmt", "yuv420p10le", "-g", "20"),
}


@pytest.mark.parametrize("name", TRUSTED)
def test_decord_gives_the_right_frames_of_what_passes_its_preflight(make_clip: ClipMaker, name: str) -> None:
    path = make_clip(name, frames=76, options=TRUSTED[name])
    careful = PyavReader(path)
    assert may_try_decord(careful.facts)
    with DecordReader(path) as reader:
        assert same_times(careful.times, reader.times)
        # Far apart and close together: decord seeks, or decodes on.
        wanted = [3, 4, 20, 39, 41, 75]
        found: list[int] = []
        try:
            for position, image in reader.read(wanted):
                found.append(read_number(image))
                assert found[-1] == position
        except DecodeError:
            # An error is as good as the right frames: PyAV takes over.
            assert (DECORD, name) == ("decord2", "hevc.mp4")
        else:
            assert found == wanted


DISTRUSTED = {
    "open_groups.mp4": (
        "-c:v",
        "libx265",
        "-preset",
        "ultrafast",
        "-x265-params",
        "log-level=none:keyint=20:bframes=4",
    ),
    "gradual_refresh.mp4": ("-c:v", "libx264", "-g", "20", "-pix_fmt", "yuv420p", "-x264-params", "intra-refresh=1"),
    "mpeg4_groups.mp4": ("-c:v", "mpeg4", "-q:v", "2", "-bf", "2", "-g", "20"),
    "stream.ts": H264,
    "stream.avi": H264,
    "large.mp4": ("-vf", "scale=3840:2160:flags=neighbor", *NO_B, "-preset", "ultrafast", "-frames:v", "2"),
}


@pytest.mark.parametrize("name", DISTRUSTED)
def test_the_preflight_keeps_from_decord_what_it_gets_wrong(make_clip: ClipMaker, name: str) -> None:
    careful = PyavReader(make_clip(name, frames=76, options=DISTRUSTED[name]))
    assert not may_try_decord(careful.facts)


def test_decord_is_chosen_where_hardly_anything_can_be_left_out(make_clip: ClipMaker) -> None:
    backends = [
        decode_video(make_clip(name, frames=76, options=options)).backend.split()[0]
        for name, options in (
            ("one_group.mp4", NO_B),
            ("b_frames.mp4", H264),
            ("group_a_second.mp4", (*NO_B, "-g", "10")),
        )
    ]
    assert backends == [DECORD, "pyav", "pyav"]


PLANNED = {
    "groups.mp4": H264,
    "pyramid.mp4": ("-c:v", "libx264", "-g", "30", "-bf", "4", "-x264-params", "b-pyramid=normal:open-gop=1"),
    "interlaced.mp4": (*H264, "-flags", "+ilme+ildct"),
    "hevc.mp4": ("-c:v", "libx265", "-x265-params", "log-level=none:keyint=30:bframes=4"),
    "layers.mp4": ("-c:v", "libx265", "-x265-params", "log-level=none:keyint=30:bframes=4:temporal-layers=1"),
    "mpeg4.mkv": ("-c:v", "mpeg4", "-q:v", "3", "-bf", "2", "-g", "20"),
    "mpeg2.ts": ("-c:v", "mpeg2video", "-q:v", "3", "-bf", "2", "-r", "25"),
    "vp9.webm": ("-c:v", "libvpx-vp9", "-b:v", "1M", "-g", "30", "-auto-alt-ref", "1", "-cpu-used", "5"),
    "gradual_refresh.mp4": ("-c:v", "libx264", "-g", "20", "-x264-params", "intra-refresh=1"),
    "av1.mp4": ("-c:v", "libsvtav1", "-preset", "12", "-g", "20"),
    "palette.gif": ("-c:v", "gif"),
}


@pytest.mark.parametrize("name", PLANNED)
@pytest.mark.parametrize("every", [10, 3])
def test_frames_are_the_same_to_the_bit_whatever_is_left_undecoded(
    make_clip: ClipMaker, name: str, every: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_clip(f"planned_{name}", frames=100, rate=25 if name.endswith(".ts") else 10, options=PLANNED[name])
    reader = PyavReader(path)
    wanted = list(range(0, 100, every))
    planned = list(reader.read(wanted))
    monkeypatch.setattr(PyavReader, "_planned", lambda _self, _positions: iter(()))
    plain = list(reader.read(wanted))
    assert [position for position, _ in planned] == [position for position, _ in plain] == wanted
    assert all(np.array_equal(np.asarray(a), np.asarray(b)) for (_, a), (_, b) in zip(planned, plain, strict=True))


def test_most_packets_between_the_wanted_frames_are_left_out(make_clip: ClipMaker) -> None:
    facts = PyavReader(make_clip("group_a_second.mp4", frames=76, options=(*NO_B, "-g", "10"))).facts
    plan = plan_decoding(facts, facts.pts[::10])
    assert np.flatnonzero(plan.fed).tolist() == list(range(0, 76, 10))
    assert not mostly_needed(facts, np.arange(0, 76, 10))


def test_a_plan_that_fails_on_the_way_is_continued_by_decoding_everything(
    make_clip: ClipMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = PyavReader(make_clip("b_frames.mp4", frames=76))
    whole = reader._planned
    monkeypatch.setattr(reader, "_planned", lambda positions: itertools.islice(whole(positions), 3))
    assert [read_number(image) for _, image in reader.read(range(0, 76, 10))] == list(range(0, 76, 10))
    assert reader.flaws == []


MEASURE = """
import re, sys
from pathlib import Path
from optsg.extract.decoding import decode_video_with
from optsg.extract.decoding.sampling import Sampling
video = decode_video_with(lambda image, _shown: image.resize((8, 8)), Path(sys.argv[1]), Sampling())
status = Path("/proc/self/status").read_text()  # getrusage would count the parent's memory until the program began
print(len(video.images), video.backend.split()[0], int(re.search(r"VmHWM:\\s+(\\d+)", status)[1]) // 1024)
"""


def test_a_video_in_4k_takes_little_memory(make_clip: ClipMaker) -> None:
    scale = ("-vf", "scale=3840:2160:flags=neighbor")
    path = make_clip("4k.mp4", frames=31, options=(*scale, *H264, "-preset", "ultrafast"))
    run = subprocess.run([sys.executable, "-c", MEASURE, path], capture_output=True, text=True, check=True)
    frames, backend, mebibytes = run.stdout.split()
    assert (frames, backend) == ("4", "pyav")
    assert int(mebibytes) < 500  # about 250 here; with decord more than 1000


def test_the_backend_tells_the_distribution_and_its_ffmpeg(make_clip: ClipMaker) -> None:
    assert re.fullmatch(r"decord2? \d+\.\d+\.\d+ \(libavcodec \d+\.\d+\.\d+\)", describe_decord())
    assert re.fullmatch(r"pyav \d+\.\d+\.\d+ \(FFmpeg .+\)", PyavReader.backend)
    assert decode_video(make_clip("one_group.mp4", frames=76, options=NO_B)).backend == describe_decord()


@pytest.mark.parametrize("rotation", [0, 90])
@pytest.mark.parametrize("coded", [H264, NO_B])
def test_frames_are_shrunk_by_the_decoder_on_request(
    make_clip: ClipMaker, tmp_path: Path, rotation: int, coded: tuple[str, ...]
) -> None:
    turned = tmp_path / "turned.mp4"
    whole = make_clip(f"shrunk_{len(coded)}.mp4", frames=36, options=coded)
    make_clip.run("-i", whole, "-c", "copy", "-metadata:s:v:0", f"rotate={rotation}", turned)
    seen = []

    def halve(width: int, height: int) -> tuple[int, int]:
        seen.append((width, height))
        return width // 2, height // 2

    video = decode_video_with(lambda image, _shown: image, turned, Sampling(), shrink=halve)
    full = (WIDTH, HEIGHT) if not rotation else (HEIGHT, WIDTH)
    assert set(seen) == {full}
    assert {image.size for image in video.images} == {(full[0] // 2, full[1] // 2)}
    for small, large in zip(video.images, decode_video(turned).images, strict=True):
        expected = large.resize(small.size, Image.Resampling.BICUBIC)
        assert np.abs(np.asarray(small, dtype=int) - np.asarray(expected, dtype=int)).mean() < 4


def test_decord_and_pyav_give_the_same_pixels(make_clip: ClipMaker) -> None:
    path = make_clip("h264.mp4", frames=76)
    wanted = [0, 7, 19, 20, 35]
    with DecordReader(path) as decord, PyavReader(path) as pyav:
        assert np.allclose(decord.times, pyav.times, atol=1e-4)
        pairs = list(zip(decord.read(wanted), pyav.read(wanted), strict=True))
    for (a, ours), (b, theirs) in pairs:
        assert a == b == read_number(ours)
        assert np.array_equal(np.asarray(ours), np.asarray(theirs))


def test_bytes_are_read_like_the_file(make_clip: ClipMaker) -> None:
    for path in (make_clip("h264.mp4", frames=76), make_clip("palette.gif", frames=36, options=("-c:v", "gif"))):
        file, memory = decode_video(path), decode_video(path.read_bytes())
        assert file.backend == memory.backend
        assert all(
            np.array_equal(np.asarray(a), np.asarray(b)) for a, b in zip(file.images, memory.images, strict=True)
        )


def test_ninety_seconds_give_sixty_frames_spread_over_them(make_clip: ClipMaker) -> None:
    seconds = np.rint(np.linspace(0, 89, 60)).astype(int)
    for name in ("long.mp4", "long.ts"):
        video = decode_video(make_clip(name, frames=450, rate=5))
        assert numbers(video) == (5 * seconds).tolist()
        assert times(video) == seconds.tolist()


def test_fps_and_max_frames_are_followed(make_clip: ClipMaker) -> None:
    path = make_clip("h264.mp4", frames=76)
    assert numbers(decode_video(path, fps=5)) == list(range(0, 76, 2))
    assert numbers(decode_video(path, max_frames=2)) == [0, 70]


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_rotation_is_applied_by_both_decoders(make_clip: ClipMaker, tmp_path: Path, degrees: int) -> None:
    whole, turned, shown = make_clip("h264.mp4", frames=76), tmp_path / "turned.mp4", tmp_path / "shown.png"
    make_clip.run("-i", whole, "-c", "copy", "-metadata:s:v:0", f"rotate={degrees}", turned)
    make_clip.run("-i", turned, "-vf", "select=eq(n\\,10)", "-frames:v", "1", shown)  # ffmpeg turns it as players do
    expected = decode_image(shown)
    assert expected.size == ((HEIGHT, WIDTH) if degrees != 180 else (WIDTH, HEIGHT))
    for reader in (DecordReader(turned), PyavReader(turned)):
        with reader:
            [(_, image)] = reader.read([10])
        difference = np.asarray(image, dtype=int) - np.asarray(expected, dtype=int)
        assert np.abs(difference).max() < 30


def test_frames_are_rgb_not_bgr(make_clip: ClipMaker, tmp_path: Path) -> None:
    red = tmp_path / "red.mp4"
    make_clip.run("-f", "lavfi", "-i", "color=red:size=64x64:duration=1", "-pix_fmt", "yuv420p", red)
    for reader in (DecordReader(red), PyavReader(red)):
        with reader:
            [(_, image)] = reader.read([0])
        r, g, b = np.asarray(image)[32, 32]
        assert r > 240 > 20 > max(g, b)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "nowhere.mp4"
    with pytest.raises(DecodeError, match=f"^{re.escape(str(path))}: there is no such file$"):
        decode_video(path)


def test_a_relative_name_like_an_address_is_a_file(
    make_clip: ClipMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = tmp_path / "http:%03d.mp4"
    shutil.copy(make_clip("h264.mp4", frames=76), odd)
    monkeypatch.chdir(tmp_path)
    assert numbers(decode_video(Path(odd.name)))[:2] == [0, 10]


def test_images_are_upright_rgb_on_white(tmp_path: Path) -> None:
    path = tmp_path / "picture.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 90 degrees to view
    Image.new("RGB", (40, 20), "red").save(path, exif=exif)
    assert decode_image(path).size == (20, 40)
    clear = tmp_path / "clear.png"
    Image.new("RGBA", (8, 8), (255, 0, 0, 0)).save(clear)
    assert decode_image(clear).getpixel((0, 0)) == (255, 255, 255)
    deep = tmp_path / "deep.png"
    Image.fromarray(np.full((8, 8), 32768, dtype=np.uint16)).save(deep)
    assert decode_image(deep).getpixel((0, 0)) == (127, 127, 127)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty (0 bytes)"),
        (b"plain text", "it cannot be read as an image (unknown format)"),
    ],
)
def test_files_that_are_no_image_say_so(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "picture.jpg"
    path.write_bytes(content)
    with pytest.raises(DecodeError, match=f"^{re.escape(f'{path}: {reason}')}$"):
        decode_image(path)


def test_a_truncated_image_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(DecodeError, match=re.escape(f"{path}: it cannot be read as an image (")):
        decode_image(path)
