"""Keeps greedy decoding on allowed tags, and writes what it is told to write.

Only the choice of a piece is limited: probabilities are reported as the model gives them. A decoding that stays within
what is allowed by itself is therefore exactly the free one. Legend: R rows (videos, or slots of videos), V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...data.vocabulary import EOS, MARKS, NIL, SEPARATOR
from .allowance import Allowance, Pieces
from .tag_trie import ROOT, TagTrie

NEVER = float("-inf")


@dataclass
class Row:
    """Where the writing of one row stands.

    Attributes:
        allowance: the video's; the slots of a video share it.
        forced: the tokens that come next, whatever the model thinks.
        tag: the pieces of the tag being written, and its node in the trie.
        closing: the tag is complete and can only end.
    """

    allowance: Allowance
    forced: list[int]
    tag: Pieces = ()
    node: int = ROOT
    closing: bool = False


class Steering:
    """Limits the next token of R rows; told every token that is written.

    Args:
        allowances: of every row.
        forced: per row, the tokens that it begins with; after them the tag can only end.
        repeats: whether a row may complete a tag that it has completed before (Chen et al., AAAI 2018, forbid it).
    """

    def __init__(
        self, allowances: Sequence[Allowance], forced: Sequence[Sequence[int]] | None = None, *, repeats: bool = True
    ):
        forced = forced or [()] * len(allowances)
        self._rows = [Row(own, list(tokens)) for own, tokens in zip(allowances, forced, strict=True)]
        self._repeats = repeats

    def read(self, tokens: Tensor) -> None:
        """Takes in the token that was written in each row, (R,)."""
        for row, token in zip(self._rows, tokens.flatten().tolist(), strict=True):
            self._advance(row, token)

    def _advance(self, row: Row, token: int) -> None:
        trie = row.allowance.trie
        was_forced = bool(row.forced)
        if was_forced:
            row.forced.pop(0)
        if token == SEPARATOR:
            if row.tag and not self._repeats:
                row.allowance.take(row.tag)
            row.tag, row.node, row.closing = (), ROOT, False
        elif token == NIL:
            row.closing = trie is not None
        elif token >= MARKS:
            row.tag += (token,)
            if was_forced:
                row.closing = not row.forced
            elif trie is not None and not row.closing:
                row.node = trie.children[row.node][token]

    def keep(self, rows: Tensor) -> None:
        """Keeps only these rows."""
        self._rows = [self._rows[row] for row in rows.tolist()]

    def limited(self, scores: Tensor) -> Tensor:
        """Scores (…, V) of R rows in all, with -inf for what may not come next."""
        rows = scores.flatten(0, -2).clone()
        self.limit(rows)
        return rows.view_as(scores)

    def limit(self, scores: Tensor) -> None:
        """Sets the scores (R, V) of what may not come next to -inf."""
        self._limit_to_tries(scores)
        for number, row in enumerate(self._rows):
            if row.forced:
                scores[number] = NEVER
                scores[number, row.forced[0]] = 0.0
            elif row.closing:
                ends = scores[number, [SEPARATOR, EOS]]
                scores[number] = NEVER
                scores[number, [SEPARATOR, EOS]] = ends
            elif row.tag and not row.allowance.may_end(row.tag):
                scores[number, [SEPARATOR, EOS]] = NEVER
            elif row.tag and not self._repeats and row.allowance.remaining == 1:
                scores[number, SEPARATOR] = NEVER  # this tag is the last one: after a separator there would be none

    def _limit_to_tries(self, scores: Tensor) -> None:
        """Leaves the pieces that lead on to an allowed tag, and the marks that a tag, or nothing, can end with."""
        by_trie: dict[int, list[int]] = {}
        for number, row in enumerate(self._rows):
            if row.allowance.trie is not None and not row.forced and not row.closing:
                by_trie.setdefault(id(row.allowance.trie), []).append(number)
        for numbers in by_trie.values():
            rows = [self._rows[number] for number in numbers]
            trie = rows[0].allowance.trie
            assert trie is not None
            nodes = sorted({row.node for row in rows})
            place = {node: index for index, node in enumerate(nodes)}
            allowed = _allowed(trie, nodes, scores.shape[1])[[place[row.node] for row in rows]]
            for place_in_group, row in enumerate(rows):
                allowed[place_in_group, list(row.allowance.dead_pieces(row.node))] = False
            index = torch.tensor(numbers, device=scores.device)
            scores[index] = scores[index].masked_fill(~allowed.to(scores.device), NEVER)


def _allowed(trie: TagTrie, nodes: Sequence[int], vocabulary: int) -> Tensor:
    """(nodes, V) on the CPU: which tokens may follow. Nothing written yet, nothing may be written at all."""
    allowed = torch.zeros(len(nodes), vocabulary, dtype=torch.bool)
    for index, node in enumerate(nodes):
        allowed[index, list(trie.children[node])] = True
        if node == ROOT or trie.ends[node]:
            allowed[index, [SEPARATOR, EOS]] = True
        if node == ROOT:
            allowed[index, NIL] = True
    return allowed
