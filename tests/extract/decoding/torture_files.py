"""The torture set: every file with how it is made and what must come of it.

``TORTURE`` is the table. Unless a row says otherwise, a clip has 36 frames at 10 a second with their numbers painted in,
so that the frames 0, 10, 20 and 30 are due at 0, 1, 2 and 3 seconds.
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import av
import numpy as np
from PIL import Image

from tests.extract.decoding.painted_clips import H264, ClipMaker, painted

Recipe = Callable[[ClipMaker, Path], None]
"""Makes the file at the given path."""

Surgery = Callable[[bytes], bytes]
"""Changes the bytes of a file."""

SMEARED = -1
"""The number of a frame that may spell anything: it is kept, but damage before it reaches into it."""


@dataclass(frozen=True, kw_only=True)
class Torture:
    """One row.

    Attributes:
        name: the file's name.
        made: how it is made.
        verdict: what must come of it.
        says: the note of an ``ok`` or ``partial`` one, the whole error of a ``failed`` one; a regular expression.
        frames: numbers read from the kept frames.
        times: their times in seconds.
        turned: how the picture must be turned to be read: degrees counterclockwise, or a mirror image.
        shape: (width, height) of the pictures, where that matters.
        decoder: the one that must serve it, where that matters.
    """

    name: str
    made: Recipe
    verdict: Literal["ok", "partial", "failed"] = "ok"
    says: str = ""
    frames: Sequence[int] = (0, 10, 20, 30)
    times: Sequence[float] = (0, 1, 2, 3)
    turned: int | Literal["hflip", "vflip", "transpose", "transverse"] = 0
    shape: tuple[int, int] | None = None
    decoder: str = ""


def clip(*options: str, frames: int = 36, rate: float = 10, inputs: Sequence[str] = ()) -> Recipe:
    """ffmpeg encodes painted frames with ``options``."""

    def make(maker: ClipMaker, path: Path) -> None:
        maker.encode(path, frames=frames, rate=rate, inputs=inputs, options=options)

    return make


def from_clip(*options: str, before: Sequence[str] = (), suffix: str = ".mp4", coded: Sequence[str] = H264) -> Recipe:
    """ffmpeg makes the file of a finished clip."""

    def make(maker: ClipMaker, path: Path) -> None:
        maker.run(*before, "-i", maker(f"whole{suffix}", frames=36, options=coded), *options, path)

    return make


def surgery(cut: Surgery, made: Recipe, suffix: str = ".mp4") -> Recipe:
    """The bytes of a file, changed."""

    def make(maker: ClipMaker, path: Path) -> None:
        whole = path.with_name(f"before_surgery_{path.stem}{suffix}")
        made(maker, whole)
        path.write_bytes(cut(whole.read_bytes()))

    return make


def content(data: bytes) -> Recipe:
    """These bytes."""

    def make(_maker: ClipMaker, path: Path) -> None:
        path.write_bytes(data)

    return make


def video_packets(data: bytes) -> list[tuple[int, int, int]]:
    """Of each packet: where its container begins it, where its payload begins, and where that ends.

    Damage placed so is the same with every encoder.
    """
    places = []
    with av.open(io.BytesIO(data), mode="r") as container:
        for packet in container.demux(video=0):
            if packet.size:
                start = packet.pos or 0
                payload = max(start, data.find(bytes(packet), start))  # transport streams cut payloads to pieces
                places.append((start, payload, payload + packet.size))
    return places


def end_within(number: int) -> Surgery:
    """Cuts the file off in the middle of a packet."""

    def cut(data: bytes) -> bytes:
        _, start, end = video_packets(data)[number]
        return data[: (start + end) // 2]

    return cut


def spoil(start: int, end: int) -> Surgery:
    """Overwrites the payloads of packets ``start`` to ``end`` (exclusive) with zeros."""

    def cut(data: bytes) -> bytes:
        spoiled = bytearray(data)
        for _, begin, stop in video_packets(data)[start:end]:
            spoiled[begin:stop] = bytes(stop - begin)
        return bytes(spoiled)

    return cut


def spoil_structure(start: int, end: int) -> Surgery:
    """Overwrites all from packet ``start`` up to packet ``end``, what the container says about them included."""

    def cut(data: bytes) -> bytes:
        packets = video_packets(data)
        return _wiped(data, packets[start][0], packets[end][0])

    return cut


def spoil_pictures(start: int, end: int) -> Surgery:
    """The same for MPEG-2, by the codec's own start codes."""

    def cut(data: bytes) -> bytes:
        pictures = [match.start() for match in re.finditer(rb"\x00\x00\x01\x00", data)]
        return _wiped(data, pictures[start], pictures[end])

    return cut


def _wiped(data: bytes, begin: int, stop: int) -> bytes:
    return data[:begin] + bytes(stop - begin) + data[stop:]


def set_number(tag: bytes, offset: int, value: bytes) -> Surgery:
    """Replaces bytes at an offset from the first place where ``tag`` stands."""

    def cut(data: bytes) -> bytes:
        place = data.index(tag) + offset
        return data[:place] + value + data[place + len(value) :]

    return cut


def edited(milliseconds: int, start: int) -> Surgery:
    """An MP4 of which an edit list shows so much, from ``start`` in units of its track on; nothing is taken out."""
    return set_number(b"elst", 12, struct.pack(">Ii", milliseconds, start))


def picture(kind: str) -> Recipe:
    """A picture with whatever name."""
    return lambda _maker, path: Image.new("RGB", (64, 64), "red").save(path, kind)


def animated_webp(maker: ClipMaker, path: Path) -> None:
    """36 frames of 100 ms; ffmpeg's encoder for it is not built everywhere, Pillow's is."""
    movie = [Image.fromarray(painted(number)) for number in range(36)]
    movie[0].save(path, "WEBP", save_all=True, append_images=movie[1:], duration=100, quality=80, method=0)


