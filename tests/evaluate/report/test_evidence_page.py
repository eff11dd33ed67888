"""Evidence in the report, and the page's script in a real browser."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from optsg.data.tags import tag_key
from optsg.evaluate.cli import main as optsg_eval
from optsg.evaluate.report.cli import main as optsg_report
from optsg.evaluate.report.evidence import clock, read_evidence, write_evidence
from optsg.evaluate.scores.predictions import read_predictions
from optsg.evaluate.scores.saved import remember_inputs, remembered_inputs
from optsg.extract.encoders.pixel_plan import PixelPlan
from playwright.sync_api import Browser, Page, expect

from tests.evaluate.legible import Scheme, every_look, every_width, flaws, shown


@pytest.fixture(scope="module")
def explained_run(run_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("explained") / "tiny"
    shutil.copytree(run_path, folder)
    result = CliRunner().invoke(optsg_eval, ["--run", str(folder), "--evidence", "-q", "--device", "cpu"])
    assert result.exit_code == 0, result.output
    return folder


def test_every_predicted_tag_of_the_samples_has_evidence(explained_run, store, tmp_path):
    folder = explained_run / "eval/test"
    items = {item.id: item for item in read_predictions(folder / "predictions.jsonl")}
    found = read_evidence(folder / "evidence.jsonl")
    assert found.keys() == items.keys()
    row_of = {video: row for row, video in enumerate(store.ids())}
    for video, tags in found.items():
        assert tags.keys() == {tag_key(tag.text) for tag in items[video].tags}
        for key, evidence in tags.items():
            assert [second for second, _ in evidence.frames] == store.times(row_of[video]).tolist()
            assert [word for word, _ in evidence.words] == items[video].title.split()
            shares = sum(share for _, share in evidence.words)
            # 0: of a tag that rests on no word more than on its absence.
            assert shares == pytest.approx(1, abs=0.01) or items[video].title == "" or shares == 0, key
        of_words = [sum(share for _, share in evidence.words) > 0 for evidence in tags.values()]
        assert any(of_words) or not tags or items[video].title == ""
    write_evidence(tmp_path / "evidence.jsonl", found)
    assert (tmp_path / "evidence.jsonl").read_bytes() == (folder / "evidence.jsonl").read_bytes()


def test_the_page_rendered_again_has_the_evidence_too(explained_run, tmp_path):
    page = (explained_run / "eval/test/report.html").read_text(encoding="utf-8")
    result = CliRunner().invoke(optsg_report, [str(explained_run), "--out", str(tmp_path / "again.html")])
    assert result.exit_code == 0, result.output
    again = (tmp_path / "again.html").read_text(encoding="utf-8")
    assert again.count('<div class="evidence">') == page.count('<div class="evidence">') > 0


def test_evidence_of_older_predictions_is_removed(explained_run, tmp_path):
    shutil.copytree(explained_run, tmp_path / "run")
    result = CliRunner().invoke(optsg_eval, ["--run", str(tmp_path / "run"), "-q", "--device", "cpu"])
    assert result.exit_code == 0, result.output
    assert not (tmp_path / "run/eval/test/evidence.jsonl").exists()


def test_inputs_without_evidence_are_refused(tmp_path):
    result = CliRunner().invoke(optsg_eval, ["--inputs", str(tmp_path)])
    assert result.exit_code == 2
    assert "Error: --inputs is for the pictures of --evidence; give both" in result.output


def test_times_are_minutes_and_seconds():
    assert [clock(second) for second in (0.0, 1.04, 59.6, 61.2)] == ["0:00", "0:01", "1:00", "1:01"]


PLAN = PixelPlan(mode="shortest", size=(32, 32), crop=(32, 32), interpolation="bilinear")


@pytest.fixture
def with_clips(explained_run, make_store, clip_factory, tmp_path) -> tuple[Path, Path, Path]:
    """An evaluation with evidence, a store that says how frames are cut, and a folder with two of its nine videos."""
    shutil.copytree(explained_run, tmp_path / "run")
    spec = {
        "library": "timm",
        "name": "tiny",
        "digest": "sha256:aa",
        "preprocessing": json.loads(json.dumps(PLAN.spec())),
    }
    clip_factory("videos/test/00.mp4", duration=2.0)
    clip_factory("videos/test/01.mp4", duration=3.0)
    return tmp_path / "run", make_store("cut.h5", image_encoder=spec), tmp_path / "videos"


def stills_of(run: Path) -> int:
    strips = (run / "eval/test/report.html").read_text(encoding="utf-8").split('<ol class="strip">')[1:]
    return sum(strip.partition("</ol>")[0].count("data:image/jpeg;base64,") for strip in strips)


def report(*arguments: object) -> Result:
    return CliRunner().invoke(optsg_report, list(map(str, arguments)))


def test_stills_come_into_a_report_that_was_made_without(with_clips):
    run, feats, videos = with_clips
    assert stills_of(run) == 0
    shortfall = (
        f"warning: the report has no stills of 7 of 9 videos: in {videos} they are not there or give other frames "
        "(the first is 'test/{}.mp4'); say with --inputs DIR which folder was extracted\n"
    )
    first = report(run, "--feats", feats, "--inputs", videos)
    assert (first.exit_code, stills_of(run)) == (0, 5)
    missing = re.search(r"test/(\d+)\.mp4", first.stderr)
    assert missing is not None
    assert first.stderr == shortfall.format(missing[1])
    again = report(run, "--feats", feats)  # the folder is known now
    assert (again.stderr, stills_of(run)) == (first.stderr, 5)
    shutil.move(videos, videos.with_name("moved"))
    assert f"no stills of 9 of 9 videos: in {videos} they" in report(run, "--feats", feats).stderr
    assert stills_of(run) == 0
    assert "of 7 of 9" in report(run, "--feats", feats, "--inputs", videos.with_name("moved")).stderr
    assert stills_of(run) == 5


def test_an_evaluation_says_once_which_videos_have_no_stills(with_clips):
    run, feats, videos = with_clips
    arguments = ["--run", run, "--feats", feats, "--evidence", "--inputs", videos, "-q", "--device", "cpu"]
    result = CliRunner().invoke(optsg_eval, list(map(str, arguments)))
    assert result.stderr.startswith("warning: the report has no stills of 7 of 9 videos: ")
    assert result.stderr.count("\n") == 1
    assert stills_of(run) == 5
    report(run, "--feats", feats)
    assert stills_of(run) == 5, "rendered again, the report keeps its stills"


def test_a_page_elsewhere_leaves_the_evaluation_as_it_is(with_clips, tmp_path):
    run, feats, videos = with_clips
    before = {path.name: path.stat().st_mtime_ns for path in (run / "eval/test").iterdir()}
    assert report(run, "--feats", feats, "--inputs", videos, "--out", tmp_path / "page.html").exit_code == 0
    assert {path.name: path.stat().st_mtime_ns for path in (run / "eval/test").iterdir()} == before


def test_any_folder_is_remembered(tmp_path):
    assert remembered_inputs(tmp_path) is None
    for name in ("videos", "видео\n\u2028", "\udce9t\udce9"):  # the last is "été" in Latin-1, as Linux has it
        remember_inputs(tmp_path, tmp_path / name)
        assert remembered_inputs(tmp_path) == tmp_path / name
    remember_inputs(tmp_path, None)
    assert remembered_inputs(tmp_path) is None


def test_stills_need_evidence_and_a_store_that_says_how_frames_were_cut(with_clips, tmp_path):
    run, _, videos = with_clips
    assert report(run, "--inputs", videos).stderr == (
        "warning: the report has no stills: the store does not say how its frames were taken, they were imported\n"
    )
    (run / "eval/test/inputs.json").write_text("[]", encoding="utf-8")
    assert report(run).stderr.startswith(f"error: {run}/eval/test/inputs.json cannot be read (")
    (run / "eval/test/evidence.jsonl").unlink()
    assert report(run, "--inputs", videos).stderr == (
        f"error: {run}/eval/test has no evidence, which stills are shown beside; make it with: "
        f"optsg-eval --run {run} --split test --evidence --inputs {videos}\n"
    )
    refused = report(run, run, "--inputs", videos)
    assert refused.exit_code == 2
    assert "Error: --inputs is for the pictures of one run's evidence; a comparison shows none" in refused.output


@pytest.fixture
def page(browser: Browser, explained_run: Path):
    opened = browser.new_page(viewport={"width": 390, "height": 800})
    opened.goto((explained_run / "eval/test/report.html").as_uri())
    yield opened
    opened.close()


def test_evidence_follows_the_focus(page: Page):
    cards = (page.locator(".card").nth(number) for number in range(page.locator(".card").count()))
    card = next(card for card in cards if card.locator("button.tag").count() > 1)
    tags = card.locator("button.tag")
    for number in range(tags.count()):
        tags.nth(number).focus()
        expect(card.locator(".evidence-of")).to_have_text(tags.nth(number).locator("[dir]").inner_text())
        expect(tags.nth(number)).to_have_attribute("aria-pressed", "true")
        shares = str(tags.nth(number).get_attribute("data-frames")).split()
        assert card.locator(".strip .share").all_inner_texts() == [f"{share} %" for share in shares]


def test_videos_are_found_by_tag_and_verdict_with_the_keyboard(page: Page):
    cards, output = page.locator(".card:visible"), page.locator(".videofilter output")
    everything = cards.count()
    page.locator(".videofilter input").focus()
    page.keyboard.type("MOON")
    expect(cards).to_have_count(3)
    expect(output).to_have_text("3 videos")
    page.locator(".videofilter select").select_option("missed")
    wanted = page.locator(".card", has=page.locator(".tag.missed", has_text="Moon")).count()
    expect(cards).to_have_count(wanted)
    page.locator(".videofilter button").press("Enter")
    expect(cards).to_have_count(everything)


def test_tables_are_sorted_and_searched(page: Page):
    names = page.locator("#tag-table tbody tr:visible th")
    page.locator("#tag-table thead button").first.press("Enter")
    texts = names.all_inner_texts()
    assert texts == sorted(texts, key=str.lower)
    page.locator("#tag-table-filter").fill(texts[0][:3])
    assert 0 < names.count() <= len(texts)
    assert all(
        texts[0][:3].lower() in text.lower() for text in page.locator("#tag-table tbody tr:visible").all_inner_texts()
    )


@every_width
@every_look
def test_the_page_can_be_read(browser: Browser, explained_run: Path, width: int, scheme: Scheme):
    with shown(browser, (explained_run / "eval/test/report.html").as_uri(), width, scheme) as opened:
        assert opened.locator(".chart").count() > 3
        assert flaws(opened) == []
