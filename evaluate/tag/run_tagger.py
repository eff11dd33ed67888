"""From a run and what a person asks of it to a tagger: an operating point, a vocabulary, pinned and forbidden tags.

The order of things: the system predicts, steered by the control; its scores are calibrated; tags below the least score go;
novel tags are replaced, where that is wanted; names are made unique, forbidden tags go and pinned ones come first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from ...data.batching import Batch
from ...data.errors import ConfigError, RunError
from ...data.predicted_tag import PredictedTag
from ...data.tag_hierarchy import NONE, TagHierarchy, find_separator
from ...data.tag_list import OPEN, TagList, read_tag_list
from ...data.word_pieces import Vocabulary
from ...train.confidence.calibration import Calibration
from ...train.confidence.precision_curve import CurvePoint
from ...train.confidence.rated_tags import MOST_CANDIDATES
from ...train.run.run import Run
from ...train.run_files import CALIBRATION, RANKED_CALIBRATION
from ...train.writing.tag_control import TagControl, VideoTags
from ..options import SNAP_TO, TaggingOptions
from .snapping import Replacement, open_snapper

FEW_TAGS = 30
"""A precision read off fewer tags than this is little more than chance."""


@dataclass(frozen=True, kw_only=True)
class OperatingPoint:
    """Which tags are predicted.

    Attributes:
        value: of the system's tuned scalar.
        least: the least score, as it is reported; tags with less are left out.
        most: the best so many of a video's tags alone.
    """

    value: float
    least: float = 0.0
    most: int | None = None


def tuned_point(run: Run) -> OperatingPoint:
    """The value of the scalar that was tuned on validation."""
    return OperatingPoint(value=run.decision.value)


def candidates_point(run: Run, least: float = 0.0) -> OperatingPoint:
    """All tags that the run can be brought to give, as far as their score is at least this."""
    return OperatingPoint(value=run.system.permissive, least=least, most=MOST_CANDIDATES)


def point_for_precision(run: Run, precision: float) -> tuple[OperatingPoint, CurvePoint]:
    """The lowest score whose tags reach a precision on validation, and what they were worth there.

    Raises:
        RunError: the run has no calibration, or no score reaches that precision.
    """
    calibration = needed_calibration(run)
    found = calibration.curve.lowest(precision)
    if found is None:
        best = max(calibration.curve.points(), key=lambda point: point.precision, default=None)
        reached = "it predicts no tag there" if best is None else f"the highest is {best.precision:.3f}"
        raise RunError(f"no score of {run.path} reaches a precision of {precision:g} on validation; {reached}")
    return candidates_point(run, found.threshold), found


def needed_calibration(run: Run) -> Calibration:
    """The run's calibration.

    Raises:
        RunError: it has none.
    """
    if run.calibration is None and run.ranked is not None:
        raise RunError(
            f"{run.path} has no {RANKED_CALIBRATION}, which training makes of its ranker; train the run again"
        )
    if run.calibration is None:
        raise RunError(
            f"{run.path} has no {CALIBRATION}: it was trained by an older optsg or without a validation split; "
            f"make it with: optsg-eval --run {run.path} --split val"
        )
    return run.calibration


def with_nil_bias(run: Run, value: float) -> tuple[Run, OperatingPoint]:
    """How willingly prompts write a tag instead of [NIL]; in a run with a tag head before the threshold has its say.

    Raises:
        ConfigError: the system has no [NIL].
    """
    if _is_nil_bias(run):
        return run, OperatingPoint(value=value)
    return replace(run, system=run.system.with_nil_bias(value)), tuned_point(run)


def _is_nil_bias(run: Run) -> bool:
    """Whether that is what was tuned."""
    return run.decision.scalar.name == "nil_bias"


def open_tag_control(run: Run, tags: TagList = OPEN, *, steer: bool = True) -> TagControl:
    """A vocabulary for a run; without ``steer`` decoding is not held to a closed list, only what comes out is."""
    return TagControl(tags, run.tag_table, run.tokenizer, Vocabulary(run.config.inputs.pieces), steer=steer)


def known_tags(run: Run) -> TagList:
    """The training tags and no others."""
    return TagList.of(run.tag_table.spellings)


def out_of_reach(run: Run, control: TagControl) -> list[str]:
    """Listed tags that this run cannot produce: it neither writes their word pieces nor has them among its tags.

    Where titles are read for new tags, it can where they stand there.
    """
    system = run.system
    reached = {
        spelling
        for key, spelling in control.tags.spelling_of.items()
        if (system.writes and control.pieces_of(key) is not None) or (system.recognises and run.tag_table.is_known(key))
    }
    return [spelling for spelling in control.tags.spellings if spelling not in reached]


class RunTagger:
    """Predicts the tags of batches.

    Args:
        run: the trained run.
        point: which tags; those of the tuned scalar by default.
        control: the vocabulary; every tag by default.
        substitute: what is done with the tags of every video before they are named.
        warnings: what a person should know of it, one sentence each.
        facts: what was chosen, as name and value.
        hierarchy: what separates the parts of tags, as :func:`optsg.data.tag_hierarchy.find_separator` takes it. :meth:`predict`
            gives no parents: whoever tags files does.
    """

    def __init__(
        self,
        run: Run,
        *,
        point: OperatingPoint | None = None,
        control: TagControl | None = None,
        substitute: Replacement | None = None,
        warnings: Sequence[str] = (),
        facts: Sequence[tuple[str, str]] = (),
        hierarchy: str = NONE,
    ):
        self.run = run
        self.point = point or tuned_point(run)
        self.control = control
        self._substitute = substitute
        self.warnings, self.facts = tuple(warnings), tuple(facts)
        self.hierarchy = TagHierarchy(separator=find_separator(self.listed, hierarchy))

    @property
    def listed(self) -> Sequence[str]:
        """The tags that are known beforehand: of the vocabulary, or else of training."""
        return (self.control is not None and self.control.tags.spellings) or self.run.tag_table.spellings

    def at(self, point: OperatingPoint) -> RunTagger:
        """The same at another operating point."""
        return RunTagger(self.run, point=point, control=self.control, substitute=self._substitute)

    @cached_property
    def _controls(self) -> TagControl:
        return self.control or open_tag_control(self.run)

    def check(self, wishes: VideoTags) -> None:
        """Raises ConfigError: a tag is pinned that is forbidden or blocked."""
        self._controls.batch([wishes])

    def predict(self, batch: Batch, videos: Sequence[VideoTags] | None = None) -> list[list[PredictedTag]]:
        """Tags of every video of a batch: pinned ones, then the others, best first.

        Args:
            videos: what a person says of each video.

        Raises:
            ConfigError: a tag is pinned that is forbidden or blocked.
        """
        control = None
        if self.control is not None or videos is not None:
            control = self._controls.batch(videos or [VideoTags()] * len(batch))
        found = self.run.system.predict(batch.to(self.run.device), self.point.value, control)
        chosen = [self._choose(tags) for tags in found]
        return chosen if control is None else [control.finish(row, tags) for row, tags in enumerate(chosen)]

    def _choose(self, tags: Sequence[PredictedTag]) -> list[PredictedTag]:
        best = list(tags[: self.point.most])
        if self.run.calibration is not None:
            best = self.run.calibration.calibrate(best)
        best = [tag for tag in best if tag.score >= self.point.least]
        return self._substitute(best) if self._substitute else best


NAMED_TAGS = 5
"""So many tags are named in a warning."""


def open_tagger(
    run: Run, options: TaggingOptions, *, device: str = "auto", listed: TagList | None = None, hierarchy: str = NONE
) -> RunTagger:
    """The tagger that the options describe.

    Args:
        device: for the text encoder that ``snap`` needs.
        listed: the tags of the file that ``options`` name, where they are at hand and no file is to be read.
        hierarchy: as :class:`RunTagger` takes it.

    Raises:
        ConfigError: an option does not fit the system, or a list cannot be read.
        RunError: the run lacks what an option needs, or no score has the wanted precision.
        EncoderError: the text encoder cannot be had.
    """
    warnings, facts = list[str](), list[tuple[str, str]]()
    run, point = _operating_point(run, options, warnings, facts)
    tags, substitute = _vocabulary(run, options, device, listed)
    control = None
    if tags is not OPEN:
        control = open_tag_control(run, tags, steer=substitute is None)
        missing = out_of_reach(run, control) if substitute is None else []
        if missing:
            named = ", ".join(f"“{tag}”" for tag in missing[:NAMED_TAGS]) + (" …" if len(missing) > NAMED_TAGS else "")
            unless = " unless they stand in the title" if run.system.reads_titles else ""
            warnings.append(
                f"{len(missing):,} of {len(tags.spellings):,} tags of the vocabulary cannot be produced by this run{unless}: "
                f"{named}"
            )
        facts.append(("Vocabulary", options.vocabulary))
    return RunTagger(
        run,
        point=point,
        control=control,
        substitute=substitute,
        warnings=warnings,
        facts=facts,
        hierarchy=hierarchy,
    )


def _operating_point(
    run: Run, options: TaggingOptions, warnings: list[str], facts: list[tuple[str, str]]
) -> tuple[Run, OperatingPoint]:
    """The run and its point as the options want them; what is chosen is added to the facts, what is doubtful to the warnings."""
    if options.favour is not None:
        run = run.favouring(options.favour)
        facts.append(("Favoured", options.favour))
    if options.decision is not None or (options.nil_bias is not None and _is_nil_bias(run.decided_by_scalar())):
        run = run.decided_by_scalar()
    point, scalar = tuned_point(run), run.decision.scalar
    if options.nil_bias is not None:
        run, point = with_nil_bias(run, options.nil_bias)
        facts.append(("NIL bias", f"{options.nil_bias:g}"))
    if options.decision == "scalar":
        facts.append(("Decided by", str(run.decision)))
    elif options.decision is not None:
        if options.nil_bias is not None and scalar.name == "nil_bias":
            raise ConfigError(f"--decision and --nil-bias are the same for {run.config.system}; give one of them")
        point = OperatingPoint(value=options.decision)
        facts.append((scalar.label[:1].upper() + scalar.label[1:], f"{options.decision:g}"))
    elif options.threshold is not None:
        point = candidates_point(run, options.threshold)
        facts.append(("Least score", f"{options.threshold:g}"))
    elif options.min_precision is not None:
        point, found = point_for_precision(run, options.min_precision)
        worth = f"precision {found.precision:.3f}, recall {found.recall:.3f} on validation"
        facts.append(("Least score", f"{found.threshold:g}: {worth}"))
        if found.tags < FEW_TAGS:
            warnings.append(
                f"a precision of {options.min_precision:g} rests on {found.tags} predicted tags of the validation split; "
                "expect it to be off"
            )
    return run, point


def _vocabulary(
    run: Run, options: TaggingOptions, device: str, listed: TagList | None
) -> tuple[TagList, Replacement | None]:
    if options.vocabulary == "open":
        return OPEN, None
    file = options.list_file
    tags = known_tags(run) if file is None else read_tag_list(file) if listed is None else listed
    is_snapped = options.vocabulary == "snap" or options.vocabulary.startswith(SNAP_TO)
    return tags, open_snapper(run, tags, device=device) if is_snapped else None
