"""A video file opened with PyAV: which of its streams is the video, and what the headers of its packets tell.

Where a file has several video streams, one pass reads the headers of all, and the one is taken that players would take
(:func:`choose_stream`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.stream import VideoStream

from ...data.errors import DecodeError
from .clock import continuous
from .file_kinds import is_foreign, is_picture_of_iso_media, kind_of
from .frame_reader import check_present, ends_early, source_of
from .losses import BROADCAST_FORMATS, is_whole_program_stream, with_losses
from .packets import EntryTest, PacketFacts, entry_test, skips_safely
from .painter import has_alpha, is_high_dynamic_range, pixel_aspect
from .transport_stream import OneVideo, TransportSurvey, percent, scrambled_share, survey_transport_stream

av.logging.set_level(None)

PICTURE_FORMATS = frozenset({"image2", "image2pipe"})
"""FFmpeg's names for a file that is one picture, besides all that end in ``_pipe``."""

PLAYLIST_FORMATS = frozenset({"hls", "concat", "dash", "imf"})
"""Text files that make FFmpeg open other files: a video must not reach outside itself."""

NO_VIDEO = Disposition.attached_pic | Disposition.timed_thumbnails
"""Marks of streams that are pictures about the video."""

DEFAULT_WEIGHT = 5_000_000
"""Pixels that the mark of a default stream is worth, as for ffmpeg: it decides, unless a stream is far larger."""

LATE_STREAMS = 1000
"""How often a stream may turn up in the midst of a file: each time PyAV's demuxing has to begin again."""

ALPHA_MODE = "alpha_mode"
"""What WebM calls a stream whose transparency is a second stream inside of it."""


def open_video(payload: Path | bytes, *, one_video: str | None = None, unedited: bool = False) -> InputContainer:
    """Opens a video file, or says in one sentence why it is none.

    Args:
        payload: the file or its bytes.
        one_video: see :attr:`PacketFacts.one_video`.
        unedited: with all that an edit list of MP4 leaves out.
    """
    check_present(payload)
    if is_picture_of_iso_media(payload):
        raise DecodeError(f"it is {kind_of(payload)}, not a video, whatever its name says")
    try:
        source = source_of(payload) if one_video is None else OneVideo(payload, one_video)
        options = {"protocol_whitelist": "file", **({"ignore_editlist": "1"} if unedited else {})}
        return av.open(source, mode="r", metadata_errors="ignore", container_options=options)
    except (av.FFmpegError, OSError) as error:
        kind = kind_of(payload)
        if is_foreign(kind):
            raise DecodeError(f"it is {kind}, not a video, whatever its name says") from error
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise DecodeError(f"it cannot be opened as a video ({reason[:1].lower()}{reason[1:]})") from error


def read_facts(payload: Path | bytes) -> PacketFacts:
    """The first pass: every packet's header, as far as the file can be read.

    Raises:
        DecodeError: it is no video, or it is encrypted.
    """
    survey = survey_transport_stream(payload)
    if survey is None:
        facts, _ = _read_facts(payload)
        is_program_stream = facts.container == "mpeg"
        share = scrambled_share(payload) if is_program_stream else 0.0
        return replace(facts, left_out=_scrambled(share, MOST_SCRAMBLED_OF_DVD, "CSS, as of a DVD"))
    left_out = _scrambled(survey.scrambled, MOST_SCRAMBLED, "scrambled, as of pay TV")
    facts, in_parts = _read_facts(payload, survey)
    if survey.is_one_program and (in_parts or left_out or not survey.is_steady):
        facts, _ = _read_facts(payload, survey, one_video=survey.codec)
    return replace(facts, left_out="; ".join(filter(None, [left_out, survey.other_codecs])))


MOST_SCRAMBLED, MOST_SCRAMBLED_OF_DVD = 0.95, 0.1
"""Share of scrambled packets above which the rest is no video either. Of a DVD some sectors of every picture are scrambled, and
decoders cannot know which; packets of a broadcast tell, and are left out."""


def _scrambled(share: float, most: float, how: str) -> str:
    """What is said of a video that is scrambled in places, or ``""``."""
    if share > most:
        raise DecodeError(f"it is encrypted ({how}) and cannot be read without its key")
    return f"{percent(share)} of its video is encrypted ({how})" if share else ""