def cover_art(maker: ClipMaker, path: Path) -> None:
    """A song with a picture."""
    cover = path.with_name("cover.jpg")
    Image.new("RGB", (64, 64), "red").save(cover)
    streams = ("-map", "0:a", "-map", "1:v", "-c:a", "aac", "-c:v", "mjpeg", "-disposition:v:0", "attached_pic")
    maker.run("-f", "lavfi", "-i", "sine=duration=1", "-i", cover, *streams, path)


def cover_art_mp3(maker: ClipMaker, path: Path) -> None:
    """The same as MP3."""
    cover = path.with_name("cover.jpg")
    Image.new("RGB", (64, 64), "red").save(cover)
    streams = ("-map", "0:a", "-map", "1:v", "-c:v", "copy", "-id3v2_version", "3")
    maker.run("-f", "lavfi", "-i", "sine=duration=1", "-i", cover, *streams, path)


def audio_only(maker: ClipMaker, path: Path) -> None:
    """A tone."""
    maker.run("-f", "lavfi", "-i", "sine=duration=1", "-c:a", "aac", path)


def resolution_change(maker: ClipMaker, path: Path) -> None:
    """A transport stream whose picture doubles in size after 3.6 s (the muxer counts from 0.2 s before)."""
    small = maker("whole.ts", frames=36)
    large = path.with_name("large.ts")
    maker.run("-i", small, "-vf", "scale=384:128:flags=neighbor", *H264, "-output_ts_offset", "3.8", large)
    path.write_bytes(small.read_bytes() + large.read_bytes())


def playlist(text: str) -> Recipe:
    """A text that makes FFmpeg open another file."""

    def make(maker: ClipMaker, path: Path) -> None:
        path.write_text(text.format(maker("whole.ts", frames=36)))

    return make


def joined(*clocks: Recipe) -> Recipe:
    """Recordings written one after the other into one file."""

    def make(maker: ClipMaker, path: Path) -> None:
        parts = []
        for number, recipe in enumerate(clocks):
            part = path.with_name(f"part_{number}_{path.name}")
            recipe(maker, part)
            parts.append(part.read_bytes())
        path.write_bytes(b"".join(parts))

    return make


def matrix(a: int, b: int, c: int, d: int, made: Recipe) -> Recipe:
    """An MP4 whose display matrix takes (x, y) to (a x + c y, b x + d y)."""
    numbers = struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    return surgery(set_number(b"tkhd", 44, numbers), made)


def several(*streams: Sequence[str], dispositions: Sequence[str] = ()) -> Recipe:
    """One file with a video stream for each of the filters with their options; the painted frames are in the input."""

    def make(maker: ClipMaker, path: Path) -> None:
        whole = maker("several.mkv", frames=36, options=("-c:v", "ffv1"))
        graphs, maps, marks = [], [], []
        for number, (filters, *options) in enumerate(streams):
            graphs.append(f"[0:v]{filters}[v{number}]")
            maps += ["-map", f"[v{number}]", *(option.format(number) for option in options)]
        for number, mark in enumerate(dispositions):
            marks += [f"-disposition:v:{number}", mark]
        maker.run("-i", whole, "-filter_complex", ";".join(graphs), *maps, "-pix_fmt", "yuv420p", *marks, path)

    return make


def image_named(kind: str, **options: object) -> Recipe:
    """A picture of any kind."""
    return lambda _maker, path: Image.fromarray(painted(5)).save(path, kind, **options)


def starting_at(seconds: float, *options: str, coded: Sequence[str] = (), frames: int = 36, rate: float = 10) -> Recipe:
    """A recording whose clock says ``seconds`` at its start."""
    return clip(*(coded or H264), *options, "-output_ts_offset", str(seconds), frames=frames, rate=rate)


def scrambled(first: float, last: float, chance: int = 0) -> Surgery:
    """Encrypts the video of a transport stream from one share of its packets to another."""

    def cut(data: bytes) -> bytes:
        random, changed, count = np.random.default_rng(chance), bytearray(data), len(data) // 188
        for place in range(int(first * count) * 188, int(last * count) * 188, 188):
            start = place + 4 + (1 + data[place + 4] if data[place + 3] & 0x20 else 0)
            if data[place + 1 : place + 3] in (b"\x01\x00", b"\x41\x00") and start < place + 188:
                changed[start : place + 188] = random.bytes(place + 188 - start)
                changed[place + 3] |= 0x80
        return bytes(changed)

    return cut


def css(data: bytes) -> bytes:
    """Encrypts every other sector of video of a DVD, but for its first 128 bytes."""
    random, changed = np.random.default_rng(0), bytearray(data)
    for place in range(0, len(data), 4096):
        if data[place + 14 : place + 18] == b"\0\0\1\xe0":
            changed[place + 20] |= 0x10
            changed[place + 128 : place + 2048] = random.bytes(1920)
    return bytes(changed)


def without_packets(first: int, last: int) -> Surgery:
    """Takes frames out of a transport stream, so that all other packets of 188 bytes are in their places."""

    def cut(data: bytes) -> bytes:
        packets = video_packets(data)
        return data[: packets[first][0] + 188] + data[packets[last][0] + 188 :]

    return cut


def animated_avif(_maker: ClipMaker, path: Path) -> None:
    """36 frames of 100 ms."""
    movie = [Image.fromarray(painted(number)) for number in range(36)]
    movie[0].save(path, "AVIF", save_all=True, append_images=movie[1:], duration=100, quality=90, subsampling="4:4:4")


def subtitles(maker: ClipMaker, path: Path) -> None:
    """Words alone."""
    words = path.with_name("words.srt")
    words.write_text("1\n00:00:00,000 --> 00:00:03,000\nHello\n")
    maker.run("-i", words, "-c:s", "srt", path)


