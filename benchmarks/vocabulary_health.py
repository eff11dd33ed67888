"""Does the health of a vocabulary find misspellings, plurals and translations that were put into a store on purpose?

    python benchmarks/vocabulary_health.py --feats emoji.h5 [--each 50] [--seed 0 --seed 1] [--write]

Of each kind, some tags with enough videos are drawn, and between 20 and 50 % of a tag's videos get a variant in its place: a slip of
the keyboard, a plural, or a word of German, Spanish or French. The store is a copy, relabelled as ``optsg-store relabel`` does
it, with embeddings of the variants by its own text encoder. Of the proposals to merge that have a variant in them, precision is
the share that joins one with its own tag; recall is the share of variants that are joined so. Proposals between two tags that
the store had before are counted and listed apart: whether they are right, no seed says.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # a script finds only its own folder

from optsg.data.media import SPLITS  # noqa: E402
from optsg.data.store import FeatureStore, open_store  # noqa: E402
from optsg.data.store.relabeling import Labels, relabel_store  # noqa: E402
from optsg.data.vocabulary.proposal import Proposal  # noqa: E402
from optsg.evaluate.vocabulary.proposals import propose  # noqa: E402
from optsg.evaluate.vocabulary.usage import read_usage  # noqa: E402
from optsg.extract.encoders.text_encoder import text_maker  # noqa: E402

from benchmarks.options import publish  # noqa: E402
from benchmarks.results_file import RESULTS, table  # noqa: E402

LEAST_VIDEOS = 8
"""Of a tag that gets a variant."""

SHARE = (0.2, 0.5)
"""Of a tag's videos that get the variant, drawn evenly between."""

LETTERS = "abcdefghijklmnopqrstuvwxyz"

WORDS = """
animal:Tier nature:Natur woman:Frau man:Mann heart:Herz hand:Mano food:Essen blue:blau red:rojo green:grün
white:weiß black:schwarz flower:Blume bird:Vogel dog:Hund fish:pescado cat:Katze chicken:Huhn car:Auto train:Zug
boat:bateau ship:Schiff plane:avión bicycle:Fahrrad snow:Schnee rain:lluvia cloud:Wolke sun:soleil moon:Mond
star:estrella house:maison building:edificio school:Schule home:Zuhause music:música game:Spiel clock:reloj
time:Zeit money:Geld paper:papier fruit:Obst vegetable:Gemüse drink:boisson bread:pan meat:Fleisch rice:arroz
eye:ojo mouth:boca ear:oreja hair:cheveux teeth:Zähne finger:doigt girl:fille boy:Junge child:Kind baby:bebé
family:familia love:Liebe night:noche summer:verano winter:hiver spring:Frühling weather:Wetter beach:playa
sea:Meer mountain:montagne plant:Pflanze fire:feu water:agua face:Gesicht happy:feliz sad:traurig angry:enojado
flag:Flagge hat:sombrero tool:Werkzeug book:livre letter:Brief phone:teléfono sleep:dormir wedding:boda
"""

TRANSLATIONS = dict(pair.split(":") for pair in WORDS.split())
"""Of English tags, into German, Spanish or French."""


def misspelt(tag: str, rng: np.random.Generator) -> str:
    """A tag with one slip behind its first letter: a letter more, one less, another one, or two that changed places."""
    place, letter = int(rng.integers(1, len(tag))), str(rng.choice(list(LETTERS)))
    slips = (
        tag[:place] + letter + tag[place:],
        tag[:place] + tag[place + 1 :],
        tag[:place] + letter + tag[place + 1 :],
        tag[: place - 1] + tag[place] + tag[place - 1] + tag[place + 1 :],
    )
    return slips[int(rng.integers(len(slips)))]


def plural(tag: str, _: np.random.Generator) -> str:
    """A tag with the ending of an English plural; itself where it may be one already."""
    if tag.endswith("s"):
        return tag
    if tag.endswith(("x", "ch", "sh")):
        return f"{tag}es"
    return f"{tag[:-1]}ies" if tag.endswith("y") and tag[-2] not in "aeiou" else f"{tag}s"


def translated(tag: str, _: np.random.Generator) -> str:
    """A tag in another language; itself where the dictionary does not have it."""
    return TRANSLATIONS.get(tag, tag)


KINDS: Mapping[str, Callable[[str, np.random.Generator], str]] = {
    "translation": translated,
    "misspelling": misspelt,
    "plural": plural,
}
"""How a variant is made, the one with the fewest tags to draw from first."""


@dataclass(frozen=True, kw_only=True)
class Seeded:
    """A variant in a store: what it is a variant of, and of which kind."""

    kind: str
    tag: str


def choose_variants(store: FeatureStore, each: int, rng: np.random.Generator) -> dict[str, Seeded]:
    """Up to ``each`` variants of every kind, no two of one tag; the store has none of them."""
    counts = store.tag_counts(np.arange(len(store)))
    often = [store.tag_keys[tag] for tag in np.flatnonzero(counts >= LEAST_VIDEOS)]
    free = [tag for tag in often if tag.isascii() and tag.isalpha() and len(tag) > 2]
    taken, found = set(store.tag_keys), dict[str, Seeded]()
    for kind, make in KINDS.items():
        done = 0
        for tag in map(str, rng.permutation(free)):
            variant = make(tag, rng).casefold()
            if done < each and variant not in taken:
                found[variant] = Seeded(kind=kind, tag=tag)
                taken.add(variant)
                free.remove(tag)
                done += 1
    return found


