"""Videos through PyAV, read from the start.

Two passes: the first reads packet headers without decoding and learns every frame's time, the second decodes and hands
out the wanted frames. Memory is that of a few frames, whatever the length of the video.

The second pass leaves out what the wanted frames do not need (``packets.py``). They are the same to the bit as when
everything is decoded; where one does not come out as planned, the rest of the file is read again with nothing left out.
"""

from __future__ import annotations

import contextlib
import itertools
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self, cast

import av
import numpy as np
from av.codec.context import CodecContext
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from PIL import Image

from ...data.errors import DecodeError
from .frame_reader import Shrink
from .orientation import ROTATIONS
from .packets import plan_decoding
from .painter import Painter, display_turn, has_alpha
from .video_file import is_translucent, open_video, packets_of, read_facts

ODD_FILE_ERRORS = (ValueError, TypeError, LookupError, ArithmeticError, RuntimeError, AttributeError, OSError)
"""What PyAV raises, besides FFmpeg's own errors, on values it does not know: odd formats, sizes and time bases."""


class PyavReader:
    """A :class:`~optsg.extract.decoding.frame_reader.FrameReader` on PyAV.

    Raises:
        DecodeError: it is no video, in one sentence that says what it is instead.
    """

    backend = f"pyav {av.__version__} (FFmpeg {av.ffmpeg_version_info})"

    def __init__(self, payload: Path | bytes, shrink: Shrink | None = None):
        self._payload = payload
        self._painter = Painter(shrink)
        self._damaged = self._dropped = self._smeared = self._replaced = 0
        self._stored_aspect: Callable[[], Fraction | None] = lambda: None
        try:
            self.facts = read_facts(payload)
        except ODD_FILE_ERRORS as error:
            raise _odd(error) from error
        pts, end, base = self.facts.pts, self.facts.end, self.facts.base
        self._counted = not len(pts)
        # In AVI the frames come out in the right order, but their stamps are guessed.
        self._by_order = self._counted or self.facts.container == "avi"
        if self._counted:
            count = sum(1 for _ in self._frames())
            pts, end, base = np.arange(count, dtype=np.int64), count, 1 / self.facts.rate
        if not len(pts):
            raise DecodeError("its video stream holds no frame that can be decoded")
        self._pts = pts
        self.times = (pts - pts[0]) * float(base)
        self.duration = float((end - int(pts[0])) * base)

    @property
    def flaws(self) -> list[str]:
        """What was missing or damaged as far as the file has been read."""
        facts, flaws = self.facts, []
        if not self._counted and facts.found < facts.promised:
            flaws.append(f"truncated: it holds {facts.found} of the {facts.promised} frames it promises")
        elif facts.cut_off:
            flaws.append("truncated: it ends before its container says that it does")
        elif facts.lost:
            flaws.append(f"frames are missing between {facts.lost[0]:.1f} s and {facts.lost[1]:.1f} s")
        if facts.left_out:
            flaws.append(facts.left_out)
        if self._damaged:
            flaws.append(f"{_count(self._damaged, 'damaged packet')}")
        if self._smeared:
            flaws.append(f"{_count(self._smeared, 'frame')} perhaps smeared by the damage")
        if self._replaced:
            flaws.append(f"{_count(self._replaced, 'frame')} replaced by the next that could be decoded")
        return flaws

    @property
    def oddity(self) -> str:
        """A stream without any time stamps, or with those of several clocks."""
        if self._counted:
            return f"without time stamps: its frames are counted, {float(self.facts.rate):g} a second"
        restarts, leaps = len(self.facts.starts), len(self.facts.leaps)
        said = [f"its clock restarts {_count(restarts, 'time')}: the parts follow one another"] * bool(restarts)
        if leaps and not self.facts.left_out:
            said.append(f"its clock leaps ahead {_count(leaps, 'time')}: a part begins later, and nothing is missing")
        return "; ".join(said)

    @property
    def aspect(self) -> float:
        """Width of a pixel over its height in the picture that was read last."""
        return self._painter.aspect

    def is_plain(self) -> bool:
        """Whether the first frame is opaque and no mirror image, which its headers may not tell."""
        try:
            with contextlib.closing(self._frames()) as frames:
                first = next(frames, None)
        except ODD_FILE_ERRORS:
            return False
        return first is not None and not has_alpha(first.format) and display_turn(first) in {None, *ROTATIONS}

    def read(self, positions: Sequence[int]) -> Iterator[tuple[int, Image.Image]]:
        """Frames at ``positions``; for one that cannot be decoded the next that can stands, under its own position."""
        wanted = deque(int(position) for position in positions)
        try:
            if not self._by_order:
                for position, frame in self._planned(list(wanted)):
                    if not wanted or position != wanted[0]:
                        break
                    wanted.popleft()
                    yield position, self._painter.paint(frame, self._stored_aspect())
            if wanted:
                yield from self._sequential(wanted)
        except ODD_FILE_ERRORS as error:
            raise _odd(error) from error

    def _planned(self, positions: list[int]) -> Iterator[tuple[int, VideoFrame]]:
        """The wanted frames that come out whole while all others are left out as far as possible.

        Ends early at the first sign of damage.
        """
        plan = plan_decoding(self.facts, self._pts[positions])
        stop = int(np.flatnonzero(plan.fed)[-1]) + 1
        fed, wanted, packet_pts = plan.fed.tolist(), plan.wanted.tolist(), self.facts.packet_pts
        with self._opened() as (packets, context):
            try:
                for number, packet in enumerate(packets):
                    if number == stop or packet.pts != packet_pts[number]:
                        break
                    if fed[number]:
                        if packet.is_corrupt:
                            return
                        context.skip_frame = "DEFAULT" if wanted[number] or not self.facts.skips_safely else "NONREF"
                        yield from self._whole(context.decode(packet), plan.pts)
                yield from self._whole(context.decode(None), plan.pts)
            except (_DamagedError, av.FFmpegError):
                return

    def _whole(self, frames: list[VideoFrame], wanted: frozenset[int]) -> Iterator[tuple[int, VideoFrame]]:
        for frame in frames:
            if frame.is_corrupt:
                raise _DamagedError
            pts = frame.pts
            if pts is not None and pts in wanted:
                yield self._position(pts), frame

    def _sequential(self, wanted: deque[int]) -> Iterator[tuple[int, Image.Image]]:
        """The frames still wanted, with every packet decoded that can be."""
        before, smeared = self._damaged, False
        with contextlib.closing(self._frames()) as frames:
            for number, frame in enumerate(frames):
                if not wanted:
                    return
                # Damage spreads from frame to frame until one refers to none before it.
                smeared = bool(frame.is_corrupt) or (not frame.key_frame and (smeared or self._damaged > before))
                before = self._damaged
                pts = None if self._by_order else frame.pts
                position = min(number + self._dropped, len(self._pts) - 1) if pts is None else self._position(pts)
                if position < wanted[0]:
                    continue
                due = wanted[0]
                while wanted and wanted[0] <= position:
                    due = wanted.popleft()
                self._replaced += due != position
                self._smeared += smeared
                yield position, self._painter.paint(frame, self._stored_aspect())

    def _position(self, pts: int) -> int:
        """Position of the frame shown at ``pts``."""
        return min(int(np.searchsorted(self._pts, pts)), len(self._pts) - 1)

    def _frames(self) -> Generator[VideoFrame, None, None]:
        """Every frame that can be decoded, in presentation order; damaged packets are passed over and counted."""
        self._damaged = self._dropped = self._smeared = self._replaced = 0
        with self._opened() as (packets, context):
            for packet in itertools.chain(packets, [None]):
                damaged = packet is not None and packet.is_corrupt
                frames: list[VideoFrame] = []
                try:
                    frames = context.decode(packet)
                except av.EOFError:
                    return
                except av.FFmpegError:
                    damaged = True
                    self._dropped += 1
                self._damaged += damaged
                yield from frames

    @contextlib.contextmanager
    def _opened(self) -> Iterator[tuple[Iterator[Packet[VideoStream]], VideoCodecContext]]:
        """The packets of the stream, and what decodes them."""
        with open_video(self._payload, one_video=self.facts.one_video) as container:
            stream = container.streams[self.facts.stream]
            assert isinstance(stream, VideoStream)
            context = _decoder(stream)
            context.thread_count = 1  # videos are decoded side by side; a packet is decoded where it is handed over
            stated = stream.sample_aspect_ratio
            # What the container says goes before what the codec says, which may change on the way.
            fixed = stated if stated != stream.codec_context.sample_aspect_ratio else None
            self._stored_aspect = lambda: fixed or context.sample_aspect_ratio or stated
            yield self._on_one_clock(packets_of(container, [stream])), context

    def _on_one_clock(self, packets: Iterator[Packet[VideoStream]]) -> Iterator[Packet[VideoStream]]:
        """The packets with the times and the damage of :attr:`facts`, where the file has several parts."""
        if not len(self.facts.joints):
            yield from packets
            return
        times, damaged = self.facts.packet_pts.tolist(), self.facts.damaged.tolist()
        for number, packet in enumerate(packets):
            if number >= len(times):
                return
            whole = _unmarked(packet) if packet.is_corrupt and not damaged[number] else packet
            whole.pts, whole.dts = times[number], None
            yield whole

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Does nothing: no file stays open between two passes."""


class _DamagedError(Exception):
    """A wanted frame cannot be decoded."""


ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
"""Decoders that know WebM's transparency; FFmpeg's own leave it out."""


def _decoder(stream: VideoStream) -> VideoCodecContext:
    other = ALPHA_DECODERS.get(stream.codec_context.name) if is_translucent(stream) else None
    if other is None or other not in av.codecs_available:
        return stream.codec_context
    return cast(VideoCodecContext, CodecContext.create(other, "r"))


def _unmarked(packet: Packet[VideoStream]) -> Packet[VideoStream]:
    """A packet without the mark of damage, which makes decoders mark its frame."""
    copy = cast("Packet[VideoStream]", Packet(bytes(packet)))
    copy.time_base, copy.is_keyframe = packet.time_base, packet.is_keyframe
    return copy


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"


def _odd(error: Exception) -> DecodeError:
    reason = str(error).strip().splitlines()
    return DecodeError(f"PyAV cannot read it ({type(error).__name__}{': ' + reason[0] if reason else ''})")