MJPEG = ("-c:v:{}", "mjpeg", "-q:v:{}", "2")
CENC = ("-encryption_scheme", "cenc-aes-ctr", "-encryption_key", "01" * 16, "-encryption_kid", "02" * 16)
EACH_H264 = ("-c:v:{}", "libx264", "-bf:v:{}", "0", "-preset:v:{}", "veryfast")


def in_colours(transfer: str) -> tuple[str, ...]:
    """Marks of high dynamic range."""
    return "-color_trc", transfer, "-color_primaries", "bt2020", "-colorspace", "bt2020nc"


X264 = ("-c:v", "libx264", "-pix_fmt", "yuv420p")
NO_B = ("-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-bf", "0", "-g", "250", "-sc_threshold", "0")
X265 = ("-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-x265-params")
VPX = ("-b:v", "1M", "-deadline", "realtime", "-cpu-used", "8")
HEVC_GROUPS = "log-level=none:keyint=20:open-gop=0:bframes=0:scenecut=0"
MPEG2 = ("-c:v", "mpeg2video", "-q:v", "2", "-bf", "2")
MPEG4 = ("-c:v", "mpeg4", "-q:v", "2", "-bf", "2")
FASTSTART = (*H264, "-movflags", "faststart")
FRAGMENTED = (*H264, "-movflags", "frag_keyframe+empty_moov")
INVALID = r"it cannot be opened as a video \(invalid data found when processing input\)"
VARIABLE = ("-vf", "setpts='if(lt(N,10),N*0.1,1+(N-10)*0.4)/TB'", "-fps_mode", "vfr", *H264)
"""10 frames a second during the first second, then one every 0.4 s: 0.0 … 0.9, 1.0, 1.4, 1.8, 2.2, 2.6, 3.0."""
OTHER_NUMBERS = ("-mpegts_start_pid", "0x300", "-mpegts_pmt_start_pid", "0x1100", "-mpegts_service_id", "9")
WASTE = ("-b:v", "4M", "-minrate", "4M", "-maxrate", "4M", "-bufsize", "1M", "-x264-params", "nal-hrd=cbr")
"""Makes a clip so large that FFmpeg does not look at its end when it opens it."""
BY_25 = (0, 25, 50, 75)
SOUND = ("-f", "lavfi", "-i", "sine=duration=3.6")
SOUND_FIRST = ("-map", "0:a", "-map", "1:v", "-c:a", "aac")


def scaled(width: int, height: int) -> tuple[str, str]:
    """The painted frames in another size, with sharp edges."""
    return "-vf", f"scale={width}:{height}:flags=neighbor"


def row(name: str, made: Recipe, **expected: object) -> Torture:
    """A row of the table."""
    return Torture(name=name, made=made, **expected)  # type: ignore[arg-type]


def groups(*options: str) -> Recipe:
    """96 frames without B-frames, decoding can start at every twentieth."""
    return clip(*NO_B, "-g", "20", *options, frames=96)


def partial(name: str, made: Recipe, says: str, **expected: object) -> Torture:
    """A row of a file that has lost something."""
    return row(name, made, verdict="partial", says=says, **expected)


def failed(name: str, made: Recipe, says: str) -> Torture:
    """A row of a file that is refused."""
    return Torture(name=name, made=made, verdict="failed", says=says, frames=(), times=())


def twice(times: str) -> dict[str, object]:
    """What 36 frames and 36 more give, after a clock that restarted so often."""
    return {**TWICE, "says": f"its clock restarts {times}: the parts follow one another"}


HOUR = np.rint(np.linspace(0, 1799, 60)).astype(int).tolist()
SECONDS_OF_30 = tuple(range(30))
EVERY_TENTH = tuple(range(0, 300, 10))
CUT = "truncated: it ends before its container says that it does"
ONE = "1 damaged packet"
GROUP = "8 of 10 frames could be decoded; 20 damaged packets"
FIVE = {"frames": (0, 10, 20, 30, 40), "times": range(5)}
WITHOUT_GROUP = {"frames": (0, 10, 40, 50, 60, 70, 80, 90), "times": (0, 1, 4, 5, 6, 7, 8, 9)}
TWICE = {"frames": (0, 10, 20, 30, 4, 14, 24, 34), "times": range(8)}
X265_PLAIN = (*X265, "log-level=none")
PAUSE = ("-vf", "select='not(between(n,15,45))'", "-fps_mode", "vfr")
"""Nothing changes between 1.5 s and 4.6 s, as in a recording of a screen."""
AFTER_PAUSE = {"frames": (0, 10, 46, 50, 60), "times": (0, 1, 4.6, 5, 6)}
CROPPED = "h264_metadata=crop_right=32:crop_bottom=32"
SCRAMBLED_LATER = (0, 10, 20, 30, 40)
LATER_BY_25 = {"frames": (0, 25, 50, 75, 80, 8, 33, 58), "times": (0, 1, 2, 3, 5.66, 6.02, 7.02, 8.02)}
"""FFmpeg gives the last frame of the first part the time of the second."""
LONG = {"frames": EVERY_TENTH, "times": SECONDS_OF_30}

