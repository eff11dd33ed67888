"""Every suffix by which a file is taken for a video is one whose files can be read."""

from __future__ import annotations

from pathlib import Path

import pytest
from optsg.data.inputs.media_folder import media_kind
from optsg.data.media import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from optsg.extract.decoding import decode_video

from tests.extract.decoding.painted_clips import ClipMaker

H264 = ("-c:v", "libx264", "-pix_fmt", "yuv420p")
MPEG1 = ("-c:v", "mpeg1video", "-q:v", "2")
MPEG2 = ("-c:v", "mpeg2video", "-q:v", "2")
MPEG4 = ("-c:v", "mpeg4", "-q:v", "2")
WMV = ("-c:v", "wmv2", "-f", "asf")
STREAM = (*MPEG2, "-f", "mpegts")
PROGRAM = (*MPEG2, "-f", "vob")
DV = ("-s", "720x576", "-pix_fmt", "yuv420p", "-f", "dv")
HOW = {
    **{f".{suffix}": (*H264, "-f", "mp4") for suffix in ("mp4", "m4v", "3gp", "3g2", "3gpp", "f4v")},
    **{f".{suffix}": (*H264, "-f", "mov") for suffix in ("mov", "qt")},
    **{f".{suffix}": (*H264, "-f", "matroska") for suffix in ("mkv", "mk3d")},
    **{f".{suffix}": (*MPEG4, "-f", "avi") for suffix in ("avi", "divx", "xvid")},
    **{f".{suffix}": WMV for suffix in ("wmv", "asf")},
    **{f".{suffix}": PROGRAM for suffix in ("mpg", "mpeg", "mpe", "m2p", "vob", "tod")},
    **{f".{suffix}": STREAM for suffix in ("ts", "mts", "m2ts", "m2t", "trp")},
    **{f".{suffix}": (*MPEG2, "-f", "mpeg2video") for suffix in ("m2v", "mpv")},
    **{f".{suffix}": (*H264, "-f", "h264") for suffix in ("h264", "264")},
    **{
        f".{suffix}": ("-c:v", "libx265", "-x265-params", "log-level=none", "-f", "hevc") for suffix in ("h265", "hevc")
    },
    **{f".{suffix}": ("-c:v", "libtheora", "-f", "ogg") for suffix in ("ogv", "ogm")},
    **{f".{suffix}": ("-c:v", "rv20", "-s", "352x288", "-f", "rm") for suffix in ("rm", "rmvb")},
    ".mj2": ("-c:v", "jpeg2000", "-f", "mp4"),
    ".webm": ("-c:v", "libvpx", "-f", "webm"),
    ".flv": (*H264, "-f", "flv"),
    ".m1v": (*MPEG1, "-f", "mpeg1video"),
    ".dv": DV,
    ".dif": DV,
    ".mxf": (*MPEG2, "-f", "mxf"),
    ".nut": ("-c:v", "ffv1", "-f", "nut"),
    ".y4m": ("-pix_fmt", "yuv444p", "-f", "yuv4mpegpipe"),
    ".ivf": ("-c:v", "libvpx", "-f", "ivf"),
    ".amv": ("-c:v", "amv", "-pix_fmt", "yuvj420p", "-strict", "-1", "-r", "25", "-f", "amv"),
    ".gif": ("-f", "gif"),
    ".apng": ("-f", "apng"),
}
SOUND = {".amv": ("-f", "lavfi", "-i", "sine=duration=2:sample_rate=22050")}
"""What the format asks for beside the video."""


def test_all_suffixes_are_tried() -> None:
    assert set(HOW) == VIDEO_SUFFIXES
    assert not VIDEO_SUFFIXES & IMAGE_SUFFIXES


@pytest.mark.parametrize("suffix", sorted(VIDEO_SUFFIXES))
def test_a_file_with_this_suffix_is_read(make_clip: ClipMaker, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"clip{suffix}"
    options = HOW[suffix]
    extra = ("-ac", "1", "-block_size", "882", "-c:a", "adpcm_ima_amv") if suffix in SOUND else ()
    make_clip.encode(path, frames=50, rate=25, inputs=SOUND.get(suffix, ()), options=(*extra, *options))
    assert media_kind(path.name) == media_kind(path.name.upper()) == "video"
    video = decode_video(path)
    # FFmpeg's stamps of a bare MPEG-1 stream leave out the second one.
    assert (video.status, len(video.images)) == ("ok", 3 if suffix == ".m1v" else 2)
