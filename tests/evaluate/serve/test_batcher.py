"""Files of many callers: admitted or refused at once, tagged together, one bad one among them costs no other."""

from __future__ import annotations

import pytest
from optsg.evaluate.serve.batcher import Batcher, Job
from optsg.evaluate.serve.metrics import Metrics
from optsg.evaluate.serve.refusals import RefusedError
from optsg.train.writing.tag_control import VideoTags

from tests.evaluate.serve.fake_model import FakeFiles, request_for


def job(name, files, wishes=()):
    return Job(request=request_for(name), tagger=files.tagger, wishes=VideoTags(pinned=tuple(wishes)))


def opened(files, **how):
    return Batcher("fake", files, **{"most": 8, "wait": 0.05, "metrics": Metrics(), **how})


def tags(jobs):
    return [one.outcome.result(60).tags[0].text for one in jobs]


def test_files_of_several_callers_share_a_batch_and_each_gets_its_own_tags():
    files = FakeFiles(group=4)
    with opened(files, wait=5.0) as batcher:
        callers = [[job(f"{caller}-{n}", files) for n in range(2)] for caller in "ab"]
        for jobs in callers:
            batcher.submit(jobs)
        assert [tags(jobs) for jobs in callers] == [["a-0", "a-1"], ["b-0", "b-1"]]
    assert [sorted(names) for names in files.groups] == [["a-0", "a-1", "b-0", "b-1"]]


def test_what_is_asked_differently_is_tagged_apart():
    files = FakeFiles(group=2)
    with opened(files, wait=5.0) as batcher:
        jobs = [job("a", files), job("b", files, ["wish"])]
        batcher.submit(jobs)
        assert tags(jobs) == ["a", "b"]
    assert sorted(files.groups) == [["a"], ["b"]]


def test_a_full_queue_refuses_a_request_as_a_whole_and_takes_it_once_there_is_room():
    files = FakeFiles()
    with opened(files, most=3) as batcher:
        files.files.go.clear()
        first, more = [job(f"{n}", files) for n in range(2)], [job(f"more {n}", files) for n in range(2)]
        batcher.submit(first)
        with pytest.raises(RefusedError) as refused:
            batcher.submit(more)
        assert refused.value.status == 429
        files.files.go.set()
        assert tags(first) == ["0", "1"]
        batcher.submit(more)
        assert tags(more) == ["more 0", "more 1"]


def test_a_file_that_upsets_the_model_fails_alone():
    files = FakeFiles(group=3)
    with opened(files, wait=5.0) as batcher:
        jobs = [job(name, files) for name in ("a", "poison", "b")]
        batcher.submit(jobs)
        assert tags([jobs[0], jobs[2]]) == ["a", "b"]
        with pytest.raises(RuntimeError, match="upsets"):
            jobs[1].outcome.result(60)
        unreadable = job("unreadable", files)
        batcher.submit([unreadable])
        with pytest.raises(RuntimeError, match="nobody expected"):
            unreadable.outcome.result(60)
        after = job("c", files)
        batcher.submit([after])
        assert tags([after]) == ["c"]


def test_nothing_is_done_for_a_caller_who_left_and_the_place_is_free_again():
    files = FakeFiles(workers=1)
    with opened(files, most=2) as batcher:
        files.files.go.clear()
        stays, leaves = job("stays", files), job("leaves", files)
        batcher.submit([stays, leaves])
        leaves.left = True
        assert leaves.outcome.cancel()
        files.files.go.set()
        assert tags([stays]) == ["stays"]
        after = [job("a", files), job("b", files)]
        batcher.submit(after)
        assert tags(after) == ["a", "b"]
    assert "leaves" not in files.files.seen