def _read_facts(
    payload: Path | bytes, survey: TransportSurvey | None = None, *, one_video: str | None = None
) -> tuple[PacketFacts, bool]:
    """The facts, and whether the video may go on as another stream: a transport stream that has several of them."""
    with open_video(payload, one_video=one_video) as container:
        streams = moving_streams(container)
        headers = {stream.index: _Headers(stream) for stream in streams}
        late = _Late()
        for packet in packets_of(container, streams, late):
            headers[packet.stream_index].add(packet)
        chosen = choose_stream(list(headers.values()))
        promised = _promised(payload, chosen.stream, chosen.lists.damaged.count(False))
        facts = _facts(container, chosen, promised=promised, cut_off=ends_early(payload), one_video=one_video)
        in_parts = container.format.name == "mpegts" and (len(streams) > 1 or late.count > 0)
        stated = (container.duration or 0) / av.time_base
    return with_losses(payload, facts, stated=stated, is_intact=lambda: _is_intact(payload, survey)), in_parts


def _is_intact(payload: Path | bytes, survey: TransportSurvey | None) -> bool:
    return is_whole_program_stream(payload) if survey is None else survey.is_intact


def moving_streams(container: InputContainer) -> list[VideoStream]:
    """The streams of moving pictures that can be decoded; cover art, thumbnails and single pictures are none."""
    name = container.format.name
    if name.endswith("_pipe") or name in PICTURE_FORMATS:
        raise DecodeError(f"it is a single picture ({name.removesuffix('_pipe')}), not a video, whatever its name says")
    if name in PLAYLIST_FORMATS:
        raise DecodeError(f"it is a playlist ({name}) that points to other files, not a video")
    moving = [stream for stream in container.streams.video if not stream.disposition & NO_VIDEO]
    contexts: list[object] = [stream.codec_context for stream in moving]  # None where FFmpeg does not know the codec
    if known := [stream for stream, context in zip(moving, contexts, strict=True) if context is not None]:
        return known
    if moving:
        raise DecodeError("its video stream has a codec that FFmpeg does not know")
    if container.streams.video:
        raise DecodeError("it holds no video stream, only cover art")
    kinds = sorted({stream.type for stream in container.streams})
    raise DecodeError(f"it holds no video stream (found: {', '.join(kinds) or 'nothing'})")


@dataclass(kw_only=True)
class _Lists:
    pts: list[int] = field(default_factory=list)
    dts: list[int | None] = field(default_factory=list)
    durations: list[int] = field(default_factory=list)
    shown: list[bool] = field(default_factory=list)
    keys: list[bool] = field(default_factory=list)
    entries: list[bool] = field(default_factory=list)
    damaged: list[bool] = field(default_factory=list)


class _Headers:
    """The packet headers of one stream as they come."""

    def __init__(self, stream: VideoStream):
        context = stream.codec_context
        self.stream = stream
        self.lists = _Lists()
        self.timed, self.reconfigured, self.encrypted = True, False, False
        self._is_entry: EntryTest = entry_test(context.name, context.extradata or b"")
        # AVI numbers its packets in the order of decoding and knows no times of presentation.
        self._numbered = stream.container.format.name == "avi"

    @property
    def count(self) -> int:
        """Number of packets."""
        return len(self.lists.shown)

    def add(self, packet: Packet[VideoStream]) -> None:
        """Takes the next packet."""
        lists = self.lists
        time = packet.dts if self._numbered else packet.pts
        self.timed &= time is not None
        self.reconfigured |= self.count > 0 and packet.has_sidedata("new_extradata")
        self.encrypted |= packet.has_sidedata("encryption_info")
        lists.pts.append(time or 0)
        lists.dts.append(packet.dts)
        lists.durations.append(packet.duration or 0)
        lists.shown.append(not packet.is_discard)
        lists.keys.append(packet.is_keyframe)
        lists.entries.append(packet.is_keyframe and self._is_entry(memoryview(packet)))
        lists.damaged.append(packet.is_corrupt)


