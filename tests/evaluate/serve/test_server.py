"""Who is let through, and the end of a service: what was accepted is answered, nothing more is taken. No weights needed."""

from __future__ import annotations

import http.client
import json
import re
import socket
import threading
import time
from contextlib import closing, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from optsg.data.errors import ConfigError, RunError
from optsg.data.json_log import open_json_log
from optsg.evaluate.serve.batcher import Batcher
from optsg.evaluate.serve.metrics import Metrics
from optsg.evaluate.serve.models import named_runs
from optsg.evaluate.serve.server import TaggingServer
from optsg.evaluate.serve.service import Service
from optsg.evaluate.serve.settings import ServeSettings, read_token
from optsg.evaluate.tag.file_encoder import Work

from benchmarks.served_process import form
from tests.evaluate.serve.fake_model import FakeFiles

TOKEN = b"a-secret-of-many-letters"


class FakeModel(SimpleNamespace):
    def tagger(self, wanted):  # noqa: ARG002
        return self.files.tagger


@contextmanager
def served(tmp_path, *, loaded=True, **settings):
    """A service of a fake model; gives it, its files and a way to ask."""
    files: Any = FakeFiles()
    metrics = Metrics()
    chosen = ServeSettings(port=0, work=Work(workers=2), **settings)
    uploads = tmp_path / "uploads"
    uploads.mkdir(exist_ok=True)
    service = Service(chosen, uploads, metrics)
    with (
        open_json_log(tmp_path / "log.jsonl") as log,
        Batcher("fake", files, most=chosen.queue, wait=0.0, metrics=metrics) as batcher,
        TaggingServer(service, log) as server,
    ):
        if loaded:
            model: Any = FakeModel(name="fake", files=files, batcher=batcher)
            service.models = {"fake": model}

        def ask(method, path, body=None, **headers):
            with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)) as connection:
                connection.request(
                    method, path, body, {name.replace("_", "-"): value for name, value in headers.items()}
                )
                answer = connection.getresponse()
                return answer.status, answer.read().decode(), dict(answer.getheaders())

        yield SimpleNamespace(server=server, files=files, ask=ask, uploads=uploads, log=tmp_path / "log.jsonl")


def send(service, name="a.png", **headers):
    body, kind = form([(name, b"\x89PNG\r\n\x1a\n")])
    return service.ask("POST", "/v1/tag", body, Content_Type=kind, **headers)


def test_a_token_is_asked_for_but_of_whoever_asks_whether_it_lives(tmp_path):
    with served(tmp_path, token=TOKEN) as service:
        assert service.ask("GET", "/healthz")[0] == 200
        assert service.ask("GET", "/readyz")[0] == 200
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TOKEN.decode()}"}):
            for path in ("/v1/vocabulary", "/metrics", "/docs", "/openapi.json", "/nothing"):
                status, text, answer = service.ask("GET", path, **headers)
                assert (status, answer["www-authenticate"]) == (401, "Bearer")
                assert "token" in json.loads(text)["error"]
        status, text, _ = send(service, Authorization=f"Bearer {TOKEN.decode()}")
        assert status == 200
        assert json.loads(text)["results"] == [
            {"path": "a.png", "title": "", "tags": [{"tag": "a.png", "score": 0.5, "novel": True, "prompt": None}]}
        ]


def test_without_a_token_web_pages_and_other_names_of_this_machine_are_refused(tmp_path):
    with served(tmp_path) as service:
        assert send(service)[0] == 200
        for headers in (
            {"Origin": "http://elsewhere.example"},
            {"Sec_Fetch_Site": "cross-site"},
            {"Host": "elsewhere.example:80"},
        ):
            assert service.ask("GET", "/v1/vocabulary", **headers)[0] == 403


def test_while_runs_are_loaded_callers_are_asked_to_come_again(tmp_path):
    with served(tmp_path, loaded=False) as service:
        status, text, headers = send(service)
        assert (status, headers["retry-after"]) == (503, "1")
        assert json.loads(text) == {"error": "the runs are being loaded"}
        assert service.ask("GET", "/healthz")[0] == 200
        assert service.ask("GET", "/readyz")[0] == 503


def test_the_end_answers_what_was_accepted_and_takes_nothing_more(tmp_path):
    with served(tmp_path) as service:
        service.files.files.go.clear()
        answers = []
        caller = threading.Thread(target=lambda: answers.append(send(service)))
        caller.start()
        while not list(service.uploads.iterdir()):
            time.sleep(0.01)
        time.sleep(0.2)
        ending = threading.Thread(target=service.server.drain)
        ending.start()
        while service.ask("GET", "/readyz")[0] == 200:
            time.sleep(0.01)
        status, text, _ = send(service)
        assert (status, json.loads(text)) == (503, {"error": "the service is about to end"})
        assert ending.is_alive()
        service.files.files.go.set()
        ending.join(60)
        caller.join(60)
        assert [status for status, *_ in answers] == [200]
    assert list(service.uploads.iterdir()) == []


