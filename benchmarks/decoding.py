"""Tags per second: decoding tag after tag, all tags at once, without a cache, and by Hugging Face's ``generate``.

    python benchmarks/decoding.py --write
    python benchmarks/decoding.py --sizes small --batch-size 32 --repetitions 3

Weights are random; what is written is prescribed after each step's scores have been computed (``scripted_output.py``), so
that every way writes the same tags, with the counts and lengths of real ones, and ends where they end. The other side is
a ``BartForConditionalGeneration`` with as many layers of the same width before the decoder (title, hybrid and prompt
encoder together) and in it, and the same vocabulary; it writes the same sequences, greedily, with its own cache.

What is timed is decoding: from the encoder's features of the titles (and the order prompts) to tokens. Encoding comes
before it in all of them and is timed by itself; ours reads frames too, Bart titles alone.

On a CPU one further decoding of each way is profiled: what the matrix products take, and what all else does.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from optsg.data.batching import Batch, collate
from optsg.data.store import FeatureStore, open_store
from optsg.data.torchvision_compat import ensure_torchvision_importable
from optsg.data.word_pieces import BOS, EOS, PAD, Vocabulary
from optsg.train.config import ModelConfig, Size
from optsg.train.device import working_dtype
from optsg.train.model.op_tsg import OPTSG
from optsg.train.objective.tag_targets import tag_targets
from optsg.train.run.plan import plan_run
from optsg.train.systems.op_tsg import PAPER_SETTINGS
from optsg.train.writing.greedy import greedy_decode
from optsg.train.writing.slot_parallel import slot_parallel_decode
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # a script finds only its own folder

from benchmarks.alternating import Timings, alternate  # noqa: E402
from benchmarks.matrix_rate import wait  # noqa: E402
from benchmarks.operator_profile import KINDS, Operator, operator_table, profiled, seconds_by_kind  # noqa: E402
from benchmarks.options import add_model_options, parser, publish  # noqa: E402
from benchmarks.results_file import table  # noqa: E402
from benchmarks.scripted_output import Script, ScriptedLogits, ScriptedOutput, ScriptedSteering  # noqa: E402
from benchmarks.synthetic_store import write_synthetic_store  # noqa: E402

SHOWN = {
    "cached": "tag after tag (the paper's)",
    "uncached": "the same without a cache",
    "parallel": "all tags at once",
    "generate": "Hugging Face `generate`, Bart of the same size",
    "encoding": "before decoding: ours encodes titles and frames, makes prompts",
    "encoding of Bart": "before decoding: Bart encodes titles",
}
WAYS = ("cached", "uncached", "parallel", "generate")
UNCACHED_TARGET, GENERATE_TARGET = 5.0, 2.0


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """Models and inputs of one size."""

    sequential: OPTSG
    parallel: OPTSG
    bart: nn.Module
    batch: Batch
    script: Script


def prepare(
    store: FeatureStore, size: Size, batch_size: int, settings: Sequence[str], device: torch.device, dtype: torch.dtype
) -> Prepared:
    """The paper's model of a size, the same with slot-parallel decoding, Bart, and a batch of the store's first videos."""
    torch.manual_seed(0)
    models = []
    for decoding in ("sequential", "parallel"):
        words = [*PAPER_SETTINGS[1:], f"decoding={decoding}", *settings]
        config = plan_run(store, store.path, system="op-tsg", size=size, settings=words, seed=0).config
        models.append(OPTSG(config.model, config.inputs).to(device, dtype).eval())
    vocabulary = Vocabulary(config.inputs.pieces)
    pieces = {tag: list(ids) for tag, ids in tag_targets(store, vocabulary, 24, device).pieces.items()}
    batch = collate(store, store.indices("train")[:batch_size]).to(device)
    known = [np.array([tag for tag in tags.tolist() if tag in pieces], np.int32) for tags in batch.tags]
    script = Script.of(known, pieces, config.model.prompts, device)
    title_pieces = int(config.inputs.title_encoder["vocab_size"])
    bart = bart_like(config.model, len(vocabulary), title_pieces).to(device, dtype).eval()
    return Prepared(sequential=models[0], parallel=models[1], bart=bart, batch=batch, script=script)


def bart_like(model: ModelConfig, vocabulary: int, title_pieces: int) -> nn.Module:
    """A Bart with random weights and as many layers as the model has before its decoder, and in it."""
    ensure_torchvision_importable()
    from transformers import BartConfig, BartForConditionalGeneration

    config = BartConfig(
        vocab_size=vocabulary,
        d_model=model.width,
        encoder_layers=model.title_layers + model.hybrid_layers + model.prompt_layers,
        decoder_layers=model.decoder_layers,
        encoder_ffn_dim=4 * model.width,
        decoder_ffn_dim=4 * model.width,
        max_position_embeddings=256,
        pad_token_id=PAD,
        bos_token_id=BOS,
        eos_token_id=EOS,
        decoder_start_token_id=BOS,
        forced_eos_token_id=None,
        encoder_attention_heads=model.heads,
        decoder_attention_heads=model.heads,
    )
    made = BartForConditionalGeneration(config)
    if title_pieces > vocabulary:  # its titles have the tokenizer's pieces
        made.model.encoder.embed_tokens = nn.Embedding(title_pieces, model.width)
    whole: nn.Module = made
    return whole


def ways(prepared: Prepared) -> dict[str, Callable[[], Any]]:
    """What is compared, by name; each decodes the whole batch."""
    script, batch = prepared.script, prepared.batch
    bart: Any = prepared.bart

    @torch.no_grad()
    def encoded(model: OPTSG) -> tuple[Tensor, Tensor, Tensor]:
        features, mask = model.encode(batch)
        return model.order_prompts(features, mask), features, mask

    @torch.no_grad()
    def read_by_bart() -> Any:
        return bart.get_encoder()(input_ids=batch.title_tokens, attention_mask=batch.title_mask.long())

    sequential, parallel = encoded(prepared.sequential), encoded(prepared.parallel)
    memory = read_by_bart().last_hidden_state

    @torch.no_grad()
    def write_sequence(*, use_cache: bool) -> Any:
        decoder = prepared.sequential.decoder
        return greedy_decode(decoder, *sequential, steering=ScriptedSteering(script.sequence), use_cache=use_cache)

    def write_slots() -> Any:
        decoder = prepared.parallel.decoder
        return slot_parallel_decode(decoder, *parallel, output=ScriptedOutput(decoder=decoder, script=script.slots))

    @torch.no_grad()
    def generate() -> Any:
        from transformers import LogitsProcessorList
        from transformers.modeling_outputs import BaseModelOutput

        return bart.generate(
            encoder_outputs=BaseModelOutput(last_hidden_state=memory),
            attention_mask=batch.title_mask.long(),
            max_new_tokens=script.sequence.shape[1],
            num_beams=1,
            do_sample=False,
            logits_processor=LogitsProcessorList([ScriptedLogits(script.sequence)]),
        )

    return {
        "cached": lambda: write_sequence(use_cache=True),
        "uncached": lambda: write_sequence(use_cache=False),
        "parallel": write_slots,
        "generate": generate,
        "encoding": lambda: encoded(prepared.sequential),
        "encoding of Bart": read_by_bart,
    }


@dataclass(frozen=True, kw_only=True)
class DecodingResult:
    """One size's timings of a batch of ``videos`` with ``tags`` tags in ``tokens`` tokens; on a CPU, ``profiles`` by way."""

    size: str
    videos: int
    tags: int
    tokens: int
    precision: str
    timings: Timings
    profiles: Mapping[str, list[Operator]]


