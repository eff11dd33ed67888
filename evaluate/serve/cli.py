"""``optsg-serve``: tags over HTTP."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from ...data.command_line import SHORT_HELP, allow_system_option, device_option, one_sentence_errors
from ...data.errors import ConfigError
from ...data.json_log import open_json_log
from ...data.stop_signals import StopRequest, stop_on_signals
from ..options import decoding_options, find_run, json_log_option

EXAMPLES = """\b
Examples:
  optsg-serve runs/latest
  optsg-serve --run pets=runs/pets --run news=runs/news --port 8080
  optsg-serve runs/latest --host 0.0.0.0 --token secret.txt --root /srv/videos --json-log -
  curl -F file=@cat.mp4 -F title="our cat" http://127.0.0.1:8000/v1/tag
"""


EXTRA = "optsg-serve needs more packages ({missing} is not installed): pip install 'optsg[serve]'"


@click.command(epilog=EXAMPLES, context_settings=SHORT_HELP)
@click.argument("run", required=False, type=click.Path(path_type=Path))
@click.option("--run", "runs", multiple=True, metavar="[NAME=]DIR", help="A run under a name; may be given again.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8000, show_default=True, metavar="N", help="0: a free one."
)
@click.option(
    "--token",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="File with a secret that callers send: Authorization: Bearer SECRET.",
)
@click.option(
    "--root",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="DIR",
    help="Files under it may be named instead of sent.",
)
@click.option("--batch-size", default=16, show_default=True, metavar="N", help="Files at a time; fewer answer sooner.")
@decoding_options
@click.option("--queue", default=128, show_default=True, metavar="N", help="Files under way; beyond, callers get 429.")
@click.option("--wait", default=0.02, show_default=True, metavar="S", help="Seconds that a file waits for others.")
@click.option("--max-upload", default=512, show_default=True, metavar="MIB", help="Largest request.")
@click.option(
    "--drain", default=60.0, show_default=True, metavar="S", help="Seconds that accepted requests get at the end."
)
@json_log_option("request")
@allow_system_option
@device_option
@click.option("-q", "--quiet", is_flag=True, help="Print warnings and errors only.")
@click.option("-v", "--verbose", is_flag=True, help="Show the traceback of an error.")
@click.version_option(package_name="optsg")
def main(
    run: Path | None, runs: tuple[str, ...], json_log: Path | None, quiet: bool, verbose: bool, **chosen: Any
) -> None:
    """Answers requests for tags over HTTP, by default to this machine alone.

    Files of all callers are decoded in processes of their own and tagged together. SIGTERM and Ctrl-C end it once what
    was accepted is answered.
    """
    stop = StopRequest()
    with one_sentence_errors(verbose), stop_on_signals(stop), open_json_log(json_log) as log:
        named = [*([] if run is None and runs else [str(find_run(run, named="as RUN"))]), *runs]
        # PyTorch takes seconds to import; --help should not wait for it.
        try:
            from .server import serve
        except ModuleNotFoundError as error:
            raise ConfigError(EXTRA.format(missing=error.name)) from error
        from ..tag.file_encoder import Work
        from .settings import MIB, ServeSettings, read_token

        token = chosen.pop("token")
        settings = ServeSettings(
            host=chosen.pop("host"),
            port=chosen.pop("port"),
            root=chosen.pop("root"),
            token=None if token is None else read_token(token),
            work=Work(group=chosen.pop("batch_size"), workers=chosen.pop("workers"), timeout=chosen.pop("timeout")),
            queue=chosen.pop("queue"),
            wait=chosen.pop("wait"),
            upload=chosen.pop("max_upload") * MIB,
            drain_seconds=chosen.pop("drain"),
            allow_systems=chosen.pop("allow_systems"),
        )
        serve(named, settings, log=log, announce=_silent if quiet else _say, warn=_warn, stop=stop, **chosen)
    sys.exit(0)


def _say(sentence: str) -> None:
    click.echo(sentence, err=True)


def _silent(_: str) -> None:
    pass


def _warn(sentence: str) -> None:
    click.echo(f"warning: {sentence}", err=True)