def test_whoever_is_connected_as_it_ends_is_answered(tmp_path):
    with served(tmp_path) as service, socket.create_connection(("127.0.0.1", service.server.port), timeout=60) as late:
        time.sleep(0.2)  # it is accepted, and has said nothing
        ending = threading.Thread(target=service.server.__exit__, args=(None, None, None))
        ending.start()
        time.sleep(0.3)
        late.sendall(b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert late.recv(100).startswith(b"HTTP/1.1 503 ")
        ending.join(60)
        assert not ending.is_alive()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", service.server.port))


def test_a_refusal_reaches_who_is_still_sending(tmp_path):
    """An answer before the body is read would be lost to the reset of the connection."""
    with served(tmp_path, loaded=False) as service:
        body = b"x" * (8 << 20)
        with socket.create_connection(("127.0.0.1", service.server.port), timeout=60) as caller:
            caller.sendall(f"POST /v1/tag HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n".encode())
            caller.sendall(body)
            assert caller.recv(100).startswith(b"HTTP/1.1 503 ")


def test_a_full_queue_is_429_and_nothing_stays_on_disk(tmp_path):
    with served(tmp_path, queue=1) as service:
        service.files.files.go.clear()
        answers = []
        caller = threading.Thread(target=lambda: answers.append(send(service)))
        caller.start()
        while not list(service.uploads.iterdir()):
            time.sleep(0.01)
        time.sleep(0.2)
        status, text, headers = send(service)
        assert (status, headers["retry-after"]) == (429, "1")
        assert "queue is full" in json.loads(text)["error"]
        service.files.files.go.set()
        caller.join(60)
        assert [status for status, *_ in answers] == [200]
        assert list(service.uploads.iterdir()) == []


def test_a_large_request_is_413_whether_or_not_it_says_how_large_it_is(tmp_path):
    with served(tmp_path, upload=1000) as service:
        body, kind = form([("a.png", b"x" * 2000)])
        assert service.ask("POST", "/v1/tag", body, Content_Type=kind)[0] == 413
        assert service.ask("POST", "/v1/tag", iter([body]), Content_Type=kind)[0] == 413
        assert service.ask("POST", "/v1/tag-features", b"x" * 2000, Content_Type="application/json")[0] == 413
        assert list(service.uploads.iterdir()) == []


def test_what_fails_unexpectedly_is_one_500_and_the_service_goes_on(tmp_path):
    with served(tmp_path) as service:
        body, kind = form([("poison", b"\x89PNG\r\n\x1a\n")])
        status, text, _ = service.ask("POST", "/v1/tag", body, Content_Type=kind)
        assert (status, json.loads(text)) == (500, {"error": "optsg-serve failed; its log says why"})
        assert send(service)[0] == 200


def test_the_log_metrics_and_page(tmp_path):
    with served(tmp_path) as service:
        send(service)
        service.ask("GET", "/nothing?with=secrets")
        text = service.ask("GET", "/metrics")[1]
        page = service.ask("GET", "/docs")
        api = json.loads(service.ask("GET", "/openapi.json")[1])
    assert 'optsg_requests_total{path="/v1/tag",status="200"} 1.0' in text
    assert 'optsg_files_total{outcome="tagged",run="fake"} 1.0' in text
    assert "/v1/tag-features" in page[1]
    assert "<script" not in page[1]
    assert "http" not in page[1].replace("http-equiv", "").replace("application/json", "").split("<h1>")[0]
    assert {"/v1/tag", "/v1/tag-features", "/v1/vocabulary", "/healthz", "/readyz", "/metrics"} <= set(api["paths"])
    documented = re.findall(
        r"^\| ([\d, ]+) \|", (Path(__file__).parents[3] / "docs" / "serving.md").read_text(), re.MULTILINE
    )
    assert set(", ".join(documented).split(", ")) == set(api["paths"]["/v1/tag"]["post"]["responses"])
    lines = [json.loads(line) for line in service.log.read_text().splitlines()]
    assert [(line["event"], line["path"], line["status"], line["files"]) for line in lines[:2]] == [
        ("request", "/v1/tag", 200, 1),
        ("request", "other", 404, 0),
    ]


def test_a_token_is_read_from_a_file_and_must_be_one(tmp_path):
    path = tmp_path / "token"
    path.write_bytes(TOKEN + b"\n")
    assert read_token(path) == TOKEN
    for bad in (b"short", b"two words of many letters", b""):
        path.write_bytes(bad)
        with pytest.raises(ConfigError, match="is none"):
            read_token(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_token(tmp_path / "nothing")


def test_runs_have_names_and_no_two_the_same(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    assert named_runs([str(tmp_path / "a"), f"pets={tmp_path / 'b'}"]) == {"a": tmp_path / "a", "pets": tmp_path / "b"}
    with pytest.raises(ConfigError, match="two runs are called 'a'"):
        named_runs([str(tmp_path / "a"), f"a={tmp_path / 'b'}"])
    with pytest.raises(RunError, match="there is no run folder"):
        named_runs(["x=nowhere"])
