"""Videos through PyAV, read from the start (the only import of PyAV).

Two passes: the first reads packet headers without decoding and learns every frame's time, the second decodes and hands
out the wanted frames. Memory is that of one frame, whatever the length of the video.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray
from PIL import Image

from ..data.errors import DecodeError
from .frame_reader import source_of

PICTURE_FORMATS = frozenset({"image2", "image2pipe"})
"""FFmpeg's names for a file that is one picture, besides all that end in ``_pipe``."""

PLAYLIST_FORMATS = frozenset({"hls", "concat", "dash", "imf"})
"""Text files that make FFmpeg open other files: a video must not reach outside itself."""

MAX_DAMAGED_PACKETS = 100_000
"""A demuxer that fails without moving on would otherwise never end."""

_ROTATIONS = {90: Image.Transpose.ROTATE_90, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_270}


@dataclass(frozen=True, kw_only=True)
class PacketFacts:
    """What the packet headers of a video stream tell.

    Attributes:
        container: FFmpeg's name of the container format, for instance ``mov,mp4,m4a,3gp,3g2,mj2``.
        pts: (F,) sorted unique presentation times of the shown packets in units of ``base``; empty without time stamps.
        end: end of the last packet, in the same units.
        base: seconds per unit.
        rate: frames per second as the container states them.
        hidden: packets that an edit list hides.
        promised: frames that the container says it holds, 0 where it does not say.
        found: packets in the file.
        reconfigured: the stream changes its parameters, for instance the size of the picture, on its way.
    """

    container: str
    pts: NDArray[np.int64]
    end: int
    base: Fraction
    rate: Fraction
    hidden: int
    promised: int
    found: int
    reconfigured: bool

    @property
    def complete(self) -> bool:
        """Whether the file holds as many frames as its container says."""
        return self.found >= self.promised


class PyavReader:
    """A :class:`~optsg.extract.frame_reader.FrameReader` on PyAV.

    Raises:
        DecodeError: it is no video, in one sentence that says what it is instead.
    """

    def __init__(self, payload: Path | bytes):
        self.backend = f"pyav {av.__version__}"
        self.note = ""
        self._payload = payload
        with _open(payload) as container:
            self.facts = _read_packets(container, _video_stream(container))
        self._counted = not len(self.facts.pts)
        pts, end, base = self.facts.pts, self.facts.end, self.facts.base
        if self._counted:
            count = sum(1 for _ in self._frames())
            pts, end, base = np.arange(count, dtype=np.int64), count, 1 / self.facts.rate
        if not len(pts):
            raise DecodeError("its video stream holds no frame that can be decoded")
        self._pts = pts
        self.times = (pts - pts[0]) * float(base)
        self.duration = float((end - int(pts[0])) * base)
        if not self._counted and not self.facts.complete:
            self.note = f"truncated: it holds {self.facts.found} of the {self.facts.promised} frames it promises"

    def read(self, positions: Sequence[int]) -> Iterator[tuple[int, Image.Image]]:
        """Frames at ``positions``; for one that cannot be decoded the next that can stands, under its own position."""
        wanted = deque(int(position) for position in positions)
        with contextlib.closing(self._frames()) as frames:
            for number, frame in enumerate(frames):
                if not wanted:
                    return
                position = number if self._counted or frame.pts is None else self._position(frame.pts)
                if position < wanted[0]:
                    continue
                while wanted and wanted[0] <= position:
                    wanted.popleft()
                yield position, _upright(frame)

    def _position(self, pts: int) -> int:
        """Position of the frame shown at ``pts``."""
        return min(int(np.searchsorted(self._pts, pts)), len(self._pts) - 1)

    def _frames(self) -> Generator[VideoFrame, None, None]:
        """Every frame that can be decoded, in presentation order; damaged packets are passed over and counted."""
        damaged, note = 0, self.note
        with _open(self._payload) as container:
            stream = _video_stream(container)
            stream.codec_context.thread_count = 1  # videos are decoded side by side instead
            packets = container.demux(stream)
            while damaged < MAX_DAMAGED_PACKETS:
                try:
                    frames = next(packets).decode()
                except (StopIteration, av.EOFError):
                    return
                except av.FFmpegError:
                    damaged += 1
                    passed = f"{damaged} damaged {'packet' if damaged == 1 else 'packets'} passed over"
                    self.note = f"{note}; {passed}" if note else passed
                    continue
                yield from frames

    def __enter__(self) -> PyavReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing stays open between the passes."""


def _open(payload: Path | bytes) -> InputContainer:
    """Opens a video file, or says in one sentence why it is none."""
    if not isinstance(payload, bytes) and not payload.is_file():
        raise DecodeError("there is no such file")
    if not (len(payload) if isinstance(payload, bytes) else payload.stat().st_size):
        raise DecodeError("the file is empty (0 bytes)")
    try:
        return av.open(
            source_of(payload), mode="r", metadata_errors="ignore", container_options={"protocol_whitelist": "file"}
        )
    except (av.FFmpegError, OSError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise DecodeError(f"it cannot be opened as a video ({reason[:1].lower()}{reason[1:]})") from error


def _video_stream(container: InputContainer) -> VideoStream:
    """The first stream of moving pictures; cover art and single pictures are none."""
    name = container.format.name
    if name.endswith("_pipe") or name in PICTURE_FORMATS:
        raise DecodeError(f"it is a single picture ({name.removesuffix('_pipe')}), not a video, whatever its name says")
    if name in PLAYLIST_FORMATS:
        raise DecodeError(f"it is a playlist ({name}) that points to other files, not a video")
    moving = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
    if moving:
        return moving[0]
    if container.streams.video:
        raise DecodeError("it holds no video stream, only cover art")
    kinds = sorted({stream.type for stream in container.streams})
    raise DecodeError(f"it holds no video stream (found: {', '.join(kinds) or 'nothing'})")


def _read_packets(container: InputContainer, stream: VideoStream) -> PacketFacts:
    """The first pass: every packet's header, as far as the file can be read."""
    pts: list[int] = []
    end = hidden = 0
    timed, reconfigured = True, False
    for packet in _packets(container, stream):
        if packet.is_discard:
            hidden += 1
        elif packet.pts is None:
            timed = False
            break
        else:
            pts.append(packet.pts)
            end = max(end, packet.pts + (packet.duration or 0))
            reconfigured |= len(pts) > 1 and packet.has_sidedata("new_extradata")
    return PacketFacts(
        container=container.format.name,
        pts=np.unique(np.array(pts if timed else [], dtype=np.int64)),
        end=end,
        base=stream.time_base or Fraction(1, 1000),
        rate=stream.average_rate or stream.guessed_rate or Fraction(25),
        hidden=hidden,
        promised=stream.frames,
        found=hidden + len(pts),
        reconfigured=reconfigured,
    )


def _packets(container: InputContainer, stream: VideoStream) -> Iterator[Packet[VideoStream]]:
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except (StopIteration, av.FFmpegError):
            return
        if packet.size:
            yield packet


def _upright(frame: VideoFrame) -> Image.Image:
    """RGB picture with the container's rotation applied, as players show it."""
    image: Image.Image = frame.to_image()  # type: ignore[no-untyped-call]
    turn = _ROTATIONS.get(int(frame.rotation) % 360)
    return image if turn is None else image.transpose(turn)