def measure(
    store: FeatureStore,
    size: Size,
    *,
    batch_size: int,
    repetitions: int,
    settings: Sequence[str] = (),
    device: torch.device | None = None,
) -> DecodingResult:
    """All ways in turn."""
    place = device or torch.device("cpu")
    dtype = working_dtype(place, "auto")
    prepared = prepare(store, size, batch_size, settings, place, dtype)
    compared = ways(prepared)
    timings = alternate(compared, repetitions, synchronise=lambda: wait(place))
    profiles = {name: profiled(compared[name]) for name in WAYS} if place.type == "cpu" else {}
    return DecodingResult(
        size=size,
        videos=len(prepared.batch),
        tags=prepared.script.tags,
        tokens=prepared.script.tokens,
        precision=str(dtype).removeprefix("torch."),
        timings=timings,
        profiles=profiles,
    )


def report(results: Sequence[DecodingResult]) -> str:
    """The table."""
    rows, missed = [], []
    for result in results:
        timings = result.timings
        for name, shown in SHOWN.items():
            seconds = timings.wall(name)
            against = ["", ""]
            if name in ("cached", "parallel"):
                against = [str(timings.ratio("uncached", name)), str(timings.ratio("generate", name))]
            rows.append(
                [
                    f"`{result.size}`, {result.precision}",
                    shown,
                    f"{seconds:.3f}",
                    f"{timings.cpu(name):.3f}",
                    f"{result.tags / seconds:,.0f}" if name in WAYS else "",
                    f"{result.videos / seconds:,.1f}",
                    *against,
                ]
            )
        for name in ("cached", "parallel"):
            for other, target in (("uncached", UNCACHED_TARGET), ("generate", GENERATE_TARGET)):
                ratio = timings.ratio(other, name).median
                if ratio < target:
                    missed.append(f"`{result.size}` {SHOWN[name]}: {ratio:.2f} times {other}")
    header = ["model", "decoding", "s a batch", "CPU s", "tags/s", "videos/s"]
    sizes = "; ".join(f"`{one.size}`: {one.videos} videos, {one.tags} tags in {one.tokens:,} tokens" for one in results)
    targets = (
        f"A batch of {sizes}. Targets: {UNCACHED_TARGET:.0f} times the speed without a cache, {GENERATE_TARGET:.0f} times "
        f"`generate`'s. Missed: {'; '.join(missed) or 'none'}."
    )
    speeds = table([*header, "speed over uncached", "speed over `generate`"], rows)
    return "\n\n".join([speeds, targets, *_profile_blocks(results)])


