from __future__ import annotations

import http.client
import json
import re
import socket
import time
from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import APIRoute
from optsg.data.errors import RunError
from optsg.data.inputs.source_files import MediaBytes
from optsg.evaluate.judge.answers import Answer, AnswerFile
from optsg.evaluate.judge.app import UnsatisfiableRangeError, create_app, parse_range
from optsg.evaluate.judge.server import JudgingServer

from tests.evaluate.judge.conftest import Serve

VIDEO = bytes(range(200))
GUARDING = {
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Server": "optsg",
}
"""Headers of every reply, beside its policy."""


@pytest.fixture
def media(tmp_path: Path) -> dict[int, MediaBytes]:
    """Video 0 lies in the middle of a file."""
    path = tmp_path / "shard.tar"
    path.write_bytes(b"before" + VIDEO + b"after")
    return {0: MediaBytes(path=path, offset=6, size=200, type="video/mp4")}


class Reply:
    def __init__(self, response: http.client.HTTPResponse):
        self.status, self.headers, self.body = response.status, response.headers, response.read()


def ask(
    server: JudgingServer,
    place: str,
    *,
    method: str = "GET",
    body: Any = None,
    token: str | None = None,
    **headers: str,
) -> Reply:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    if body is not None:
        method, headers = "POST", {"Content_Type": "application/json", **headers}
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        connection.request(method, f"/{server.token if token is None else token}/{place}", body=body, headers=named)
        return Reply(connection.getresponse())
    finally:
        connection.close()


def test_the_page_comes_with_its_policy(serve: Serve):
    with serve({}) as server:
        page = ask(server, "")

        assert page.status == 200
        assert b"Judge tags" in page.body
        assert page.headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self'")
        assert page.headers["Referrer-Policy"] == "no-referrer"
        assert ask(server, "page.js").headers.get_content_type() == "text/javascript"
        assert server.url.startswith("http://127.0.0.1:")


def addresses(server: JudgingServer) -> list[tuple[str, str]]:
    """Every route with each of its methods, an address that no route knows, and methods that no route takes."""
    known = []
    for route in create_app(server.site).routes:
        assert isinstance(route, APIRoute)
        known += [(method, re.sub(r"\{\w+\}", "0", route.path).removeprefix("/")) for method in route.methods or ()]
    return [*known, ("GET", "nowhere"), ("POST", "nowhere"), ("PUT", ""), ("DELETE", "answer"), ("GET", "openapi.json")]


def assert_guarded(reply: Reply) -> None:
    policy = reply.headers["Content-Security-Policy"]
    assert "base-uri 'none'; form-action 'none'; frame-ancestors 'none'" in policy
    assert policy.startswith("default-src 'none'; script-src 'self'; ") or b"http-equiv" in reply.body or not reply.body
    assert {name: reply.headers[name] for name in GUARDING} == GUARDING


def test_the_addresses(serve: Serve):
    with serve({}) as server:
        places = {place for _, place in addresses(server)}

    assert {"", "page.css", "page.js", "questions", "answer", "undo", "results", "verdicts.csv"} < places
    assert {"media/0", "still/0"} < places


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({"token": "x"}, 403),
        ({"token": ""}, 403),
        ({"Host": "evil.example"}, 421),
        ({"Origin": "http://evil.example"}, 403),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Sec_Fetch_Site": "same-site"}, 403),
    ],
)
def test_every_address_refuses_others(serve: Serve, media: dict[int, MediaBytes], wrong: dict[str, Any], status: int):
    with serve(media) as server:
        for method, place in addresses(server):
            reply = ask(server, place, method=method, **wrong)
            assert reply.status == status, (method, place)
            assert_guarded(reply)


