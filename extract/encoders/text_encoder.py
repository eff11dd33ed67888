"""The frozen text encoder: tag embeddings, and what the title encoder starts from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ...data.errors import EncoderError
from ...data.store.schema import StoreHeader, TextModelTables

if TYPE_CHECKING:
    from ...data.store.merging.merge import TextMaker

CHARACTERS = "characters"
"""What ``--text-encoder`` calls the encoder that needs no text model."""


class TextEncoder(Protocol):
    """What titles are cut into, what starts the title encoder, and what tags look like as vectors.

    Attributes:
        tag_dim: width E of a tag embedding.
    """

    tag_dim: int

    def tables(self, corpus: Iterable[str] = ()) -> TextModelTables:
        """Everything that stage two needs of this model.

        ``corpus`` gives every title and tag key of the store, for encoders that make their vocabulary from them.
        """
        ...

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(n, E) tag embeddings of n tag keys."""
        ...

    def spec(self) -> dict[str, Any]:
        """JSON description; :func:`open_text_encoder` opens the same encoder from it and checks its weights."""
        ...


def parse_text_encoder(text: str) -> dict[str, Any]:
    """What ``--text-encoder`` names: a folder saved by Hugging Face transformers, or a name on the model hub.

    ``characters``, or ``characters:WIDTH``, is the encoder that needs no model.

    Raises:
        EncoderError: the width is no number.
    """
    name, colon, width = text.partition(":")
    if name == CHARACTERS:
        if colon and not width.isdecimal():
            raise EncoderError(
                f"--text-encoder {text} has no width; expected characters, or characters:384 for instance"
            )
        return {"library": "optsg", "name": CHARACTERS, **({"width": int(width)} if colon else {})}
    folder = Path(text)
    if folder.is_dir():
        return {"library": "transformers", "folder": str(folder.resolve())}
    return {"library": "transformers", "name": text}


def open_text_encoder(spec: Mapping[str, Any], *, device: str = "auto") -> TextEncoder:
    """Opens the encoder that ``spec`` describes: a preset's, a parsed name, or what an encoder's ``spec()`` returned.

    Raises:
        EncoderError: its weights cannot be had, or they are not the ones in ``spec``.
    """
    if spec.get("library") == "optsg" and spec.get("name") == CHARACTERS:
        from .character_text_encoder import DEFAULT_WIDTH, CharacterTextEncoder

        return CharacterTextEncoder(spec.get("width", DEFAULT_WIDTH))
    if spec.get("library") != "transformers":
        raise EncoderError(f"text encoders come from transformers, not from {spec.get('library')!r}")
    from .hf_text_encoder import HfTextEncoder

    return HfTextEncoder(spec, device=device)


def text_maker(device: str = "auto") -> TextMaker:
    """What gives a finished store's text model new titles and tags; it is opened where there are any, and errors are those of that."""

    def make_text(header: StoreHeader, corpus: Iterable[str]) -> TextModelTables:
        return open_text_encoder(header.text_encoder, device=device).tables(corpus)

    return make_text
