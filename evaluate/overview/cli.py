"""``optsg``: what there is in this folder, what to do next, and all commands."""

from __future__ import annotations

from importlib.metadata import EntryPoint, distribution
from pathlib import Path

import click

from ...data.command_line import SHORT_HELP, one_sentence_errors

NAME = "optsg"

FIRST = ("optsg-extract", "optsg-train", "optsg-eval", "optsg-tag")
"""Commands in the order in which they are used; the others follow by their names."""


EXAMPLES = """\b
Examples:
  optsg
  cd videos && optsg
"""


@click.command(epilog=EXAMPLES, context_settings=SHORT_HELP)
@click.version_option(package_name="optsg")
def main() -> None:
    """Says what there is in this folder and what to do with it next, and lists all commands."""
    from .found import look_around

    with one_sentence_errors(verbose=False):
        found = look_around(Path())
        following = found.next_steps()
        width = max(52, *(len(words) + 1 for words, _ in following))
        steps = [f"  {words:<{width}} {what}" for words, what in following]
        here = [f"  {line}" for line in found.lines() or ["nothing that optsg has made, and no videos or images"]]
        commands = [f"  {name:<18} {what}" for name, what in commands_with_purpose()]
        for title, lines in (("Here", here), ("Next", steps), ("Commands (each has --help)", commands)):
            click.echo("\n".join([title, *lines, ""]))


def commands_with_purpose() -> list[tuple[str, str]]:
    """Every command that is installed with the package, and the first sentence of its help."""
    scripts = [point for point in distribution(NAME).entry_points.select(group="console_scripts") if point.name != NAME]
    scripts.sort(key=lambda point: (FIRST.index(point.name) if point.name in FIRST else len(FIRST), point.name))
    return [(point.name, _purpose(point)) for point in scripts]


def _purpose(point: EntryPoint) -> str:
    command: click.Command = point.load()
    return command.get_short_help_str(limit=100).rstrip(".")


if __name__ == "__main__":
    main()