def test_every_reply_carries_the_headers(serve: Serve, media: dict[int, MediaBytes]):
    with serve(media) as server:
        replies = {(method, place): ask(server, place, method=method) for method, place in addresses(server)}
        replies["POST", "undo"] = ask(server, "undo", body={"annotator": "Ann"})
        replies["part", ""] = ask(server, "media/0", Range="bytes=0-9")
        replies["behind", ""] = ask(server, "media/0", Range="bytes=200-")
        replies["bad", ""] = ask(server, "undo", body=b"{")
        replies["type", ""] = ask(server, "undo", body=b"{}", Content_Type="text/plain")

    assert {reply.status for reply in replies.values()} == {200, 206, 400, 404, 405, 415, 416}
    for reply in replies.values():
        assert_guarded(reply)


def test_unknown_addresses_and_methods(serve: Serve):
    with serve({}) as server:
        for place in ("nowhere", "docs", "openapi.json", "page.css/", "media/", "media/x", "media/1234567890"):
            reply = ask(server, place)
            assert (reply.status, reply.body) == (404, b"there is no such page"), place
        for method, place, allowed in (
            ("GET", "answer", "POST"),
            ("POST", "results", "GET, HEAD"),
            ("PUT", "", "GET, HEAD"),
        ):
            reply = ask(server, place, method=method)
            assert (reply.status, reply.body) == (405, b"this address is not for such a request")
            assert ", ".join(sorted(reply.headers["Allow"].split(", "))) == allowed


def test_what_goes_wrong_inside_is_told_on_the_terminal(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    def fail() -> None:
        raise KeyError("a secret")

    with serve({}) as server:
        monkeypatch.setattr(server.site, "results", fail)
        reply = ask(server, "results")
        assert ask(server, "").status == 200

    assert (reply.status, reply.body) == (500, b"optsg-judge failed; its terminal says why")
    assert_guarded(reply)
    assert caplog.messages == ["/results failed: KeyError: 'a secret'"]
    assert caplog.records[0].exc_info is None


def test_without_the_token_nothing_is_told(serve: Serve, media: dict[int, MediaBytes]):
    with serve(media) as server:
        for token in ("", "x", server.token[:-1], server.token + "x", "%C3%A9"):
            reply = ask(server, "media/0", token=token)
            assert (reply.status, reply.body) == (403, b"open the address that optsg-judge printed")
        assert ask(server, "undo", body={"annotator": "Ann"}, token="x").status == 403


def test_other_hosts_and_origins_are_refused(serve: Serve):
    with serve({}) as server:
        here = f"http://127.0.0.1:{server.port}"

        assert ask(server, "", Host=f"evil.example:{server.port}").status == 421
        assert ask(server, "", Host="127.0.0.1").status == 421
        assert ask(server, "", Host=f"localhost:{server.port}").status == 200
        assert ask(server, "", Origin="http://evil.example").status == 403
        assert ask(server, "", Origin="null").status == 403
        followed = ask(server, "", Sec_Fetch_Site="cross-site")
        assert followed.status == 403
        assert followed.body.endswith(b"paste the address that optsg-judge printed into the browser")
        assert ask(server, "undo", body={"annotator": "Ann"}, Origin=here).status == 200


def test_parts_of_a_video(serve: Serve, media: dict[int, MediaBytes]):
    with serve(media) as server:
        whole = ask(server, "media/0")
        part = ask(server, "media/0", Range="bytes=10-19")
        head = ask(server, "media/0", method="HEAD")
        behind = ask(server, "media/0", Range="bytes=200-")

    assert (whole.status, whole.body, whole.headers["Accept-Ranges"]) == (200, VIDEO, "bytes")
    assert (part.status, part.body, part.headers["Content-Range"]) == (206, VIDEO[10:20], "bytes 10-19/200")
    assert (head.status, head.body, head.headers["Content-Length"]) == (200, b"", "200")
    assert (behind.status, behind.headers["Content-Range"]) == (416, "bytes */200")


def test_a_video_that_became_shorter_is_not_sent_as_whole(
    serve: Serve, media: dict[int, MediaBytes], caplog: pytest.LogCaptureFixture
):
    longer = MediaBytes(path=media[0].path, offset=6, size=900, type="video/mp4")
    gone = MediaBytes(path=media[0].path.with_name("gone.mp4"), offset=0, size=9, type="video/mp4")
    with serve({0: longer, 1: gone}) as server:
        with pytest.raises(http.client.IncompleteRead):
            ask(server, "media/0")
        reply = ask(server, "media/1")

    assert caplog.messages == [f"/media/0 failed: OSError: {media[0].path} became shorter"]
    assert (reply.status, reply.body) == (404, b"the video cannot be read: No such file or directory")


def test_it_ends_although_a_browser_does_not_read(serve: Serve, tmp_path: Path):
    path = tmp_path / "long.mp4"
    path.write_bytes(bytes(30_000_000))  # more than the buffers between the two hold
    with serve({0: MediaBytes(path=path, offset=0, size=30_000_000, type="video/mp4")}) as server:
        reading = socket.create_connection(("127.0.0.1", server.port), timeout=10)
        reading.sendall(f"GET /{server.token}/media/0 HTTP/1.1\r\nHost: {server.hosts[0]}\r\n\r\n".encode())
        assert reading.recv(12) == b"HTTP/1.1 200"
        before = time.monotonic()
    assert time.monotonic() - before < 10

    with reading, pytest.raises(ConnectionRefusedError):
        ask(server, "")


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("bytes=0-", (0, 199)),
        ("bytes=0-0", (0, 0)),
        ("bytes=190-999", (190, 199)),
        ("bytes=-10", (190, 199)),
        ("bytes=-999", (0, 199)),
        ("bytes=5-4", None),
        ("bytes=-", None),
        ("bytes=0-1,5-6", None),
        ("lines=0-1", None),
        ("bytes=a-b", None),
    ],
)
def test_ranges(header: str | None, expected: tuple[int, int] | None):
    assert parse_range(header, 200) == expected


