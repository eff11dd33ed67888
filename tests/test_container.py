"""The image and its services, as far as they can be checked without a container engine: they are built and run elsewhere."""

from __future__ import annotations

import fnmatch
import importlib
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path, PurePosixPath
from threading import Thread
from typing import Any

import click
import pytest
from optsg.evaluate.serve.cli import main as optsg_serve
from optsg.evaluate.serve.guard import FREE

from tests.test_docs import COMMANDS, options_of
from tests.test_packaging import PACKAGES, PYPROJECT, files_in_packages

ROOT = Path(__file__).resolve().parent.parent
DOCKERFILE, COMPOSE, IGNORED = ROOT / "Dockerfile", ROOT / "compose.yaml", ROOT / ".dockerignore"

Instruction = tuple[str, str]


def instructions(text: str) -> list[Instruction]:
    """Names and arguments, continued lines joined, comments left out."""
    lines = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    joined = re.sub(r"\\\n\s*", " ", lines).splitlines()
    return [(name.upper(), rest.strip()) for name, _, rest in (line.strip().partition(" ") for line in joined) if name]


IMAGE = instructions(DOCKERFILE.read_text(encoding="utf-8"))
SERVICES: dict[str, Any] = importlib.import_module("yaml").safe_load(COMPOSE.read_text(encoding="utf-8"))


def arguments(name: str) -> list[str]:
    return [rest for found, rest in IMAGE if found == name]


def last_stage() -> list[Instruction]:
    start = max(place for place, (name, _) in enumerate(IMAGE) if name == "FROM")
    return IMAGE[start:]


def environment() -> dict[str, str]:
    words = [word for name, rest in last_stage() if name == "ENV" for word in shlex.split(rest)]
    return {name: value for name, _, value in (word.partition("=") for word in words)}


def steps_of(run: str) -> list[list[str]]:
    return [shlex.split(step) for step in run.split("&&")]


# The image.


def test_bases_are_pinned() -> None:
    assert len(arguments("FROM")) == 2
    assert {base.split()[0] for base in arguments("FROM")} == {"python:3.12-slim"}


def test_nothing_is_fetched_past_the_package_managers() -> None:
    assert arguments("ADD") == []
    assert [run for run in arguments("RUN") if re.search(r"\b(curl|wget|git)\b", run)] == []


def test_packages_of_the_system_leave_nothing_behind() -> None:
    installing = [run for run in arguments("RUN") if "apt-get install" in run]
    assert installing
    for run in installing:
        assert "--no-install-recommends" in run
        assert ["rm", "-rf", "/var/lib/apt/lists/*"] in steps_of(run)


def test_packages_of_python_are_those_of_the_constraints() -> None:
    installing = [step for run in arguments("RUN") for step in steps_of(run) if step[:2] == ["pip", "install"]]
    assert len(installing) == 3
    assert all(step[step.index("--constraint") + 1] == "constraints.txt" for step in installing)
    (extras,) = re.findall(r"\.\[([\w,]+)\]", DOCKERFILE.read_text(encoding="utf-8"))
    assert {*extras.split(",")} <= PYPROJECT["project"]["optional-dependencies"].keys()


def test_pytorch_comes_from_an_index_that_the_builder_chooses() -> None:
    assert "TORCH_INDEX=https://download.pytorch.org/whl/cpu" in arguments("ARG")
    (torch,) = (step for run in arguments("RUN") for step in steps_of(run) if "torch" in step)
    assert torch[torch.index("--index-url") + 1] == "$TORCH_INDEX"


def test_the_user_is_not_root() -> None:
    (user,) = (rest for name, rest in last_stage() if name == "USER")
    assert user == "10001:10001"
    last_run = max(place for place, (name, _) in enumerate(last_stage()) if name in ("RUN", "COPY"))
    assert last_run < last_stage().index(("USER", user)), "what follows the user would lack its rights"


def test_what_is_copied_is_there_and_is_all_that_the_package_has() -> None:
    sources = [word for rest in arguments("COPY") if not rest.startswith("--from") for word in shlex.split(rest)[:-1]]
    assert [source for source in sources if not (ROOT / source).exists()] == []
    project = PYPROJECT["project"]
    needed = {"pyproject.toml", "constraints.txt", project["readme"], *project["license-files"]}
    needed |= {"__init__.py", "py.typed", *(package.split(".")[1] for package in PACKAGES if "." in package)}
    assert {*sources} == needed


def test_only_declared_folders_are_written() -> None:
    (volumes,) = (json.loads(rest) for name, rest in last_stage() if name == "VOLUME")
    assert volumes == ["/data", "/cache"]
    (run,) = (rest for name, rest in last_stage() if name == "RUN")
    assert "install --directory --owner=optsg --group=optsg /data /cache" in run
    found = environment()
    assert found["PYTHONDONTWRITEBYTECODE"] == "1"
    assert found["TMPDIR"] == "/tmp"
    for name in ("HF_HOME", "TORCH_HOME", "OPTSG_CACHE", "MPLCONFIGDIR"):
        assert found[name].startswith(("/cache/", "/tmp/")), name


def is_ignored(path: str) -> bool:
    """By ``.dockerignore``: of the lines that mean a path or a folder above it, the last one counts."""
    ignored = False
    above = [str(folder) for folder in (PurePosixPath(path), *PurePosixPath(path).parents) if str(folder) != "."]
    for line in IGNORED.read_text(encoding="utf-8").splitlines():
        pattern = line.removeprefix("!").removeprefix("**/")
        names = [name.rpartition("/")[2] for name in above] if "**/" in line else above
        if line and not line.startswith("#") and any(fnmatch.fnmatchcase(name, pattern) for name in names):
            ignored = not line.startswith("!")
    return ignored


