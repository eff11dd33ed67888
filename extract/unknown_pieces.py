"""How many word pieces of titles and tags the tokenizer does not know, and the warning where they are many."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..data.store.schema import TextModelTables
from ..data.title_tokenizer import TitleTokenizer

MOST_UNKNOWN = 0.01
"""Share of unknown pieces above which people are warned: they are lost for input and can never be written."""

Tokens = Callable[[Sequence[str]], list[list[int]]]


@dataclass
class _Count:
    pieces: int = 0
    unknown: int = 0

    @property
    def share(self) -> float:
        return self.unknown / self.pieces if self.pieces else 0.0


@dataclass
class UnknownPieces:
    """Counts while a store is written.

    Attributes:
        encoder: the text encoder's description.
    """

    encoder: Mapping[str, Any]
    _counts: dict[str, _Count] = field(default_factory=lambda: {"titles": _Count(), "tags": _Count()})

    def counting(self, tables: TextModelTables) -> TextModelTables:
        """The same tables; whatever they cut into pieces from now on is counted, special tokens aside."""
        tokenizer = TitleTokenizer.from_json(tables.tokenizer_json)
        unknown = tokenizer.unknown_id
        specials = tokenizer.special_ids - {unknown}

        def counted(tokens: Tokens, count: _Count) -> Tokens:
            def cut(texts: Sequence[str]) -> list[list[int]]:
                rows = tokens(texts)
                for row in rows:
                    count.pieces += sum(1 for piece in row if piece not in specials)
                    count.unknown += row.count(unknown) if unknown is not None else 0
                return rows

            return cut

        return replace(
            tables,
            title_tokens=counted(tables.title_tokens, self._counts["titles"]),
            tag_tokens=counted(tables.tag_tokens, self._counts["tags"]),
        )

    def shares(self) -> dict[str, float]:
        """Share of unknown pieces of ``titles`` and of ``tags``, 0 to 1."""
        return {name: count.share for name, count in self._counts.items()}

    def warning(self) -> str | None:
        """A sentence with the shares and what to do, where one of them is above :data:`MOST_UNKNOWN`."""
        shares = self.shares()
        if max(shares.values()) <= MOST_UNKNOWN:
            return None
        name = self.encoder.get("name") or self.encoder.get("package") or self.encoder.get("folder")
        return (
            f"{shares['titles']:.1%} of the word pieces of titles and {shares['tags']:.1%} of those of tags are unknown to "
            f"the tokenizer of {name}; they are lost for the model: choose another preset (--preset clip-zh for Chinese) or "
            "--text-encoder characters"
        )