def test_ranges_of_which_nothing_is_there():
    for header, size in (("bytes=200-", 200), ("bytes=-0", 200), ("bytes=-5", 0), ("bytes=0-", 0)):
        with pytest.raises(UnsatisfiableRangeError):
            parse_range(header, size)


def test_only_the_videos_that_are_asked_about_can_be_fetched(
    serve: Serve, media: dict[int, MediaBytes], tmp_path: Path
):
    (tmp_path / "secret.txt").write_text("secret")

    with serve(media) as server:
        for place in (
            "media/1",
            "media/-1",
            "media/99",
            "still/99",
            "still/0",
            "media/../secret.txt",
            "../../secret.txt",
            "media/..%2fsecret.txt",
            "media/" + str(tmp_path / "secret.txt"),
            "secret.txt",
        ):
            reply = ask(server, place)
            assert reply.status == 404, place
            assert b"secret" not in reply.body


def test_the_questions_do_not_tell_who_wrote_a_tag(serve: Serve, media: dict[int, MediaBytes]):
    with serve(media) as server:
        told = json.loads(ask(server, "questions", body={"annotator": "  Ann  "}).body)

    assert told["annotator"] == "Ann"
    assert {question["tag"] for question in told["questions"]} == {"Kitten", "fluff", "puppy", "lawn", "moon"}
    assert {name for question in told["questions"] for name in question} == {
        "number",
        "tag",
        "title",
        "video",
        "media",
        "verdict",
    }


def test_answers_are_kept_over_a_restart_and_can_be_taken_back(serve: Serve, answers: AnswerFile):
    with serve({}) as server:
        saved = ask(server, "answer", body={"annotator": "Ann", "number": 3, "verdict": "relevant"})
    assert saved.status == 200
    assert answers.of_annotator("Ann") == {("b", "puppy"): "relevant"}

    with serve({}) as server:
        told = json.loads(ask(server, "questions", body={"annotator": "Ann"}).body)["questions"]
        assert [question["tag"] for question in told if question["verdict"] == "relevant"] == ["puppy"]
        assert json.loads(ask(server, "undo", body={"annotator": "Ann"}).body) == {"number": 3, "verdict": None}
        assert json.loads(ask(server, "undo", body={"annotator": "Ann"}).body) == {"number": None, "verdict": None}
    assert answers.all() == []


