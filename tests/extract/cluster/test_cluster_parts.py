"""What ``--ray`` is made of, without Ray: plans of workers, blocks of inputs, a worker, and refusals."""

from __future__ import annotations

import errno
import importlib.util
import os
import platform
import re
import shutil
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import optsg
import pytest
from click.testing import CliRunner
from optsg.data.errors import ClusterError, ConfigError, InputError
from optsg.data.inputs import open_inputs
from optsg.data.media import Failure, MediaItem, TarMember
from optsg.extract.cli import main
from optsg.extract.cluster.connection import connected
from optsg.extract.cluster.encoding_worker import (
    EncodingWorker,
    InputBlock,
    ResultBlock,
    WorkerSettings,
    check_same,
    cut_blocks,
    describe_encoder,
    from_table,
    to_table,
)
from optsg.extract.cluster.worker_plan import Machine, WorkerPlan, plan_workers
from optsg.extract.decoding.sampling import Sampling
from optsg.extract.encoders.image_encoder import parse_image_encoder
from optsg.extract.engine import ImageFeatures
from optsg.extract.parts import DoneInputs

from tests.extract.decoding.painted_clips import ClipMaker

# --- how many workers


@pytest.mark.parametrize(
    ("machines", "device", "processors", "plan"),
    [
        ([(16, 4), (16, 4)], "auto", None, (8, 4, 1)),
        ([(16, 4), (16, 4)], "cuda", 8, (4, 8, 1)),
        ([(4, 0), (16, 1), (24, 2)], "auto", None, (3, 12, 1)),
        ([(16, 4), (8, 0)], "cpu", None, (3, 8, 0)),
        ([(0, 0), (6, 0), (9, 0)], "auto", 2, (7, 2, 0)),
        ([(1, 2)], "auto", None, (1, 1, 1)),
    ],
)
def test_workers_fill_the_machines(
    machines: list[tuple[int, int]], device: str, processors: int | None, plan: tuple[int, int, int]
) -> None:
    found = plan_workers([Machine(processors=p, gpus=g) for p, g in machines], device=device, processors=processors)
    assert found == WorkerPlan(count=plan[0], processors=plan[1], gpus=plan[2])


@pytest.mark.parametrize(
    ("machines", "device", "processors", "error"),
    [
        (
            [(8, 1)],
            "cuda:1",
            None,
            "--device cuda:1 does not go with --ray, which says what a worker has; expected auto, cpu or cuda",
        ),
        ([(8, 0)], "cuda", None, "--device cuda: no machine of the Ray cluster has a GPU"),
        ([(0, 1)], "auto", None, "no machine of the Ray cluster has a processor for a worker"),
        (
            [(8, 0), (4, 0)],
            "auto",
            9,
            "--workers 9: no machine of the Ray cluster has so many processors; the largest has 8",
        ),
        (
            [(8, 1), (64, 0)],
            "auto",
            9,
            "--workers 9: no machine of the Ray cluster has so many processors and a GPU; the largest has 8",
        ),
    ],
)
def test_what_no_machine_has_is_refused(
    machines: list[tuple[int, int]], device: str, processors: int | None, error: str
) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(error)}$"):
        plan_workers([Machine(processors=p, gpus=g) for p, g in machines], device=device, processors=processors)


# --- what goes through Ray


def test_blocks_hold_what_is_not_done_in_order_with_absolute_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "videos").mkdir()
    for name in "edcba":
        (tmp_path / "videos" / f"{name}.mp4").write_text(name)
    monkeypatch.chdir(tmp_path)
    inputs, done = open_inputs(Path("videos")), DoneInputs(videos={"b"})
    monkeypatch.chdir("/")
    found = list(cut_blocks(inputs, done, tmp_path, 3))
    assert [[item.id for item in block.inputs] for block in found] == [["a", "c", "d"], ["e"]]
    item = found[0].inputs[0]
    assert isinstance(item, MediaItem)
    assert item.payload == tmp_path / "videos/a.mp4"
    assert [list(from_table(to_table(block))) for block in found] == [[block] for block in found]