@pytest.mark.parametrize(
    "path",
    [
        ".git/config", "runs/latest", "demo/run/model.safetensors", "feats.h5", "token.txt", ".venv/bin/python",
        "tests/conftest.py", "data/sample/train.tar", "train/model/__pycache__/layers.cpython-312.pyc",
    ],
)  # fmt: skip
def test_what_is_no_part_of_the_package_stays_out(path: str) -> None:
    assert is_ignored(path)


def test_all_files_of_the_package_go_in() -> None:
    names = [path.relative_to(ROOT).as_posix() for path in files_in_packages() if path.suffix != ".pyc"]
    assert len(names) > 200
    assert [name for name in (*names, "pyproject.toml", "constraints.txt", "LICENSE") if is_ignored(name)] == []


# What runs in it.


def commands() -> Iterator[list[str]]:
    """Every command line of the image and the services."""
    yield json.loads(arguments("CMD")[-1])
    for service in SERVICES["services"].values():
        words = service["command"]
        yield from steps_of(words[2]) if words[:2] == ["sh", "-c"] else [words]


def test_commands_and_their_options_exist() -> None:
    found = list(commands())
    assert {words[0] for words in found} == {"optsg-extract", "optsg-train", "optsg-serve"}
    for name, *words in found:
        named = {word.partition("=")[0] for word in words if word.startswith("-")}
        assert named <= options_of(COMMANDS[name], words), words


def test_any_command_can_be_named_behind_the_image() -> None:
    assert [json.loads(rest) for rest in arguments("ENTRYPOINT")] == [["tini", "--"]]
    assert environment()["PATH"].startswith("/opt/optsg/bin:")
    assert ("COPY", "--from=installed /opt/optsg /opt/optsg") in last_stage()


def default_port() -> int:
    return int(serve_default("--port"))


def serve_default(name: str) -> float:
    (found,) = (each for each in optsg_serve.params if isinstance(each, click.Option) and name in each.opts)
    return float(str(found.default))


def health_command() -> list[str]:
    (check,) = arguments("HEALTHCHECK")
    return json.loads(check.partition("CMD ")[2])  # type: ignore[no-any-return]


def test_health_is_asked_where_the_service_answers() -> None:
    port, path = re.findall(r"http://127\.0\.0\.1:(\d+)(/\w+)", " ".join(health_command()))[0]
    assert int(port) == default_port() == int(arguments("EXPOSE")[0])
    assert path in FREE, "the check has no token"
    assert SERVICES["services"]["serve"]["healthcheck"]["test"] == ["CMD", *health_command()]


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (503, False)])
def test_health_is_what_the_service_answers(status: int, healthy: bool) -> None:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/healthz" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = Thread(target=server.handle_request)
        thread.start()
        code = health_command()[-1].replace(f":{default_port()}/", f":{server.server_port}/")
        result = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
        thread.join()
    assert (result.returncode == 0) is healthy, result.stderr


# The services.

every_service = pytest.mark.parametrize("service", SERVICES["services"].values(), ids=SERVICES["services"])


@every_service
def test_services_have_no_rights_that_they_do_not_need(service: dict[str, Any]) -> None:
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert [mount.partition(":")[0] for mount in service["tmpfs"]] == [environment()["TMPDIR"]]
    assert not {"privileged", "cap_add", "user", "pid", "ipc"} & service.keys()


@every_service
def test_mounts_are_volumes_that_are_declared_or_folders_that_are_here(service: dict[str, Any]) -> None:
    for mount in service["volumes"]:
        source, target, *mode = mount.split(":")
        assert target in ("/data", "/cache", "/sample")
        assert source in SERVICES["volumes"] or ((ROOT / source).is_dir() and mode == ["ro"]), mount


def option(words: Sequence[str], name: str) -> str:
    return words[words.index(name) + 1]


def test_what_the_demo_makes_is_served_when_it_is_finished() -> None:
    demo, serve = SERVICES["services"]["demo"], SERVICES["services"]["serve"]
    extracting, training = steps_of(demo["command"][2])
    assert option(extracting, "--out") == option(training, "--feats")
    assert option(training, "--resume") == "auto", "the second time it is there already"
    assert option(training, "--run") == serve["command"][1]
    assert serve["depends_on"] == {"demo": {"condition": "service_completed_successfully"}}
    assert "data:/data" in demo["volumes"]
    assert "data:/data:ro" in serve["volumes"]
    assert "build" in demo, "the image is made by whichever service is first"
    assert demo["image"] == serve["image"]


def test_the_service_wants_a_token_and_is_shown_to_this_machine_alone() -> None:
    serve = SERVICES["services"]["serve"]
    (secret,) = serve["secrets"]
    assert secret in SERVICES["secrets"]
    for words in (serve["command"], json.loads(arguments("CMD")[-1])):
        assert option(words, "--host") == "0.0.0.0"
        assert option(words, "--token") == f"/run/secrets/{secret}"
    assert serve["ports"] == [f"127.0.0.1:{default_port()}:{default_port()}"]


def test_the_secret_is_in_no_commit() -> None:
    file = SERVICES["secrets"]["optsg_token"]["file"]
    (name,) = re.findall(r"\$\{OPTSG_TOKEN_FILE:-\./(.+)\}", file)
    assert f"/{name}" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert not (ROOT / name).exists() or is_ignored(name)


def test_accepted_requests_are_answered_before_the_service_is_killed() -> None:
    assert float(SERVICES["services"]["serve"]["stop_grace_period"].removesuffix("s")) > serve_default("--drain")
