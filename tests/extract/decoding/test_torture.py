"""Every file of the torture set gives what its row says: the verdict, the reason, the frames and their times."""

from __future__ import annotations

import contextlib
import random
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from optsg.data.errors import DecodeError
from optsg.extract.decoding import DecodedVideo, decode_video
from PIL import Image

from tests.extract.decoding.painted_clips import HEIGHT, WIDTH, ClipMaker, read_number
from tests.extract.decoding.torture_files import SMEARED, TORTURE, Torture


@pytest.fixture(scope="module")
def torture_clips(ffmpeg: str, tmp_path_factory: pytest.TempPathFactory) -> ClipMaker:
    """Makes the files in one folder."""
    return ClipMaker(program=ffmpeg, folder=tmp_path_factory.mktemp("torture"))


TURNS: dict[int | str, Callable[[Image.Image], Image.Image]] = {
    0: lambda image: image,
    90: lambda image: image.transpose(Image.Transpose.ROTATE_90),
    180: lambda image: image.transpose(Image.Transpose.ROTATE_180),
    270: lambda image: image.transpose(Image.Transpose.ROTATE_270),
    "hflip": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "vflip": lambda image: image.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
    "transpose": lambda image: image.transpose(Image.Transpose.TRANSPOSE),
    "transverse": lambda image: image.transpose(Image.Transpose.TRANSVERSE),
}


def numbers(video: DecodedVideo[Image.Image], row: Torture) -> list[int]:
    """The numbers read from the kept frames, whatever the size and the rotation of the picture."""
    found = []
    for image, expected in zip(video.images, [*row.frames, *[0] * len(video.images)], strict=False):
        assert row.shape is None or image.size == row.shape
        upright = TURNS[row.turned](image).resize((WIDTH, HEIGHT), Image.Resampling.BOX)
        found.append(SMEARED if expected == SMEARED else read_number(upright))
    return found


@pytest.mark.parametrize("row", TORTURE, ids=lambda row: row.name)
def test_torture_file(torture_clips: ClipMaker, row: Torture, capfd: pytest.CaptureFixture[str]) -> None:
    path: Path = torture_clips.folder / row.name
    row.made(torture_clips, path)
    if row.verdict == "failed":
        with pytest.raises(DecodeError) as caught:
            decode_video(path)
        assert re.fullmatch(row.says, str(caught.value).removeprefix(f"{path}: "))
    else:
        video = decode_video(path)
        assert (video.status, video.note) == (row.verdict, video.note)
        assert re.fullmatch(row.says, video.note), video.note
        assert numbers(video, row) == list(row.frames)
        assert [round(float(time), 3) for time in video.times] == list(row.times)
        assert video.backend.startswith(row.decoder)
        assert video.duration > video.times[-1]
    assert capfd.readouterr() == ("", ""), "decoders are to be silent"


def test_the_set_is_as_large_as_it_claims_to_be() -> None:
    verdicts = Counter(row.verdict for row in TORTURE)
    assert len({row.name for row in TORTURE}) == len(TORTURE) >= 195
    assert verdicts["partial"] >= 12
    assert verdicts["failed"] >= 10


@pytest.mark.parametrize("seed", range(40))
def test_a_file_with_random_damage_never_ends_in_another_error(torture_clips: ClipMaker, seed: int) -> None:
    """Whatever lies in a file, there is a result or a sentence."""
    names = ("h264.mp4", "h264.ts", "vp9.webm", "mpeg4.avi", "h264.flv", "palette.gif", "animated.webp", "mpeg2.mpg")
    chance = random.Random(seed)
    row = next(row for row in TORTURE if row.name == names[seed % len(names)])
    path = torture_clips.folder / f"random_damage_{row.name}"
    if not path.exists():
        row.made(torture_clips, path)
    data = bytearray(path.read_bytes())
    for _ in range(chance.randint(1, 30)):
        data[chance.randrange(len(data))] = chance.randrange(256)
    if chance.random() < 0.5:
        del data[chance.randrange(len(data)) :]
    with contextlib.suppress(DecodeError):
        video = decode_video(bytes(data))
        assert len(video.images) == len(video.times) >= 1
        assert video.status == "partial" or not video.note
