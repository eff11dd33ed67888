"""A trie of tags by their word pieces: which piece may come next so that an allowed tag can still be completed.

Decoding over a closed set of texts by such a trie is that of GENRE (De Cao et al., ICLR 2021).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

ROOT = 0


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