def seed_store(feats: Path, variants: Mapping[str, Seeded], rng: np.random.Generator) -> None:
    """Gives some videos of a store the variants in place of the tags."""
    with open_store(feats) as store:
        tags = [[store.tag_keys[tag] for tag in store.tags(row)] for row in range(len(store))]
        for variant, seeded in variants.items():
            rows = [row for row, own in enumerate(tags) if seeded.tag in own]
            some = max(1, round(float(rng.uniform(*SHARE)) * len(rows)))
            for row in rng.choice(rows, some, replace=False).tolist():
                tags[row] = [variant if tag == seeded.tag else tag for tag in tags[row]]
        changes = {
            store.id(row): Labels(title=store.title(row), tags=tuple(own), split=SPLITS[int(store.splits[row])])
            for row, own in enumerate(tags)
            if any(tag in variants for tag in own)
        }

    relabel_store(feats, changes, make_text=text_maker("cpu"))


@dataclass(frozen=True, kw_only=True)
class Found:
    """What became of the variants of one seed.

    Attributes:
        right: variants that were joined with their own tag.
        wrong: proposals that join a variant with something else.
        others: proposals between tags that the store had before.
        seconds: that the proposals took, reading the store included.
    """

    variants: Mapping[str, Seeded]
    right: frozenset[str]
    wrong: tuple[Proposal, ...]
    others: tuple[Proposal, ...]
    seconds: float


def judged(proposals: Sequence[Proposal], variants: Mapping[str, Seeded], seconds: float) -> Found:
    """Which proposals to merge are right."""
    right: set[str] = set()
    wrong: list[Proposal] = []
    others: list[Proposal] = []
    for proposal in proposals:
        if proposal.kind not in ("spelling", "alias"):
            continue
        pair = {proposal.tag, proposal.into}
        own = [name for name in pair if name in variants]
        if not own:
            others.append(proposal)
        elif any(pair == {name, variants[name].tag} for name in own):
            right.update(name for name in own if pair == {name, variants[name].tag})
        else:
            wrong.append(proposal)
    return Found(variants=variants, right=frozenset(right), wrong=tuple(wrong), others=tuple(others), seconds=seconds)


def measure(feats: Path, each: int, seed: int) -> Found:
    """Seeds a copy of a store and looks for what was seeded."""
    rng = np.random.default_rng(seed)
    with TemporaryDirectory() as folder:
        copy = Path(shutil.copyfile(feats, Path(folder) / "feats.h5"))
        with open_store(copy) as store:
            variants = choose_variants(store, each, rng)
        seed_store(copy, variants, rng)
        started = time.perf_counter()
        with open_store(copy) as store:
            proposals = propose(read_usage(store))
        return judged(proposals, variants, time.perf_counter() - started)


def report(found: Sequence[Found], listed: int) -> str:
    """The table and the proposals between tags that were there before."""
    rows = []
    for kind in KINDS:
        named = [(name, one) for one in found for name, seeded in one.variants.items() if seeded.kind == kind]
        hits = sum(name in one.right for name, one in named)
        misses = sum(_kind_of(proposal, one) == kind for one in found for proposal in one.wrong)
        rows.append([kind, f"{len(named)}", _percent(hits, hits + misses), _percent(hits, len(named))])
    hits, misses, total = (
        sum(map(len, part)) for part in zip(*((f.right, f.wrong, f.variants) for f in found), strict=True)
    )
    rows.append(["all", f"{total}", _percent(hits, hits + misses), _percent(hits, total)])
    others = [proposal for one in found for proposal in one.others]
    names = dict.fromkeys(f"{proposal.tag} → {proposal.into}" for proposal in others)
    kinds = ", ".join(f"{sum(p.kind == kind for p in others)} {kind}" for kind in ("spelling", "alias"))
    wrong = dict.fromkeys(f"{p.tag} → {p.into} ({p.score:.2f})" for one in found for p in one.wrong)
    seconds = ", ".join(f"{one.seconds:.0f}" for one in found)
    return "\n\n".join(
        [
            table(["kind", "variants", "precision", "recall"], rows),
            f"Wrong: {'; '.join([*wrong][:listed]) or 'none'}.",
            f"Between tags that were there before: {kinds}, {len(names)} different; for example {'; '.join([*names][:listed])}.",
            f"Reading the store and proposing took {seconds} s by the clock.",
        ]
    )


def _kind_of(proposal: Proposal, found: Found) -> str:
    name = proposal.tag if proposal.tag in found.variants else proposal.into
    return found.variants[name].kind


def _percent(some: int, of: int) -> str:
    return f"{100 * some / of:.0f} % of {of}" if of else "–"


def main(words: Sequence[str] | None = None) -> None:
    """Prints the figures as Markdown."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--feats", type=Path, required=True, help="a feature store in one file; it is copied")
    options.add_argument("--each", type=int, default=50, help="variants of each kind [%(default)s]")
    options.add_argument("--seed", type=int, action="append", help="may be repeated [0]")
    options.add_argument("--listed", type=int, default=40, help="proposals that are shown [%(default)s]")
    options.add_argument("--write", action="store_true", help="put the table into the results")
    options.add_argument("--results", type=Path, default=RESULTS, help="where --write puts it [benchmarks/RESULTS.md]")
    arguments = options.parse_args(words)
    found = [measure(arguments.feats, arguments.each, seed) for seed in arguments.seed or [0]]
    publish(arguments, "Vocabulary health", report(found, arguments.listed), packages=("numpy", "scipy"))


if __name__ == "__main__":
    main()
