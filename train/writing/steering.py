"""Keeps greedy decoding on allowed tags, and writes what it is told to write.

Only the choice of a piece is limited: probabilities are reported as the model gives them. A decoding that stays within what
is allowed by itself is therefore exactly the free one. What one video may still be given is all tags of a trie, or any tag at
all, less those that are taken; the trie says which piece may come next so that an allowed tag can still be completed (GENRE,
De Cao et al., ICLR 2021).

Legend: R rows (videos, or slots of videos), V vocabulary.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...data.word_pieces import EOS, MARKS, NIL, PAD, SEPARATOR

NEVER = float("-inf")


ROOT = 0


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
        """Takes in the token that was written in each row, (R,); PAD is none."""
        for row, token in zip(self._rows, tokens.flatten().tolist(), strict=True):
            if token != PAD:
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
        """Drops all rows but these, in step with a batch that shrinks."""
        self._rows = [self._rows[row] for row in rows.tolist()]

    def limited(self, scores: Tensor) -> Tensor:
        """Scores (…, V) of R rows in all, with -inf for what may not come next."""
        rows = scores.flatten(0, -2).clone()
        self.limit(rows)
        return rows.view_as(scores)

    def limit(self, scores: Tensor) -> None:
        """Sets the scores (R, V) of what may not come next to -inf."""
        self._limit_to_tries(scores)
        # What is dictated goes before everything; a complete tag can only end; other tags may end where they may be written.
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
            # A mask is as wide as the vocabulary, and most rows stand at the same few nodes: one for each node.
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


Pieces = tuple[int, ...]
"""A tag as decoder ids."""


class Allowance:
    """What one video may still be given; where a video has several slots, they share it.

    Args:
        trie: the tags that may be written; ``None`` is any.
        taken: tags that may not, because they are forbidden or there already.
    """

    def __init__(self, trie: TagTrie | None = None, taken: Iterable[Sequence[int]] = ()):
        self.trie = trie
        self._taken: set[Pieces] = set()
        self._below: Counter[int] = Counter()
        self._dead: dict[int, list[int]] = {}
        for tag in taken:
            self.take(tuple(tag))

    @property
    def remaining(self) -> int | None:
        """How many tags may be written; ``None`` without an end."""
        return None if self.trie is None else len(self.trie) - self._below[ROOT]

    def take(self, tag: Pieces) -> None:
        """Takes a tag away: it may not be written any more."""
        if tag in self._taken:
            return
        self._taken.add(tag)
        if self.trie is None or not self.trie.holds(tag):
            return
        parent = ROOT
        self._below[ROOT] += 1
        for piece, node in zip(tag, self.trie.path(tag) or (), strict=True):
            self._below[node] += 1
            # Every tag below is taken: the piece that leads there is offered no more, or writing would end in a blind alley.
            if self._below[node] == self.trie.counts[node]:
                self._dead.setdefault(parent, []).append(piece)
            parent = node

    def may_end(self, tag: Pieces) -> bool:
        """Whether these pieces are a tag that may be written."""
        return tag not in self._taken and (self.trie is None or self.trie.holds(tag))

    def dead_pieces(self, node: int) -> Sequence[int]:
        """Pieces from a node of the trie on that lead to taken tags alone."""
        return self._dead.get(node, ())


class TagTrie:
    """Nodes are numbers; the root, no piece written yet, is 0.

    Attributes:
        children: per node, the next node by piece.
        ends: per node, whether its pieces are a tag.
        counts: per node, how many tags begin with its pieces.
    """

    def __init__(self, tags: Iterable[Sequence[int]]):
        self.children: list[dict[int, int]] = [{}]
        self.ends = [False]
        self.counts = [0]
        for tag in tags:
            self._add(tag)

    def __len__(self) -> int:
        return self.counts[ROOT]

    def _add(self, tag: Sequence[int]) -> None:
        if not tag or self.holds(tag):
            return
        self.counts[ROOT] += 1
        node = ROOT
        for piece in tag:
            if piece not in self.children[node]:
                self.children[node][piece] = len(self.children)
                self.children.append({})
                self.ends.append(False)
                self.counts.append(0)
            node = self.children[node][piece]
            self.counts[node] += 1
        self.ends[node] = True

    def path(self, pieces: Sequence[int]) -> list[int] | None:
        """The nodes below the root along these pieces; ``None`` where no tag begins so."""
        nodes, node = [], ROOT
        for piece in pieces:
            if piece not in self.children[node]:
                return None
            node = self.children[node][piece]
            nodes.append(node)
        return nodes

    def holds(self, tag: Sequence[int]) -> bool:
        """Whether these pieces are a tag."""
        nodes = self.path(tag)
        return nodes is not None and len(nodes) > 0 and self.ends[nodes[-1]]