TORTURE: tuple[Torture, ...] = (
    # Codecs and containers
    row("h264.mp4", clip(*H264), decoder="pyav"),
    row("h264_no_b_frames.mp4", clip(*NO_B), decoder="decord"),
    row("h264_no_b_frames.mkv", clip(*NO_B), decoder="decord"),
    row("h264.mov", clip(*H264)),
    row("h264.mkv", clip(*H264)),
    row("h264.flv", clip(*H264)),
    row("h264.ts", clip(*H264)),
    row("h264.avi", clip(*H264)),
    row("h264_raw.h264", clip(*H264, rate=25, frames=81), frames=BY_25, says="without time stamps: .* 25 a second"),
    row("h264_faststart.mp4", clip(*FASTSTART)),
    row("h264_fragmented.mp4", clip(*FRAGMENTED)),
    row("hevc.mp4", clip(*X265, "log-level=none")),
    row("hevc.mkv", clip(*X265, "log-level=none:bframes=4")),
    row("vp8.webm", clip("-c:v", "libvpx", *VPX), decoder="decord"),
    row("vp8_hidden_frames.webm", clip("-c:v", "libvpx", "-b:v", "1M", "-auto-alt-ref", "1", "-lag-in-frames", "16")),
    row("vp9.webm", clip("-c:v", "libvpx-vp9", *VPX), decoder="decord"),
    row("av1.mp4", clip("-c:v", "libsvtav1", "-preset", "12")),
    row("av1.webm", clip("-c:v", "libsvtav1", "-preset", "12")),
    row("mpeg2.mpg", clip(*MPEG2, rate=25, frames=81), frames=BY_25),
    row("mpeg2.ts", clip(*MPEG2, rate=25, frames=81), frames=BY_25),
    row("mpeg4.mp4", clip(*MPEG4)),
    row("mpeg4.avi", clip(*MPEG4)),
    row("mjpeg.avi", clip("-c:v", "mjpeg", "-q:v", "2")),
    row("mjpeg.mov", clip("-c:v", "mjpeg", "-q:v", "2")),
    row("prores.mov", clip("-c:v", "prores_ks")),
    row("wmv2.wmv", clip("-c:v", "wmv2", "-q:v", "2")),
    row("flv1.flv", clip("-c:v", "flv", "-q:v", "2")),
    row("theora.ogv", clip("-c:v", "libtheora", "-q:v", "10")),
    row("ffv1.mkv", clip("-c:v", "ffv1")),
    row("palette.gif", clip("-c:v", "gif")),
    row("pictures.apng", clip("-c:v", "apng", "-f", "apng")),
    row("animated.webp", animated_webp, decoder="pillow"),
    # Pixels
    row("ten_bit.mp4", clip(*X264[:2], "-pix_fmt", "yuv420p10le")),
    row("full_chroma.mp4", clip(*X264[:2], "-pix_fmt", "yuv444p")),
    row("interlaced.mp4", clip(*X264, "-flags", "+ilme+ildct", "-bf", "2")),
    row("interlaced.mpg", clip(*MPEG2, "-flags", "+ilme+ildct", rate=25, frames=81), frames=BY_25),
    row("odd_size.mp4", clip(*scaled(191, 63), *X264[:2], "-pix_fmt", "yuv444p")),
    row("narrow.mp4", clip(*scaled(50, 64), *NO_B)),
    row("turned_90.mp4", from_clip("-c", "copy", "-metadata:s:v:0", "rotate=90"), turned=270),
    row("turned_180.mp4", from_clip("-c", "copy", "-metadata:s:v:0", "rotate=180"), turned=180),
    row("turned_270.mp4", from_clip("-c", "copy", "-metadata:s:v:0", "rotate=270"), turned=90),
    row(
        "turned_90_no_b_frames.mov",
        from_clip("-c", "copy", "-metadata:s:v:0", "rotate=90", suffix="_nb.mp4", coded=NO_B),
        turned=270,
    ),
    row("mirrored.mp4", matrix(-1, 0, 0, 1, clip(*H264)), turned="hflip"),
    row("upside_down_mirror.mp4", matrix(1, 0, 0, -1, clip(*H264)), turned="vflip"),
    row("half_turn.mp4", matrix(-1, 0, 0, -1, clip(*H264)), turned=180),
    row("transposed.mp4", matrix(0, 1, 1, 0, clip(*H264)), turned="transpose"),
    row("anti_transposed.mp4", matrix(0, -1, -1, 0, clip(*H264)), turned="transverse"),
    row("quarter_turn.mp4", matrix(0, 1, -1, 0, clip(*H264)), turned=90),
    row("three_quarter_turn.mp4", matrix(0, -1, 1, 0, clip(*H264)), turned=270),
    row("mirrored_no_b_frames.mp4", matrix(-1, 0, 0, 1, clip(*NO_B)), turned="hflip", decoder="pyav"),
    row("anti_transposed_no_b_frames.mp4", matrix(0, -1, -1, 0, clip(*NO_B)), turned="transverse", decoder="pyav"),
    row("quarter_turn_no_b_frames.mp4", matrix(0, 1, -1, 0, clip(*NO_B)), turned=90, decoder="decord"),
    row("anamorphic.mp4", clip("-vf", "setsar=16/11", *NO_B), shape=(279, 64), decoder="pyav"),
    row("anamorphic_tall.mp4", clip("-vf", "setsar=1/2", *NO_B), shape=(192, 128)),
    row("anamorphic.mkv", clip("-vf", "setsar=2", *H264), shape=(384, 64)),
    row(
        "anamorphic_dvd.vob",
        clip("-vf", "scale=720:576:flags=neighbor,setsar=64/45", *MPEG2, "-f", "dvd", rate=25, frames=81),
        frames=BY_25,
        shape=(1024, 576),
    ),
    row("anamorphic_turned.mp4", matrix(0, 1, -1, 0, clip("-vf", "setsar=2", *H264)), turned=90, shape=(64, 384)),
    row("a_pixel_a_million_wide.mp4", clip("-vf", "setsar=1000000", *H264), shape=(192, 64)),
    row("translucent.mov", clip("-c:v", "prores_ks", "-profile:v", "4444", "-pix_fmt", "yuva444p10le")),
    row("translucent.webm", clip("-c:v", "libvpx-vp9", *VPX, "-pix_fmt", "yuva420p", "-auto-alt-ref", "0")),
    row("pq.mp4", clip(*X265, "log-level=none", "-pix_fmt", "yuv420p10le", *in_colours("smpte2084"))),
    row("hlg.mkv", clip(*X265, "log-level=none", "-pix_fmt", "yuv420p10le", *in_colours("arib-std-b67"))),
    # Several video streams
    row("thumbnail_first.mkv", several(("select='eq(n,5)',setpts=0", "-c:v:{}", "mjpeg"), ("null", "-c:v:{}", "ffv1"))),
    row("thumbnail_first.mp4", several(("select='eq(n,5)',setpts=0,scale=640:-1", *MJPEG), ("null", *EACH_H264))),
    row(
        "proxy_first.mkv",
        several(("negate,scale=96:32", *EACH_H264), ("null", *EACH_H264), dispositions=("0", "default")),
    ),
    row(
        "proxy_first.mp4",
        several(("negate,scale=96:32", *EACH_H264), ("null", *EACH_H264), dispositions=("0", "default")),
    ),
    row(
        "no_default.mkv",
        several(("negate,scale=96:32", *EACH_H264), ("null", *EACH_H264), dispositions=("0", "0")),
    ),
    row(
        "larger_but_not_default.mkv",
        several(("null", *EACH_H264), ("negate,scale=384:128", *EACH_H264), dispositions=("default", "0")),
    ),
    row(
        "short_and_large.mkv",
        several(("null", *EACH_H264), ("negate,select='lt(n,3)',scale=384:128", *EACH_H264), dispositions=("0", "0")),
    ),
    row("two_streams.ts", several(("negate,scale=96:32", *EACH_H264), ("null", *EACH_H264))),
    row("resolution_change.ts", resolution_change, frames=(0, 10, 20, 30, 4, 14, 24, 34), times=range(8)),
    row(
        "4k.mp4",
        clip(*scaled(3840, 2160), *NO_B, "-preset", "ultrafast", frames=11, rate=5),
        frames=(0, 5, 10),
        times=(0, 1, 2),
        decoder="pyav",
    ),
    # Time
    row("variable_rate.mp4", clip(*VARIABLE, frames=16), frames=(0, 10, 13, 15), times=(0, 1, 2.2, 3)),
    row("variable_rate.mkv", clip(*VARIABLE, frames=16), frames=(0, 10, 13, 15), times=(0, 1, 2.2, 3)),
    row("trimmed_at_its_end.mp4", surgery(edited(2000, 2048), clip(*H264, frames=96)), frames=(0, 10), times=(0, 1)),
    row(
        "trimmed_at_both_ends.mp4",
        surgery(edited(1500, 12 * 1024), clip(*H264, frames=96)),
        frames=(10, 20),
        times=(0, 1),
    ),
    partial(
        "trimmed_and_cut.mp4",
        surgery(
            lambda data: end_within(41)(edited(6000, 2048)(data)), clip(*H264, "-movflags", "faststart", frames=96)
        ),
        "truncated: it holds 41 of the 81 frames it promises",
        frames=(0, 10, 20, 30, 40),
        times=range(5),
    ),
    row("edit_list.mp4", from_clip("-c", "copy", before=("-ss", "0.75")), frames=(8, 18, 28), times=(0, 1, 2)),
    row("offset_start.mkv", clip(*H264, "-output_ts_offset", "7.35")),
    row("offset_start.ts", clip(*H264, "-output_ts_offset", "7.35")),
    row("audio_first.mp4", clip(*SOUND_FIRST, *H264, inputs=SOUND)),
    row("a_tenth_of_a_second.mp4", clip(*H264, frames=1), frames=(0,), times=(0,)),
    row("under_one_second.mp4", clip(*H264, frames=9), frames=(0,), times=(0,)),
    row("one_hour.mp4", clip(*H264, frames=1800, rate=0.5), frames=HOUR, times=[2 * n for n in HOUR]),
    row("http:%03d 你好.mp4", clip(*H264)),
    # Clocks that start anew
    row("joined.ts", joined(starting_at(0), starting_at(0)), **twice("1 time")),
    row("joined_clock_on.ts", joined(starting_at(0), starting_at(1000)), **twice("1 time")),
    row("joined_clock_back.ts", joined(starting_at(1000), starting_at(0)), **twice("1 time")),
    row("joined_half_a_second_back.ts", joined(starting_at(0.5), starting_at(3.5)), **twice("1 time")),
    row("joined_hevc.ts", joined(*[clip(*X265, "log-level=none:bframes=3")] * 2), **twice("1 time")),
    row(
        "joined_without_b_frames.ts", joined(starting_at(9, coded=NO_B), starting_at(4, coded=NO_B)), **twice("1 time")
    ),
    row(
        "joined_mpeg2.mpg",
        joined(*[clip(*MPEG2, rate=25, frames=100)] * 2),
        frames=BY_25 * 2,
        times=range(8),
        says="its clock restarts 1 time: .*",
    ),
    row("joined.flv", joined(clip(*H264), surgery(lambda data: data[13:], clip(*H264), ".flv")), **twice("1 time")),
    row(
        "advertisement.ts",
        joined(starting_at(0), starting_at(5000, frames=40), starting_at(3.6)),
        frames=(0, 10, 20, 30, 4, 14, 24, 34, 4, 14, 24, 34),
        times=range(12),
        says="its clock restarts 2 times: .*",
    ),
    row(
        "advertisement_of_another_maker.ts",
        joined(starting_at(0), starting_at(5000, *OTHER_NUMBERS, frames=40), starting_at(3.6)),
        frames=(0, 10, 20, 30, 4, 14, 24, 34, 4, 14, 24, 34),
        times=range(12),
        says="its clock restarts 2 times: .*",
    ),
    row(
        "advertisement_late.ts",
        joined(starting_at(0, *WASTE, frames=400), starting_at(5000, *OTHER_NUMBERS)),
        frames=(*range(0, 400, 10), 0, 10, 20, 30),
        times=range(44),
        says="its clock restarts 1 time: .*",
    ),
    row(
        "advertisement_with_sound_first.ts",
        joined(starting_at(0), clip("-map", "0:a", "-map", "1:v", "-c:a", "mp2", *H264, inputs=SOUND), starting_at(0)),
        frames=(0, 10, 20, 30, 4, 14, 24, 34, 8, 18, 28),
        times=range(11),
        says="its clock restarts 2 times: .*",
    ),
    row(
        "joined.m2ts",
        joined(*[clip(*H264, "-f", "mpegts", "-mpegts_m2ts_mode", "1", *numbers) for numbers in ((), OTHER_NUMBERS)]),
        **twice("1 time"),
    ),
    row("clock_wraps.ts", starting_at(95442)),
    row("clock_wraps_twice_told.ts", joined(starting_at(95442), starting_at(95442)), **twice("1 time")),
    row("a_frame_in_twenty_seconds.ts", clip(*NO_B, frames=6, rate=0.05), frames=range(6), times=range(0, 120, 20)),
    # Key frames at which decoding cannot start afresh
    row("hevc_open_groups.mp4", clip(*X265, "log-level=none:keyint=25:bframes=4:open-gop=1", frames=300), **LONG),
    row("h264_open_groups.mp4", clip(*X264, "-g", "25", "-bf", "3", "-x264-params", "open-gop=1", frames=300), **LONG),
    row("gradual_refresh.mp4", clip(*X264, "-g", "40", "-x264-params", "intra-refresh=1", frames=300), **LONG),
    row("mpeg4_groups.mp4", clip(*MPEG4, "-g", "30", frames=300), **LONG),
    row(
        "h264_b_pyramid.mkv",
        clip(*X264, "-g", "50", "-bf", "4", "-x264-params", "b-pyramid=strict", frames=300),
        **LONG,
    ),
    # Stated lengths that are wrong, with all frames there
    row("duration_too_long.mp4", surgery(set_number(b"mdhd", 20, b"\x7f\0\0\0"), clip(*H264))),
    row("duration_too_long.mkv", surgery(set_number(b"\x44\x89\x88", 3, b"\x41\x10\0\0\0\0\0\0"), clip(*H264), ".mkv")),
    row(
        "length_too_long.avi",
        surgery(set_number(b"strh", 40, b"\xff\xff\0\0"), clip("-c:v", "mjpeg", "-q:v", "2"), ".avi"),
    ),
    # Truncated
    row("index_too_long.mp4", surgery(set_number(b"stsz", 12, b"\0\0\0\x30"), clip(*H264))),
    partial(
        "cut_faststart.mp4",
        surgery(end_within(50), groups("-movflags", "faststart")),
        f"5 of 6 frames could be decoded; truncated: it holds 50 of the 96 frames it promises; {ONE}",
        **FIVE,
    ),
    partial(
        "cut_fragmented.mp4",
        surgery(end_within(50), groups("-movflags", "frag_keyframe+empty_moov")),
        f"5 of 6 frames could be decoded; {CUT}; {ONE}",
        **FIVE,
    ),
    partial("cut.mkv", surgery(end_within(50), groups(), ".mkv"), CUT, **FIVE),
    partial("cut.webm", surgery(end_within(50), clip("-c:v", "libvpx-vp9", *VPX, frames=100), ".webm"), CUT, **FIVE),
    partial(
        "cut.avi",
        surgery(end_within(50), clip("-c:v", "mpeg4", "-q:v", "2", frames=100), ".avi"),
        f"{CUT}; {ONE}; 1 frame perhaps smeared by the damage",
        frames=(0, 10, 20, 30, 40, SMEARED),
        times=range(6),
    ),
    partial(
        "cut.webp",
        surgery(lambda data: data[: len(data) * 6 // 10], animated_webp, ".webp"),
        CUT,
        frames=(0, 10, 20),
        times=(0, 1, 2),
    ),
    # Damaged: frames 20 to 39 are one group of pictures
    partial("damaged_group.mp4", surgery(spoil(20, 40), groups()), GROUP, **WITHOUT_GROUP),
    partial("damaged_group.mkv", surgery(spoil(20, 40), groups(), ".mkv"), GROUP, **WITHOUT_GROUP),
    partial(
        "damaged_vp9.webm",
        surgery(spoil(20, 40), clip("-c:v", "libvpx-vp9", *VPX, "-g", "20", frames=96), ".webm"),
        GROUP,
        **WITHOUT_GROUP,
    ),
    partial("damaged_hevc.mp4", surgery(spoil(20, 40), clip(*X265, HEVC_GROUPS, frames=96)), GROUP, **WITHOUT_GROUP),
    partial(
        "damaged_reference.mp4",
        surgery(spoil(25, 26), groups()),
        f"{ONE}; 1 frame perhaps smeared by the damage",
        frames=(0, 10, 20, SMEARED, 40, 50, 60, 70, 80, 90),
        times=range(10),
    ),
    partial(
        "damaged_structure.mkv",
        surgery(spoil_structure(20, 40), groups(), ".mkv"),
        "frames are missing between 1.9 s and 5.1 s",
        frames=(0, 10, SMEARED, 60, 70, 80, 90),
        times=(0, 1, 5.1, 6, 7, 8, 9),
    ),
    partial(
        "damaged_structure.ts",
        surgery(spoil_structure(20, 40), groups(), ".ts"),
        "frames are missing between 1.9 s and 4.0 s",
        **WITHOUT_GROUP,
    ),
    partial(
        "damaged_structure.mpg",
        surgery(spoil_pictures(52, 84), clip(*MPEG2, rate=25, frames=156), ".mpg"),
        "frames are missing between 2.0 s and 3.8 s; 3 frames perhaps smeared by the damage",
        frames=(0, 25, SMEARED, SMEARED, SMEARED, 127, 150),
        times=(0, 1, 2, 3.76, 4, 5, 6),
    ),
    row("damage_that_no_frame_needs.mp4", surgery(spoil(92, 95), groups()), frames=range(0, 100, 10), times=range(10)),
    partial(
        "packets_taken_out.ts",
        surgery(without_packets(24, 47), groups(), ".ts"),
        f"frames are missing between 2.4 s and 4.8 s; {ONE}; 2 frames perhaps smeared by the damage",
        frames=(0, 10, 20, SMEARED, SMEARED, 60, 70, 80, 90),
        times=(0, 1, 2, 4.8, 5, 6, 7, 8, 9),
    ),
    row(
        "parts_counted_one_by_one.ts",
        joined(*[starting_at(start, coded=MPEG2, frames=75, rate=25) for start in (0, 3)]),
        frames=(0, 25, 50, 1, 26, 51),
        times=range(6),
    ),
    row(
        "sound_under_the_number_of_the_video.ts",
        joined(starting_at(0), clip("-map", "0:a", "-c:a", "mp2", inputs=SOUND), starting_at(7.2)),
        frames=(0, 10, 20, 30, 0, 10, 20, 30),
        times=(0, 1, 2, 3, 7, 8, 9, 10),
        says="its clock leaps ahead 1 time: a part begins later, and nothing is missing",
    ),
    # Parts that cannot be read
    partial(
        "other_codec_later.ts",
        joined(starting_at(0), starting_at(3.6, *OTHER_NUMBERS, coded=X265_PLAIN)),
        r"50% of its video is in another codec \(HEVC, the rest H.264\) and left out",
    ),
    partial(
        "other_codec_later_under_the_same_number.ts",
        joined(starting_at(0), starting_at(3.6, coded=X265_PLAIN)),
        r"50% of its video is in another codec \(HEVC, the rest H.264\) and left out",
    ),
    partial(
        "other_codec_first.ts",
        joined(starting_at(0, coded=MPEG2, frames=50, rate=25), starting_at(2, frames=96)),
        r"34% of its video is in another codec \(MPEG-2, the rest H.264\) and left out",
        frames=range(0, 96, 10),
        times=range(10),
    ),
    partial(
        "other_codec_between.ts",
        joined(starting_at(0), starting_at(3.6, *OTHER_NUMBERS, coded=X265_PLAIN), starting_at(7.2)),
        r"33% of its video is in another codec \(HEVC, the rest H.264\) and left out",
        frames=(0, 10, 20, 30, 0, 10, 20, 30),
        times=(0, 1, 2, 3, 7, 8, 9, 10),
    ),
    partial(
        "scrambled_later.ts",
        surgery(scrambled(0.5, 1), groups(), ".ts"),
        r"\d+% of its video is encrypted \(scrambled, as of pay TV\)(; .*)?",
        frames=SCRAMBLED_LATER,
        times=range(len(SCRAMBLED_LATER)),
    ),
    failed(
        "scrambled.ts",
        surgery(scrambled(0, 1), clip(*H264), ".ts"),
        r"it is encrypted \(scrambled, as of pay TV\) and cannot be read without its key",
    ),
    failed(
        "sample_aes.ts",
        surgery(lambda data: data.replace(b"\x1b\xe1\x00\xf0", b"\xdb\xe1\x00\xf0"), clip(*H264), ".ts"),
        r"it is encrypted \(scrambled, as of pay TV\) and cannot be read without its key",
    ),
    failed(
        "css.vob",
        surgery(css, clip("-vf", "scale=720:576", *MPEG2, "-f", "dvd", rate=25, frames=81), ".vob"),
        r"it is encrypted \(CSS, as of a DVD\) and cannot be read without its key",
    ),
    # Gaps that are meant
    row(
        "second_part_later.ts",
        joined(starting_at(0, coded=NO_B), starting_at(6.6, coded=NO_B)),
        frames=(0, 10, 20, 30, 0, 4, 14, 24, 34),
        times=(0, 1, 2, 3, 6.6, 7, 8, 9, 10),
        says="its clock leaps ahead 1 time: a part begins later, and nothing is missing",
    ),
    row(
        "second_part_later.mpg",
        joined(*[starting_at(start, coded=MPEG2[:4], frames=81, rate=25) for start in (0, 6.24)]),
        **LATER_BY_25,
        says="its clock leaps ahead 1 time: a part begins later, and nothing is missing",
    ),
    row("pause.ts", clip(*PAUSE, *H264, frames=66), **AFTER_PAUSE),
    row("pause.mp4", clip(*PAUSE, *H264, frames=66), **AFTER_PAUSE),
    row("pause.mkv", clip(*PAUSE, *H264, frames=66), **AFTER_PAUSE),
    # Odd pixels and odd containers
    row("lossless_rgb.mkv", clip("-c:v", "libx264rgb", "-qp", "0", "-pix_fmt", "rgb24")),
    row("full_range.mp4", clip("-c:v", "libx264", "-pix_fmt", "yuvj420p")),
    row("grey.mp4", clip("-c:v", "libx264", "-pix_fmt", "gray")),
    row("grey_of_16_bits.mkv", clip("-c:v", "ffv1", "-pix_fmt", "gray16le")),
    row("grey_with_alpha.mkv", clip("-c:v", "ffv1", "-pix_fmt", "ya8")),
    row("rgba_of_16_bits.mkv", clip("-c:v", "ffv1", "-pix_fmt", "gbrap16le")),
    row("chroma_411.mkv", clip("-c:v", "ffv1", "-pix_fmt", "yuv411p")),
    row("chroma_410.mkv", clip("-c:v", "ffv1", "-pix_fmt", "yuv410p")),
    row("chroma_440.mp4", clip("-c:v", "libx264", "-pix_fmt", "yuv440p")),
    row("raw.avi", clip("-c:v", "rawvideo", "-pix_fmt", "bgr24")),
    row("palette.avi", clip("-c:v", "rawvideo", "-pix_fmt", "pal8")),
    row("huffyuv.avi", clip("-c:v", "huffyuv")),
    row("utvideo.avi", clip("-c:v", "utvideo")),
    row("zmbv.avi", clip("-c:v", "zmbv", "-pix_fmt", "bgr0")),
    row("cinepak.avi", clip("-c:v", "cinepak", "-q:v", "2")),
    row("qtrle.mov", clip("-c:v", "qtrle", "-pix_fmt", "rgb24")),
    row("v210.mov", clip("-c:v", "v210")),
    row("cineform.mov", clip("-c:v", "cfhd")),
    row("timecode.mov", clip(*H264, "-timecode", "01:00:00:00")),
    row("smooth_streaming.mp4", clip(*H264, "-f", "ismv")),
    row("a_fragment_a_frame.mp4", clip(*H264, "-movflags", "frag_every_frame+empty_moov+default_base_moof")),
    row("cropped.mp4", clip("-vf", "pad=224:96", *H264, "-bsf:v", CROPPED), shape=(192, 64)),
    row("long_strip.mp4", clip(*scaled(8000, 64), *H264), shape=(8000, 64)),
    row("tall_strip.mp4", clip(*scaled(64, 4000), *H264), shape=(64, 4000)),
    row("one_frame.mp4", clip(*H264, frames=1), frames=(0,), times=(0,)),
    row("negative_start.mkv", clip(*H264, "-output_ts_offset", "-1.5")),
    row("translucent_vp8.webm", clip("-c:v", "libvpx", *VPX, "-pix_fmt", "yuva420p", "-auto-alt-ref", "0")),
    row("animated.avif", animated_avif, decoder="pillow"),
    failed("subtitles.mkv", subtitles, r"it holds no video stream \(found: subtitle\)"),
    failed(
        "jpeg_xl.mp4",
        content(b"\xff\x0a" + bytes(3000)),
        "it is a JPEG XL picture, not a video, whatever its name says",
    ),
    # Suffixes beside the usual ones
    row("h264.mts", clip(*H264, "-f", "mpegts")),
    row("h264.m2ts", clip(*H264, "-f", "mpegts", "-mpegts_m2ts_mode", "1")),
    row("mpeg2.vob", clip(*MPEG2, "-f", "vob", rate=25, frames=81), frames=BY_25),
    row("mpeg2.mxf", clip(*MPEG2, rate=25, frames=81), frames=BY_25),
    row("mpeg2.m2v", clip(*MPEG2, rate=25, frames=81), frames=BY_25),
    row("wmv2.asf", clip("-c:v", "wmv2", "-q:v", "2")),
    row("h264.f4v", clip(*H264, "-f", "f4v")),
    row("h264.3gp", clip(*H264)),
    row("h264.3g2", clip(*H264)),
    row("mpeg4.divx", clip(*MPEG4, "-f", "avi")),
    row("ffv1.nut", clip("-c:v", "ffv1")),
    row("frames.y4m", clip("-pix_fmt", "yuv444p")),
    row("vp8.ivf", clip("-c:v", "libvpx", *VPX)),
    # No videos
    failed("heic.mp4", image_named("HEIF"), "it is a HEIC picture, not a video, whatever its name says"),
    failed("avif.mp4", image_named("AVIF"), "it is an AVIF picture, not a video, whatever its name says"),
    failed(
        "page.mp4",
        content(b"<!DOCTYPE html>\n<html><body>404 Not Found</body></html>\n" * 30),
        r"it is a web page \(HTML\), not a video, whatever its name says",
    ),
    failed(
        "document.mp4",
        content(b"%PDF-1.7\n" + bytes(3000)),
        "it is a PDF document, not a video, whatever its name says",
    ),
    failed(
        "archive.mkv", content(b"PK\3\4" + bytes(3000)), "it is a ZIP archive or an office document, not a video, .*"
    ),
    failed(
        "encrypted.mp4",
        from_clip("-c", "copy", *CENC),
        r"it is encrypted \(DRM, .*\) and cannot be read without its key",
    ),
    failed("cut_before_its_index.mp4", surgery(end_within(20), clip(*H264)), INVALID),
    failed("zero_bytes.mp4", content(b""), r"the file is empty \(0 bytes\)"),
    failed("text.mp4", content(b"this is a text file with the name of a video\n" * 50), INVALID),
    failed("random.mp4", content(np.random.default_rng(0).bytes(20_000)), INVALID),
    failed("audio_only.mp4", audio_only, r"it holds no video stream \(found: audio\)"),
    failed("cover_art.m4a", cover_art, "it holds no video stream, only cover art"),
    failed("cover_art.mp3", cover_art_mp3, "it holds no video stream, only cover art"),
    failed("jpeg.mp4", picture("JPEG"), r"it is a single picture \(jpeg\), not a video, whatever its name says"),
    failed("png.mp4", picture("PNG"), r"it is a single picture \(png\), not a video, whatever its name says"),
    failed("webp.mp4", picture("WEBP"), r"it is a single picture \(webp\), not a video, whatever its name says"),
    failed(
        "playlist.mp4",
        playlist("#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:3.6,\n{}\n#EXT-X-ENDLIST\n"),
        r"it is a playlist \(hls\).*|" + INVALID,
    ),
    failed(
        "concat.mp4",
        playlist("ffconcat version 1.0\nfile '{}'\n"),
        r"it is a playlist \(concat\).*|it cannot be opened as a video \(.*\)",
    ),
)
"""Every file; ``LONG`` ones show a frame a second for half a minute."""