def choose_stream(headers: Sequence[_Headers]) -> _Headers:
    """The video among the streams of a file: none of a single picture; the default one; the one with most to see."""
    most = max(1, *(one.count for one in headers)) if len(headers) > 1 else 1

    def weight(one: _Headers) -> tuple[bool, float]:
        context = one.stream.codec_context
        pixels = context.width * context.height * one.count / most
        return one.count > 1, pixels + DEFAULT_WEIGHT * bool(one.stream.disposition & Disposition.default)

    return max(headers, key=weight)


def _facts(
    container: InputContainer, headers: _Headers, *, promised: int, cut_off: bool, one_video: str | None
) -> PacketFacts:
    stream, lists = headers.stream, headers.lists
    if headers.encrypted:
        raise DecodeError("it is encrypted (DRM, for instance CENC) and cannot be read without its key")
    context = stream.codec_context
    base = stream.time_base or Fraction(1, 1000)
    stamps = np.array(lists.pts if headers.timed else [], dtype=np.int64)
    shown, keys = np.array(lists.shown, dtype=np.bool_), np.array(lists.keys, dtype=np.bool_)
    kinds = container.format.name.split(",")
    line = continuous(stamps, lists.dts, keys, base=base, broadcast=not BROADCAST_FORMATS.isdisjoint(kinds))
    ends = line.pts + np.array(lists.durations, dtype=np.int64)[: len(line.pts)]
    return PacketFacts(
        container=container.format.name,
        codec=context.name,
        stream=stream.index,
        size=(context.width, context.height),
        packet_pts=line.pts,
        stamps=stamps,
        starts=line.starts,
        shown=shown,
        keys=keys,
        entries=np.array(lists.entries, dtype=np.bool_),
        damaged=np.array(lists.damaged, dtype=np.bool_),
        end=int(ends[shown[: len(ends)]].max(initial=0)),
        base=base,
        lost=None,
        leaps=np.zeros(0, dtype=np.int64),
        joints=line.starts,
        left_out="",
        rate=stream.average_rate or stream.guessed_rate or Fraction(25),
        promised=promised,
        cut_off=cut_off,
        reconfigured=headers.reconfigured,
        skips_safely=skips_safely(context.name, context.extradata or b""),
        alone=len(container.streams.video) == 1,
        plain=_is_plain(stream),
        one_video=one_video,
    )


def _promised(payload: Path | bytes, stream: VideoStream, found: int) -> int:
    """Frames that an MP4 says it has, of those that its edit list keeps: the others FFmpeg takes out of its index."""
    if "mp4" not in stream.container.format.name.split(","):
        return 0  # elsewhere it is what a header or a tag says, which is often wrong
    kept = len(stream.index_entries)
    if found >= stream.frames or kept >= stream.frames:
        return stream.frames
    with open_video(payload, unedited=True) as whole:
        is_edited = len(whole.streams[stream.index].index_entries) >= stream.frames
    return kept if is_edited else stream.frames


def _is_plain(stream: VideoStream) -> bool:
    context = stream.codec_context
    opaque = context.format is not None and not has_alpha(context.format) and not is_translucent(stream)
    standard = not is_high_dynamic_range(int(context.color_trc or 0))
    return opaque and standard and pixel_aspect(stream.sample_aspect_ratio) == 1.0


def is_translucent(stream: VideoStream) -> bool:
    """Whether its transparency is a second stream inside of it, as in WebM."""
    return stream.metadata.get(ALPHA_MODE, stream.metadata.get(ALPHA_MODE.upper())) == "1"


@dataclass
class _Late:
    """How many streams turned up that were not there when the file was opened."""

    count: int = 0


def packets_of(
    container: InputContainer, streams: Sequence[VideoStream], late: _Late | None = None
) -> Iterator[Packet[VideoStream]]:
    """All packets with something in them, as far as the file can be read."""
    late = late or _Late()
    for _ in range(LATE_STREAMS):
        packets = container.demux(*streams)
        while True:
            try:
                packet = next(packets)
            except (StopIteration, av.FFmpegError):
                return
            except IndexError:
                late.count += 1
                break
            if packet.size:
                yield cast("Packet[VideoStream]", packet)
