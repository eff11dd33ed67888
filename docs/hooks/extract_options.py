"""``extract`` takes its options as ``**options``; on the site each of them is a parameter."""

from __future__ import annotations

import inspect
from typing import Any

from griffe import Extension, Function, Parameter, ParameterKind
from optsg.extract.options import described_options


class ExtractOptions(Extension):
    """Writes them into the signature and among the ``Args`` of its docstring."""

    def on_function(self, *, func: Function, **_: Any) -> None:
        """Called by griffe for every function."""
        if func.path != "optsg.extract.api.extract" or func.docstring is None:
            return
        del func.parameters["options"]
        lines = []
        for name, (kind, option) in described_options().items():
            func.parameters.add(
                Parameter(
                    name,
                    annotation=inspect.formatannotation(kind).replace("pathlib.", ""),
                    kind=ParameterKind.keyword_only,
                    default=repr(option.default),
                )
            )
            lines.append(f"    {name}: {'`False`: ' if option.default is True else ''}{option.help}")
        before, named, after = func.docstring.value.partition("    options:")
        rest = after.partition("\n\n")
        func.docstring.value = before + "\n".join(lines) + rest[1] + rest[2] if named else before
