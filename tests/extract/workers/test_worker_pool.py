"""A hang, a crash or a lie of a decoding process costs the one input that it was reading."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from optsg.data.media import Failure, MediaItem, Payload, TarMember
from optsg.extract.decoding.sampling import Sampling
from optsg.extract.encoders.pixel_plan import PixelPlan
from optsg.extract.workers import worker, worker_pool, worker_process
from optsg.extract.workers.preparation import Preparation, Prepared, Unreadable, source_digest
from optsg.extract.workers.worker_pool import Decoded, WorkerPool
from optsg.extract.workers.worker_process import ProcessSettings, WorkerProcess, WorkerStartError
from PIL import Image

from tests.extract.decoding.painted_clips import ClipMaker
from tests.extract.workers.misbehaving_worker import PROGRAM

HOW = Preparation(
    plan=PixelPlan(mode="shortest", size=(32, 32), crop=(32, 32), interpolation="bicubic"), sampling=Sampling()
)


@pytest.fixture
def misbehaving(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_process, "_PROGRAM", PROGRAM)


def item(number: int, payload: Payload) -> MediaItem:
    return MediaItem(
        id=str(number), source=f"{number}.mp4", kind="video", title="", tags=(), split="none", payload=payload
    )


def read(payloads: Sequence[Payload], *, workers: int = 2, seconds: float = 60.0, **settings) -> list[Decoded]:
    items = [item(number, payload) for number, payload in enumerate(payloads)]
    process = ProcessSettings(how=HOW, seconds=seconds, **settings)
    with WorkerPool(items, process, workers=workers) as pool:
        return sorted(pool.results(), key=lambda decoded: decoded.number)


def test_files_and_bytes_are_decoded(make_clip: ClipMaker) -> None:
    path = make_clip("h264.mp4", frames=36)
    from_file, from_memory = (decoded.result for decoded in read([path, path.read_bytes()]))
    assert isinstance(from_file, Prepared)
    assert isinstance(from_memory, Prepared)
    assert from_file.pixels.shape == (4, 32, 32, 3)
    assert np.array_equal(from_file.pixels, from_memory.pixels)
    assert from_file.times.tolist() == [0, 1, 2, 3]
    assert from_file.digest == from_memory.digest == source_digest(path)
    assert from_file.thumbnail.startswith(b"\xff\xd8")
    assert (from_file.status, from_file.note) == ("ok", "")
    assert from_file.seconds > 0


def test_an_input_is_of_the_kind_that_it_was_read_as() -> None:
    file = io.BytesIO()
    Image.new("RGB", (40, 40), "red").save(file, "JPEG")
    (decoded,) = read([file.getvalue()], workers=1)
    assert isinstance(decoded.item, MediaItem)
    assert isinstance(decoded.result, Prepared)
    assert (decoded.item.kind, decoded.item.source, decoded.result.kind) == ("image", "0.mp4", "image")


def test_members_of_tar_files_are_decoded_where_they_lie(make_clip: ClipMaker, tmp_path: Path) -> None:
    path = make_clip("h264.mp4", frames=36)
    tar = tmp_path / "0.tar"
    tar.write_bytes(b"before" + path.read_bytes() + b"after")
    member = TarMember(path=tar, offset=6, size=path.stat().st_size)
    cut, gone = replace(member, size=member.size + 6), replace(member, path=tmp_path / "1.tar")
    from_file, from_tar, *unreadable = (decoded.result for decoded in read([path, member, cut, gone]))
    assert isinstance(from_file, Prepared)
    assert isinstance(from_tar, Prepared)
    assert np.array_equal(from_file.pixels, from_tar.pixels)
    assert from_tar.digest == source_digest(path)
    assert [replace(one, seconds=0.0) for one in unreadable if isinstance(one, Unreadable)] == [
        Unreadable(error="its bytes cannot be read from the tar file: it goes on after the end of 0.tar"),
        Unreadable(error="its bytes cannot be read from the tar file: No such file or directory"),
    ]


def test_decoding_processes_do_not_load_torch() -> None:
    code = "import optsg.extract.workers.worker, sys; print(sorted({'torch', 'torchvision', 'transformers'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.usefixtures("misbehaving")
def test_whatever_a_process_does_costs_one_input(make_clip: ClipMaker) -> None:
    good = make_clip("h264.mp4", frames=36)
    orders = [b"hang", b"crash", b"exit", b"lie", b"print", b"memory"]
    payloads: list[Payload] = [good]
    for order in orders:
        payloads += [order, good]
    results = [decoded.result for decoded in read(payloads, seconds=3.0)]
    assert all(isinstance(result, Prepared) and len(result.pixels) == 4 for result in results[::2])
    found = [(result.status, result.error) for result in results[1::2] if isinstance(result, Unreadable)]
    assert found == [
        ("timeout", "reading it took longer than 3 s and was stopped"),
        ("crashed", "reading it ended the decoding process (SIGSEGV)"),
        ("crashed", "reading it ended the decoding process (exit code 3)"),
        ("crashed", "reading it ended the decoding process (it gave no proper answer)"),
        ("failed", "the file is empty (0 bytes)"),
        ("failed", "decoding it needs more memory than a decoding process may use"),
    ]
    for order, result in zip(orders, results[1::2], strict=True):
        assert isinstance(result, Unreadable)
        assert result.digest == source_digest(order)


@pytest.mark.usefixtures("misbehaving")
def test_a_hanging_input_holds_back_nobody(make_clip: ClipMaker) -> None:
    good = make_clip("h264.mp4", frames=36)
    items = [item(0, b"hang"), *(item(number, good) for number in range(1, 12))]
    with WorkerPool(items, ProcessSettings(how=HOW, seconds=6.0), workers=2) as pool:
        numbers = [decoded.number for decoded in pool.results()]
    assert numbers[-1] == 0
    assert sorted(numbers) == list(range(12))


@pytest.mark.usefixtures("misbehaving")
def test_leaving_early_stops_at_once() -> None:
    started = time.monotonic()
    with WorkerPool((item(n, b"hang") for n in range(100)), ProcessSettings(how=HOW, seconds=600.0), workers=2) as pool:
        stop = threading.Event()
        threading.Timer(1.5, stop.set).start()
        assert list(pool.results(stop)) == []
    assert time.monotonic() - started < 30
    assert threading.active_count() < 10


def test_what_waits_is_bounded(make_clip: ClipMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_clip("h264.mp4", frames=36)
    budget = 3 * 4 * 32 * 32 * 3  # three videos
    monkeypatch.setattr(worker_pool, "MEMORY_BUDGET", budget)
    taken = 0

    def items() -> Iterator[MediaItem]:
        nonlocal taken
        for number in range(40):
            taken += 1
            yield item(number, path)

    with WorkerPool(items(), ProcessSettings(how=HOW, seconds=60.0), workers=2) as pool:
        for given, _ in enumerate(pool.results(), start=1):
            time.sleep(0.02)
            assert taken - given <= 3 + 2 * 2


def test_failures_of_the_input_pass_through() -> None:
    failure = Failure(id="a", source="a", stage="read", error="no")
    with WorkerPool([failure], ProcessSettings(how=HOW, seconds=60.0), workers=1) as pool:
        assert list(pool.results()) == [Decoded(number=0, item=failure, result=None)]


def test_errors_of_the_input_are_raised(make_clip: ClipMaker) -> None:
    def items() -> Iterator[MediaItem]:
        yield item(0, make_clip("h264.mp4", frames=36))
        raise OSError("the disk is gone")

    with (
        WorkerPool(items(), ProcessSettings(how=HOW, seconds=60.0), workers=1) as pool,
        pytest.raises(OSError, match=r"^the disk is gone$"),
    ):
        list(pool.results())


def test_a_process_that_cannot_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_process, "_PROGRAM", "raise ImportError('no decoder is installed')")
    message = r"^a decoding process could not be started \(ImportError: no decoder is installed\)$"
    with pytest.raises(WorkerStartError, match=message):
        WorkerProcess(ProcessSettings(how=HOW, seconds=1.0))


def test_a_process_that_died_while_idle_is_replaced_without_blaming_the_input(make_clip: ClipMaker) -> None:
    path = make_clip("h264.mp4", frames=36)

    def items() -> Iterator[MediaItem]:
        yield item(0, path)
        [process] = pool._processes.values()
        process.kill()
        process._process.wait()
        yield item(1, path)

    with WorkerPool(items(), ProcessSettings(how=HOW, seconds=60.0), workers=1) as pool:
        assert all(isinstance(decoded.result, Prepared) for decoded in pool.results())


def test_a_process_makes_room_for_a_new_one(make_clip: ClipMaker) -> None:
    path = make_clip("h264.mp4", frames=36)
    program = worker_process._PROGRAM.replace(
        "main()", "from optsg.extract.workers import worker; worker.RETIRE_FILES = 2; main()"
    )
    started: list[int] = []

    class Counted(WorkerProcess):
        def __init__(self, settings: ProcessSettings):
            started.append(1)
            super().__init__(settings)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker_process, "_PROGRAM", program)
        patch.setattr(worker_pool, "WorkerProcess", Counted)
        results = read([path] * 5, workers=1)
    assert all(isinstance(decoded.result, Prepared) for decoded in results)
    assert len(started) == 3


@pytest.mark.usefixtures("misbehaving")
def test_a_hanging_process_ends_itself_when_its_owner_was_killed() -> None:
    process = WorkerProcess(ProcessSettings(how=HOW, seconds=1.0))
    process._send({"kind": "video", "in_memory": True, "seconds": 1.0}, b"hang")
    deadline = time.monotonic() + worker.GRACE_SECONDS + 10
    while process._process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    assert process._process.returncode == -signal.SIGALRM
    process.close()


def test_ctrl_c_does_not_reach_decoding_processes(make_clip: ClipMaker) -> None:
    process = WorkerProcess(ProcessSettings(how=HOW, seconds=60.0))
    os.kill(process._process.pid, signal.SIGINT)
    assert isinstance(process.prepare("video", make_clip("h264.mp4", frames=36)), Prepared)
    process.close()
    assert process._process.returncode == 0
