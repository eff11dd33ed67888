"""Videos through PyAV, read from the start (the only import of PyAV).

Two passes: the first reads packet headers without decoding and learns every frame's time, the second decodes and hands
out the wanted frames. Memory is that of a few frames, whatever the length of the video.

The second pass leaves out what the wanted frames do not need (``decode_plan.py``). They are the same to the bit as when
everything is decoded; where one does not come out as planned, the rest of the file is read again with nothing left out.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from av.video.stream import VideoStream
from PIL import Image

from ...data.errors import DecodeError
from .frame_reader import Shrink, check_present, ends_early, size_of, source_of
from .packets import EntryTest, PacketFacts, entry_test, plan_decoding, skips_safely

av.logging.set_level(None)

PICTURE_FORMATS = frozenset({"image2", "image2pipe"})
"""FFmpeg's names for a file that is one picture, besides all that end in ``_pipe``."""

PLAYLIST_FORMATS = frozenset({"hls", "concat", "dash", "imf"})
"""Text files that make FFmpeg open other files: a video must not reach outside itself."""

MAX_DAMAGED_PACKETS = 100_000
"""A demuxer that fails without moving on would otherwise never end."""

HOLE, EVENLY = 5, 0.95
"""Usual frame intervals beyond which a gap may be a loss, and the share of intervals that are regular where it must be."""

UNREAD_BETWEEN, UNREAD_TAIL = 512, 0.05
"""Bytes between packets, and share of the file after the last, that Matroska's structure and indexes do not explain."""

_ROTATIONS = {90: Image.Transpose.ROTATE_90, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_270}

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
        self._painter = _Painter(shrink)
        self._damaged = self._dropped = self._smeared = self._replaced = 0
        try:
            with _open(payload) as container:
                stream = _video_stream(container)
                self.facts = _read_packets(container, stream, cut_off=ends_early(payload))
                self.facts = replace(self.facts, lost=_lost_part(payload, container, self.facts))
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
        if self._damaged:
            flaws.append(f"{_count(self._damaged, 'damaged packet')}")
        if self._smeared:
            flaws.append(f"{_count(self._smeared, 'frame')} perhaps smeared by the damage")
        if self._replaced:
            flaws.append(f"{_count(self._replaced, 'frame')} replaced by the next that could be decoded")
        return flaws

    @property
    def oddity(self) -> str:
        """A stream without any time stamps."""
        if not self._counted:
            return ""
        return f"without time stamps: its frames are counted, {float(self.facts.rate):g} a second"

    def read(self, positions: Sequence[int]) -> Iterator[tuple[int, Image.Image]]:
        """Frames at ``positions``; for one that cannot be decoded the next that can stands, under its own position."""
        wanted = deque(int(position) for position in positions)
        try:
            if not self._by_order:
                for position, frame in self._planned(list(wanted)):
                    if not wanted or position != wanted[0]:
                        break
                    wanted.popleft()
                    yield position, self._painter.paint(frame)
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
        with _open(self._payload) as container:
            stream = _video_stream(container)
            context = stream.codec_context
            context.thread_count = 1  # a packet is decoded where it is handed over, under the setting of that moment
            try:
                for number, packet in enumerate(_packets(container, stream)):
                    if number == stop or packet.pts != packet_pts[number]:
                        break
                    if fed[number]:
                        if packet.is_corrupt:
                            return
                        context.skip_frame = "DEFAULT" if wanted[number] or not self.facts.skips_safely else "NONREF"
                        yield from self._whole(packet.decode(), plan.pts)
                yield from self._whole(stream.decode(None), plan.pts)
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
                position = number + self._dropped if pts is None else self._position(pts)
                if position < wanted[0]:
                    continue
                due = wanted[0]
                while wanted and wanted[0] <= position:
                    due = wanted.popleft()
                self._replaced += due != position
                self._smeared += smeared
                yield position, self._painter.paint(frame)

    def _position(self, pts: int) -> int:
        """Position of the frame shown at ``pts``."""
        return min(int(np.searchsorted(self._pts, pts)), len(self._pts) - 1)

    def _frames(self) -> Generator[VideoFrame, None, None]:
        """Every frame that can be decoded, in presentation order; damaged packets are passed over and counted."""
        self._damaged = self._dropped = self._smeared = self._replaced = 0
        with _open(self._payload) as container:
            stream = _video_stream(container)
            stream.codec_context.thread_count = 1  # videos are decoded side by side instead
            packets = container.demux(stream)
            while self._damaged < MAX_DAMAGED_PACKETS:
                damaged = False
                frames: list[VideoFrame] = []
                try:
                    packet = next(packets)
                    damaged = packet.is_corrupt
                    frames = packet.decode()
                except (StopIteration, av.EOFError):
                    return
                except av.FFmpegError:
                    damaged = True
                    self._dropped += 1
                self._damaged += damaged
                yield from frames

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Does nothing: no file stays open between two passes."""


class _DamagedError(Exception):
    """A wanted frame cannot be decoded."""


class _Painter:
    """Makes RGB pictures of decoded frames, upright, as players show them."""

    def __init__(self, shrink: Shrink | None):
        self._shrink = shrink
        self._reformatter = VideoReformatter()

    def paint(self, frame: VideoFrame) -> Image.Image:
        angle = int(frame.rotation) % 360
        width, height = frame.width, frame.height
        if self._shrink is not None:
            on_its_side = angle in (90, 270)
            width, height = self._shrink(height, width) if on_its_side else self._shrink(width, height)
            width, height = (height, width) if on_its_side else (width, height)
        # The filter matters only where the size changes. One thread: videos are decoded side by side.
        way = Interpolation.BILINEAR if self._shrink is None else Interpolation.BICUBIC
        rgb = self._reformatter.reformat(frame, width, height, "rgb24", interpolation=way, threads=1)
        plane = rgb.planes[0]
        rows = np.frombuffer(memoryview(plane), dtype=np.uint8).reshape(plane.height, -1)[:, : 3 * plane.width]
        image = Image.fromarray(rows.reshape(plane.height, plane.width, 3))
        turn = _ROTATIONS.get(angle)
        return image if turn is None else image.transpose(turn)


def _open(payload: Path | bytes) -> InputContainer:
    """Opens a video file, or says in one sentence why it is none."""
    check_present(payload)
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
    if moving and moving[0].codec_context is None:
        raise DecodeError("its video stream has a codec that FFmpeg does not know")
    if moving:
        return moving[0]
    if container.streams.video:
        raise DecodeError("it holds no video stream, only cover art")
    kinds = sorted({stream.type for stream in container.streams})
    raise DecodeError(f"it holds no video stream (found: {', '.join(kinds) or 'nothing'})")


def _read_packets(container: InputContainer, stream: VideoStream, *, cut_off: bool) -> PacketFacts:
    """The first pass: every packet's header, as far as the file can be read."""
    pts: list[int] = []
    shown: list[bool] = []
    keys: list[bool] = []
    entries: list[bool] = []
    damaged: list[bool] = []
    end = 0
    timed, reconfigured = True, False
    context = stream.codec_context
    is_entry: EntryTest = entry_test(context.name, context.extradata or b"")
    # AVI numbers its packets in the order of decoding and knows no times of presentation.
    numbered = container.format.name == "avi"
    for packet in _packets(container, stream):
        time = packet.dts if numbered else packet.pts
        if time is None:
            timed = False
            break
        pts.append(time)
        shown.append(not packet.is_discard)
        keys.append(packet.is_keyframe)
        entries.append(packet.is_keyframe and is_entry(memoryview(packet)))
        damaged.append(packet.is_corrupt)
        if not packet.is_discard:
            end = max(end, time + (packet.duration or 0))
        reconfigured |= len(pts) > 1 and packet.has_sidedata("new_extradata")
    base = stream.time_base or Fraction(1, 1000)
    return PacketFacts(
        container=container.format.name,
        codec=context.name,
        size=(context.width, context.height),
        packet_pts=np.array(pts if timed else [], dtype=np.int64),
        shown=np.array(shown, dtype=np.bool_),
        keys=np.array(keys, dtype=np.bool_),
        entries=np.array(entries, dtype=np.bool_),
        damaged=np.array(damaged, dtype=np.bool_),
        end=end,
        base=base,
        lost=None,
        rate=stream.average_rate or stream.guessed_rate or Fraction(25),
        # Elsewhere it is what a header or a tag says, which is often wrong.
        promised=stream.frames if "mp4" in container.format.name.split(",") else 0,
        cut_off=cut_off,
        reconfigured=reconfigured,
        skips_safely=skips_safely(context.name, context.extradata or b""),
    )