def test_members_of_tar_files_go_as_places_and_errors_of_the_reader_as_they_are(tmp_path: Path) -> None:
    member = TarMember(path=Path("0.tar"), offset=512, size=3)
    item = MediaItem(id="a", source="a", kind="video", title="", tags=(), split="none", payload=member)
    failure = Failure(id="b", source="b", stage="read", error="no")

    class Broken:
        description, count = "", None

        def __iter__(self) -> Any:
            yield from (item, failure)
            raise InputError("the list ends here")

    first, last = cut_blocks(Broken(), DoneInputs(), tmp_path, 2)
    assert first.inputs == [replace(item, payload=replace(member, path=tmp_path / "0.tar")), failure]
    assert last.inputs == []
    assert isinstance(last.error, InputError)
    assert str(last.error) == "the list ends here"


# --- a worker


@pytest.fixture
def settings(tiny_timm_folder: Path) -> WorkerSettings:
    return WorkerSettings(
        version=optsg.__version__,
        image_encoder=parse_image_encoder(str(tiny_timm_folder)),
        device="cpu",
        precision="auto",
        sampling=Sampling(),
        thumbnails=False,
        timeout=60.0,
        batch_size=8,
        processes=1,
    )


def answer(worker: EncodingWorker, block: InputBlock) -> ResultBlock:
    (table,) = worker(to_table(block))
    (result,) = from_table(table)
    assert isinstance(result, ResultBlock)
    return result


def test_a_worker_gives_every_block_back_in_its_order(
    settings: WorkerSettings, make_clip: ClipMaker, tmp_path: Path
) -> None:
    for name in "abc":
        shutil.copy(make_clip("worker.mp4", frames=12), tmp_path / f"{name}.mp4")
    (tmp_path / "aa.mp4").write_text("no video")
    image = describe_encoder(settings)
    assert isinstance(image, ImageFeatures)
    worker = EncodingWorker(settings, image)
    for block in cut_blocks(open_inputs(tmp_path), DoneInputs(), tmp_path, 2):
        result = answer(worker, block)
        assert result.error is None
        assert [one.id for one in result.results] == [item.id for item in block.inputs]
    (broken,) = cut_blocks(_Raising(), DoneInputs(), tmp_path, 2)
    assert str(answer(worker, broken).error) == "no inputs"


class _Raising:
    description, count = "", None

    def __iter__(self) -> Any:
        raise InputError("no inputs")


def test_a_worker_with_another_encoder_or_version_refuses(settings: WorkerSettings) -> None:
    image = describe_encoder(settings)
    assert isinstance(image, ImageFeatures)
    other = replace(image, frame_dim=7, encoder={**image.encoder, "digest": "sha256:0", "library_version": "0"})
    worker = EncodingWorker(settings, other)
    error = answer(worker, InputBlock(inputs=[])).error
    assert isinstance(error, ClusterError)
    assert str(error) == (
        f"the Ray worker on {platform.node()} has another image encoder than the first worker (its own ≠ the first "
        f"one's): frame_dim: {image.frame_dim} ≠ 7; image_encoder.digest: {image.encoder['digest']!r} ≠ 'sha256:0'; all "
        "machines need the same weights"
    )
    check_same(image, replace(image, encoder={**image.encoder, "library_version": "0"}))
    assert str(describe_encoder(replace(settings, version="0.0"))) == (
        f"the Ray worker on {platform.node()} has optsg {optsg.__version__}, and the command is of 0.0; install the same "
        "version on all machines"
    )


# --- the command


def run(videos: Path, *options: str) -> str:
    arguments = [str(videos), "--out", str(videos.parent / "out.h5"), "--preset", "small", "-q", *options]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1
    return result.output


def test_an_address_where_nothing_answers_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda *_: True)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    refused = OSError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
    error = f"--ray 127.0.0.1:{port}: nothing answers there ({refused})"
    with pytest.raises(ClusterError, match=f"^{re.escape(error)}$"), connected(f"127.0.0.1:{port}"):
        pass


def test_without_ray_the_command_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos/a.mp4").write_text("")
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "ray" else find_spec(name, *a))
    expected = "error: --ray needs Ray, which is not installed; install it with: pip install 'optsg[ray]'\n"
    assert run(tmp_path / "videos", "--ray") == expected
    assert run(tmp_path / "videos", "--ray", "head:6379") == expected
    for address in ("videos/", "ray://head:10001", "head", "head:port"):
        assert run(tmp_path / "videos", "--ray", address) == (
            f"error: --ray {address} is no address of a Ray cluster; expected HOST:PORT, auto, local or nothing\n"
        )
