"""Right frames: the number painted into every frame is read back, and bad files give one clear sentence."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from optsg.data.errors import DecodeError
from optsg.extract.decoding import DecodedVideo, decode_image, decode_video
from optsg.extract.decord_reader import DecordReader
from optsg.extract.pyav_reader import PyavReader
from PIL import Image

from tests.extract.painted_clips import H264, HEIGHT, WIDTH, ClipMaker, read_number


def numbers(video: DecodedVideo[Image.Image]) -> list[int]:
    return [read_number(image) for image in video.images]


def times(video: DecodedVideo[Image.Image]) -> list[float]:
    return [round(float(time), 3) for time in video.times]


REGULAR = {
    "h264.mp4": H264,
    "h264.mov": H264,
    "h264.mkv": H264,
    "fragmented.mp4": (*H264, "-movflags", "frag_keyframe+empty_moov"),
    "faststart.mp4": (*H264, "-movflags", "faststart"),
    "hevc.mp4": ("-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-x265-params", "log-level=none"),
    "vp8.webm": ("-c:v", "libvpx", "-b:v", "1M", "-deadline", "realtime", "-cpu-used", "8"),
    "vp9.webm": ("-c:v", "libvpx-vp9", "-b:v", "1M", "-deadline", "realtime", "-cpu-used", "8"),
    "ten_bit.mkv": (*H264[:4], "-pix_fmt", "yuv420p10le"),
}
OTHERS = {
    "av1.mp4": ("-c:v", "libsvtav1", "-preset", "12"),
    "palette.gif": ("-c:v", "gif"),
    "h264.ts": H264,
    "mpeg2.mpg": ("-c:v", "mpeg2video", "-q:v", "2", "-r", "25"),
    "mpeg4.avi": ("-c:v", "mpeg4", "-q:v", "2", "-bf", "2"),
    "wmv2.wmv": ("-c:v", "wmv2", "-q:v", "2"),
    "flv1.flv": ("-c:v", "flv", "-q:v", "2"),
    "pictures.apng": ("-c:v", "apng", "-f", "apng"),
}


@pytest.mark.parametrize("name", REGULAR)
def test_common_containers_give_the_right_frames_through_decord(make_clip: ClipMaker, name: str) -> None:
    video = decode_video(make_clip(name, frames=36, options=REGULAR[name]))
    assert numbers(video) == [0, 10, 20, 30]
    assert times(video) == [0, 1, 2, 3]
    assert video.duration == pytest.approx(3.6, abs=0.05)
    assert (video.backend.split()[0], video.note) == ("decord", "")


@pytest.mark.parametrize("name", OTHERS)
def test_other_containers_give_the_right_frames_through_pyav(make_clip: ClipMaker, name: str) -> None:
    rate = 25 if name.endswith(".mpg") else 10
    video = decode_video(make_clip(name, frames=3 * rate + 6, rate=rate, options=OTHERS[name]))
    assert numbers(video) == [0, rate, 2 * rate, 3 * rate]
    assert times(video) == [0, 1, 2, 3]
    assert video.backend.split()[0] == "pyav"


def test_decord_and_pyav_give_the_same_pixels(make_clip: ClipMaker) -> None:
    path = make_clip("h264.mp4", frames=36)
    wanted = [0, 7, 19, 20, 35]
    with DecordReader(path) as decord, PyavReader(path) as pyav:
        assert np.allclose(decord.times, pyav.times, atol=1e-4)
        pairs = list(zip(decord.read(wanted), pyav.read(wanted), strict=True))
    for (a, ours), (b, theirs) in pairs:
        assert a == b == read_number(ours)
        assert np.array_equal(np.asarray(ours), np.asarray(theirs))


def test_bytes_are_read_like_the_file(make_clip: ClipMaker) -> None:
    for path in (make_clip("h264.mp4", frames=36), make_clip("palette.gif", frames=36, options=OTHERS["palette.gif"])):
        file, memory = decode_video(path), decode_video(path.read_bytes())
        assert file.backend == memory.backend
        assert all(
            np.array_equal(np.asarray(a), np.asarray(b)) for a, b in zip(file.images, memory.images, strict=True)
        )


def test_variable_frame_rate_is_sampled_by_time(make_clip: ClipMaker) -> None:
    # 10 frames a second during the first second, then one every 0.4 s: 0.0 … 0.9, 1.0, 1.4, 1.8, 2.2, 2.6, 3.0
    stretched = ("-vf", "setpts='if(lt(N,10),N*0.1,1+(N-10)*0.4)/TB'", "-fps_mode", "vfr", *H264)
    for name in ("vfr.mp4", "vfr.mkv"):
        video = decode_video(make_clip(name, frames=16, options=stretched))
        assert numbers(video) == [0, 10, 13, 15]
        assert times(video) == [0, 1.0, 2.2, 3.0]


def test_a_clip_under_one_second_gives_its_first_frame(make_clip: ClipMaker) -> None:
    video = decode_video(make_clip("short.mp4", frames=3))
    assert (numbers(video), times(video)) == ([0], [0])
    assert video.duration == pytest.approx(0.3, abs=0.01)


def test_ninety_seconds_give_sixty_frames_spread_over_them(make_clip: ClipMaker) -> None:
    seconds = np.rint(np.linspace(0, 89, 60)).astype(int)
    for name in ("long.mp4", "long.ts"):
        video = decode_video(make_clip(name, frames=450, rate=5))
        assert numbers(video) == (5 * seconds).tolist()
        assert times(video) == seconds.tolist()


def test_fps_and_max_frames_are_followed(make_clip: ClipMaker) -> None:
    path = make_clip("h264.mp4", frames=36)
    assert numbers(decode_video(path, fps=5)) == list(range(0, 36, 2))
    assert numbers(decode_video(path, max_frames=2)) == [0, 30]


def test_an_offset_start_counts_from_the_first_frame(make_clip: ClipMaker) -> None:
    video = decode_video(make_clip("offset.mkv", frames=36, options=(*H264, "-output_ts_offset", "7.35")))
    assert (numbers(video), times(video)) == ([0, 10, 20, 30], [0, 1, 2, 3])


def test_audio_before_video_does_not_matter(make_clip: ClipMaker) -> None:
    sound = ("-f", "lavfi", "-i", "sine=duration=3.6")
    options = ("-map", "0:a", "-map", "1:v", *H264, "-c:a", "aac")
    video = decode_video(make_clip("audio_first.mp4", frames=36, inputs=sound, options=options))
    assert numbers(video) == [0, 10, 20, 30]


def test_an_edit_list_hides_what_players_hide(make_clip: ClipMaker, tmp_path: Path) -> None:
    whole, cut = make_clip("h264.mp4", frames=36), tmp_path / "cut.mp4"
    make_clip.run("-ss", "0.75", "-i", whole, "-c", "copy", cut)
    video = decode_video(cut)
    assert numbers(video) == [8, 18, 28]
    assert video.backend.split()[0] == "pyav"


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_rotation_is_applied_by_both_decoders(make_clip: ClipMaker, tmp_path: Path, degrees: int) -> None:
    whole, turned, shown = make_clip("h264.mp4", frames=36), tmp_path / "turned.mp4", tmp_path / "shown.png"
    make_clip.run("-i", whole, "-c", "copy", "-metadata:s:v:0", f"rotate={degrees}", turned)
    make_clip.run("-i", turned, "-vf", "select=eq(n\\,10)", "-frames:v", "1", shown)  # ffmpeg turns it as players do
    expected = decode_image(shown)
    assert expected.size == ((HEIGHT, WIDTH) if degrees != 180 else (WIDTH, HEIGHT))
    for reader in (DecordReader(turned), PyavReader(turned)):
        with reader:
            [(_, image)] = reader.read([10])
        difference = np.asarray(image, dtype=int) - np.asarray(expected, dtype=int)
        assert np.abs(difference).max() < 30
    assert decode_video(turned).backend.split()[0] == "decord"


def test_a_change_of_resolution_keeps_its_frames(make_clip: ClipMaker, tmp_path: Path) -> None:
    small, joined = make_clip("h264.ts", frames=36), tmp_path / "joined.ts"
    large = tmp_path / "large.ts"
    make_clip.run("-i", small, "-vf", "scale=384:128:flags=neighbor", *H264, "-output_ts_offset", "3.6", large)
    joined.write_bytes(small.read_bytes() + large.read_bytes())
    video = decode_video(joined)
    halves = [image.resize((WIDTH, HEIGHT), Image.Resampling.NEAREST) for image in video.images]
    assert {image.size for image in video.images} == {(192, 64), (384, 128)}
    found = [read_number(image) for image in halves]
    assert found[:4] == [0, 10, 20, 30]
    assert np.diff(found[4:]).tolist() == [10] * len(found[5:])


def test_a_truncated_file_keeps_what_is_there(make_clip: ClipMaker, tmp_path: Path) -> None:
    whole = make_clip("long_faststart.mp4", frames=450, rate=5, options=REGULAR["faststart.mp4"])
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * 0.7)])
    video = decode_video(cut)
    assert numbers(video)[:3] == [0, 5, 10]
    assert 30 <= len(video.images) < 60
    assert re.search(r"truncated: it holds \d+ of the 450 frames it promises", video.note)


def test_damage_in_the_middle_costs_only_that_part(make_clip: ClipMaker, tmp_path: Path) -> None:
    data = bytearray(make_clip("long.mp4", frames=450, rate=5).read_bytes())
    middle = len(data) // 2
    data[middle : middle + len(data) // 20] = bytes(len(data) // 20)
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(data)
    video = decode_video(damaged)
    assert len(video.images) >= 50
    assert read_number(video.images[0]) == 0
    assert np.all(np.diff(video.times) > 0)


def test_frames_are_rgb_not_bgr(make_clip: ClipMaker, tmp_path: Path) -> None:
    red = tmp_path / "red.mp4"
    make_clip.run("-f", "lavfi", "-i", "color=red:size=64x64:duration=1", "-pix_fmt", "yuv420p", red)
    for reader in (DecordReader(red), PyavReader(red)):
        with reader:
            [(_, image)] = reader.read([0])
        r, g, b = np.asarray(image)[32, 32]
        assert r > 240 > 20 > max(g, b)


def test_odd_file_names_are_only_names(make_clip: ClipMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = tmp_path / "http:%03d 你好.mp4"
    shutil.copy(make_clip("h264.mp4", frames=36), odd)
    monkeypatch.chdir(tmp_path)
    assert numbers(decode_video(Path(odd.name))) == [0, 10, 20, 30]


def failing(path: Path) -> str:
    with pytest.raises(DecodeError) as caught:
        decode_video(path)
    assert str(caught.value).startswith(f"{path}: ")
    return str(caught.value).removeprefix(f"{path}: ")


def test_files_that_are_no_video_say_what_they_are(make_clip: ClipMaker, tmp_path: Path) -> None:
    empty, text, noise = (tmp_path / name for name in ("empty.mp4", "text.mp4", "noise.mp4"))
    empty.write_bytes(b"")
    text.write_text("this is a text file with the name of a video\n" * 50)
    noise.write_bytes(np.random.default_rng(0).bytes(20_000))
    assert failing(tmp_path / "nowhere.mp4") == "there is no such file"
    assert failing(empty) == "the file is empty (0 bytes)"
    for path in (text, noise):
        assert failing(path) == "it cannot be opened as a video (invalid data found when processing input)"


def test_a_file_cut_before_its_index_is_refused(make_clip: ClipMaker, tmp_path: Path) -> None:
    whole, cut = make_clip("h264.mp4", frames=36), tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    assert failing(cut) == "it cannot be opened as a video (invalid data found when processing input)"


def test_audio_only_is_refused(make_clip: ClipMaker, tmp_path: Path) -> None:
    sound = tmp_path / "sound.mp4"
    make_clip.run("-f", "lavfi", "-i", "sine=duration=1", "-c:a", "aac", sound)
    assert failing(sound) == "it holds no video stream (found: audio)"


def test_cover_art_is_no_video(make_clip: ClipMaker, tmp_path: Path) -> None:
    cover, song = tmp_path / "cover.jpg", tmp_path / "song.m4a"
    Image.new("RGB", (64, 64), "red").save(cover)
    streams = ("-map", "0:a", "-map", "1:v", "-c:a", "aac", "-c:v", "mjpeg", "-disposition:v:0", "attached_pic")
    make_clip.run("-f", "lavfi", "-i", "sine=duration=1", "-i", cover, *streams, song)
    assert failing(song) == "it holds no video stream, only cover art"


@pytest.mark.parametrize(("kind", "name"), [("JPEG", "jpeg"), ("PNG", "png"), ("WEBP", "webp")])
def test_a_picture_with_the_name_of_a_video_is_refused(tmp_path: Path, kind: str, name: str) -> None:
    path = tmp_path / "picture.mp4"
    Image.new("RGB", (64, 64), "red").save(path, kind)
    assert failing(path) == f"it is a single picture ({name}), not a video, whatever its name says"


def test_a_playlist_does_not_reach_other_files(make_clip: ClipMaker, tmp_path: Path) -> None:
    secret = make_clip("h264.ts", frames=36)
    playlist = tmp_path / "playlist.mp4"
    playlist.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:3.6,\n{secret}\n#EXT-X-ENDLIST\n")
    assert failing(playlist).startswith(("it is a playlist (hls)", "it cannot be opened as a video"))
    concat = tmp_path / "concat.mp4"
    concat.write_text(f"ffconcat version 1.0\nfile '{secret}'\n")
    assert failing(concat).startswith(("it is a playlist (concat)", "it cannot be opened as a video"))


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