def _lost_part(payload: Path | bytes, container: InputContainer, facts: PacketFacts) -> tuple[float, float] | None:
    """Where frames are missing in formats whose demuxers resume, or end, silently after damage; seconds from and to.

    In broadcast formats a wide gap among evenly spaced frames tells. Matroska's may be meant, and so may be an end
    before the stated one, which may be that of the sound: there the loss shows in bytes that belong to no packet.
    """
    kinds = container.format.name.split(",")
    if len(facts.pts) < 3 or not ({"mpeg", "mpegts", "matroska"} & set(kinds)):
        return None
    times, end = facts.pts * float(facts.base), float(facts.end * facts.base)
    steps = np.diff(times)
    usual, widest = float(np.median(steps)), int(np.argmax(steps))
    hole = None
    if steps[widest] > HOLE * usual:
        hole = float(times[widest] - times[0]), float(times[widest + 1] - times[0])
    if "matroska" not in kinds:
        return hole if np.mean(steps <= 2 * usual) >= EVENLY else None
    stated = (container.duration or 0) / av.time_base
    short = stated - end >= 1
    if not hole and not short:
        return None
    between, tail = _unread_bytes(payload)
    if hole and between > UNREAD_BETWEEN:
        return hole
    return (end - times[0], stated - times[0]) if short and tail > UNREAD_TAIL * size_of(payload) else None


def _unread_bytes(payload: Path | bytes) -> tuple[int, int]:
    """Most bytes between two packets of any stream, and bytes after the last packet."""
    spans: dict[int, int] = {}
    with contextlib.suppress(av.FFmpegError), _open(payload) as container:
        for packet in container.demux():
            if packet.size and packet.pos is not None:
                # Packets that lie in one block ("lacing") all have its position.
                spans[packet.pos] = spans.get(packet.pos, packet.pos) + packet.size
    between, reached = 0, min(spans, default=0)
    for start in sorted(spans):
        between = max(between, start - reached)
        reached = max(reached, spans[start])
    return between, size_of(payload) - reached


def _packets(container: InputContainer, stream: VideoStream) -> Iterator[Packet[VideoStream]]:
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except (StopIteration, av.FFmpegError):
            return
        if packet.size:
            yield packet


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"


def _odd(error: Exception) -> DecodeError:
    reason = str(error).strip().splitlines()
    return DecodeError(f"PyAV cannot read it ({type(error).__name__}{': ' + reason[0] if reason else ''})")
