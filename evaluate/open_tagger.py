"""From what a person asks for to a tagger that does it."""

from __future__ import annotations

from dataclasses import dataclass

from ..data.errors import ConfigError
from ..data.vocabulary_list import OPEN, TagList, read_tag_list
from ..train.run.run import Run
from ..train.run_tagger import (
    FEW_TAGS,
    OperatingPoint,
    Replacement,
    RunTagger,
    candidates_point,
    known_tags,
    open_tag_control,
    out_of_reach,
    point_for_precision,
    set_nil_bias,
    tuned_point,
)
from .snapping import open_snapper
from .tagging_options import SNAP_TO, TaggingOptions

NAMED_TAGS = 5
"""So many tags are named in a warning."""


@dataclass(frozen=True, kw_only=True)
class OpenedTagger:
    """A tagger, and what a person should know of it.

    Attributes:
        warnings: one sentence each.
        facts: what was chosen, as name and value.
    """

    tagger: RunTagger
    warnings: tuple[str, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()


def open_tagger(run: Run, options: TaggingOptions, *, device: str = "auto") -> OpenedTagger:
    """The tagger that the options describe.

    Args:
        device: for the text encoder that ``snap`` needs.

    Raises:
        ConfigError: an option does not fit the system, or a list cannot be read.
        RunError: the run lacks what an option needs, or no score has the wanted precision.
        EncoderError: the text encoder cannot be had.
    """
    point, warnings, facts = _operating_point(run, options)
    tags, replace = _vocabulary(run, options, device)
    control = None
    if tags is not OPEN:
        control = open_tag_control(run, tags, steer=replace is None)
        missing = out_of_reach(run, control) if replace is None else []
        if missing:
            named = ", ".join(f"“{tag}”" for tag in missing[:NAMED_TAGS]) + (" …" if len(missing) > NAMED_TAGS else "")
            warnings.append(
                f"{len(missing):,} of {len(tags.spellings):,} tags of the vocabulary cannot be produced by this run: {named}"
            )
        facts.append(("Vocabulary", options.vocabulary))
    tagger = RunTagger(run, point=point, control=control, replace=replace)
    return OpenedTagger(tagger=tagger, warnings=tuple(warnings), facts=tuple(facts))


def _operating_point(run: Run, options: TaggingOptions) -> tuple[OperatingPoint, list[str], list[tuple[str, str]]]:
    point, warnings, facts = tuned_point(run), list[str](), list[tuple[str, str]]()
    if options.nil_bias is not None:
        point = set_nil_bias(run, options.nil_bias)
        facts.append(("NIL bias", f"{options.nil_bias:g}"))
    if options.decision is not None:
        if options.nil_bias is not None and run.decision.scalar.name == "nil_bias":
            raise ConfigError(f"--decision and --nil-bias are the same for {run.config.system}; give one of them")
        point = OperatingPoint(value=options.decision)
        facts.append((run.decision.scalar.label[:1].upper() + run.decision.scalar.label[1:], f"{options.decision:g}"))
    elif options.threshold is not None:
        point = candidates_point(run, options.threshold)
        facts.append(("Least score", f"{options.threshold:g}"))
    elif options.min_precision is not None:
        point, found = point_for_precision(run, options.min_precision)
        facts.append(
            (
                "Least score",
                f"{found.threshold:g}: precision {found.precision:.3f}, recall {found.recall:.3f} on validation",
            )
        )
        if found.tags < FEW_TAGS:
            warnings.append(
                f"a precision of {options.min_precision:g} rests on {found.tags} predicted tags of the validation split; "
                "expect it to be off"
            )
    return point, warnings, facts


def _vocabulary(run: Run, options: TaggingOptions, device: str) -> tuple[TagList, Replacement | None]:
    if options.vocabulary == "open":
        return OPEN, None
    tags = known_tags(run) if options.list_file is None else read_tag_list(options.list_file)
    is_snapped = options.vocabulary == "snap" or options.vocabulary.startswith(SNAP_TO)
    return tags, open_snapper(run, tags, device=device) if is_snapped else None