def test_undo_does_not_touch_what_another_session_asked(serve: Serve, answers: AnswerFile):
    answers.save(Answer(video="b", tag="puppy", annotator="Ann", verdict="not"))
    answers.save(Answer(video="elsewhere", tag="x", annotator="Ann", verdict="not"))

    with serve({}) as server:
        assert json.loads(ask(server, "undo", body={"annotator": "Ann"}).body) == {"number": 3, "verdict": None}
    assert [answer.video for answer in answers.all()] == ["elsewhere"]


def test_a_name_in_other_capitals_is_the_same_annotator(serve: Serve, answers: AnswerFile):
    answers.save(Answer(video="b", tag="puppy", annotator="Ann", verdict="not"))

    with serve({}) as server:
        assert json.loads(ask(server, "questions", body={"annotator": "aNN"}).body)["annotator"] == "Ann"
        assert json.loads(ask(server, "questions", body={"annotator": "Anna"}).body)["annotator"] == "Anna"


def test_a_file_of_answers_that_went_bad_is_told(serve: Serve, answers: AnswerFile):
    with serve({}) as server:
        for name in ("judgements.sqlite", "judgements.sqlite-wal", "judgements.sqlite-shm"):
            (answers.path.parent / name).unlink(missing_ok=True)
        replies = [
            ask(server, "answer", body={"annotator": "Ann", "number": 0, "verdict": "not"}),
            ask(server, "results"),
            ask(server, "verdicts.csv"),
        ]

    for reply in replies:
        assert (reply.status, reply.body) == (500, b"the file of answers cannot be used: no such table: answers")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"annotator": "Ann", "number": 5, "verdict": "not"}, "there is no such question"),
        ({"annotator": "Ann", "number": True, "verdict": "not"}, "there is no such question"),
        ({"annotator": "Ann", "number": 0, "verdict": "maybe"}, "a verdict is one of relevant, not, unsure"),
        ({"annotator": " ", "number": 0, "verdict": "not"}, "give a name of 1 to 60 characters"),
        ({"number": 0, "verdict": "not"}, "give a name of 1 to 60 characters"),
        ([], "expected a JSON object"),
        (b"{", "expected JSON"),
        (b" " * 5000, "expected at most 4096 bytes"),
    ],
)
def test_what_makes_no_sense_is_refused(serve: Serve, answers: AnswerFile, body: Any, message: str):
    with serve({}) as server:
        reply = ask(server, "answer", body=body)

    assert (reply.status, reply.body.decode()) == (400, message)
    assert answers.all() == []


def test_a_body_without_its_length_is_refused(serve: Serve):
    with serve({}) as server:
        chunked = {"Content_Type": "application/json", "Transfer_Encoding": "chunked"}
        for headers in (chunked, {**chunked, "Content_Length": "2"}):
            reply = ask(server, "undo", body=b"2\r\n{}\r\n0\r\n\r\n", **headers)
            assert (reply.status, reply.body) == (400, b"expected at most 4096 bytes")


def test_a_form_of_another_page_cannot_answer(serve: Serve):
    with serve({}) as server:
        assert ask(server, "answer", body=b"{}", Content_Type="text/plain").status == 415


def test_results_and_csv(serve: Serve):
    with serve({}) as server:
        page = ask(server, "results")
        assert b"<h1>Tag gain by human judgement</h1>" in page.body
        assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
        assert ask(server, "verdicts.csv").body.startswith(b"video,title,tag,runs,")


def test_a_port_that_is_taken(serve: Serve):
    with serve({}) as server:
        port = server.port
        with pytest.raises(RunError) as error:
            JudgingServer(server.site, port)

    assert (
        str(error.value) == f"port {port} cannot be used (Address already in use); choose another with --port, or none"
    )