def _profile_blocks(results: Sequence[DecodingResult]) -> list[str]:
    """What each way spends its time with, and the costliest operators of decoding tag after tag."""
    rows, blocks = [], []
    for result in results:
        for name, operators in result.profiles.items():
            kinds = seconds_by_kind(operators)
            calls = sum(operator.calls for operator in operators)
            shares = [f"{1e3 * kinds[kind]:.0f}" for kind in KINDS]
            rows.append([f"`{result.size}`", SHOWN[name], f"{calls:,}", *shares])
        if "cached" in result.profiles:
            lines = operator_table(result.profiles["cached"], "calls a batch", 10)
            blocks += [f"Profile of decoding tag after tag, `{result.size}`:", lines]
    header = ["processor ms a batch, profiled", "decoding", "operators called", *KINDS]
    return [table(header, rows), *blocks] if rows else []


def main(words: Sequence[str] | None = None) -> None:
    """Prints the table as Markdown."""
    options = parser(__doc__, repetitions=5)
    add_model_options(options)
    options.add_argument("--batch-size", type=int, default=32, help="[%(default)s]")
    arguments: argparse.Namespace = options.parse_args(words)
    path = arguments.feats or write_synthetic_store(
        arguments.work / f"train-{arguments.videos}.h5", videos=arguments.videos
    )
    results = []
    with open_store(path) as store:
        for size in arguments.sizes:
            sizes = {"batch_size": arguments.batch_size, "repetitions": arguments.repetitions}
            results.append(measure(store, size, settings=arguments.set, **sizes))
            print(f"{size}: done", file=sys.stderr, flush=True)
    publish(arguments, "Decoding", report(results), packages=("torch", "transformers"))


if __name__ == "__main__":
    main()
