"""The frozen text encoder: tag embeddings, and the title encoder's tokenizer and first layers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from ...data.errors import EncoderError
from ...data.store.schema import TextModelTables


class TextEncoder(Protocol):
    """A frozen language model.

    Attributes:
        tag_dim: width E of a tag embedding.
    """

    tag_dim: int

    def tables(self, title_layers: int) -> TextModelTables:
        """Everything that stage two needs of this model, with the title encoder cut to its first layers."""
        ...

    def spec(self) -> dict[str, Any]:
        """JSON description; :func:`open_text_encoder` opens the same encoder from it and checks its weights."""
        ...


def parse_text_encoder(text: str) -> dict[str, Any]:
    """What ``--text-encoder`` names: a folder saved by Hugging Face transformers, or a name on the model hub."""
    folder = Path(text)
    if folder.is_dir():
        return {"library": "transformers", "folder": str(folder.resolve())}
    return {"library": "transformers", "name": text}


def open_text_encoder(spec: Mapping[str, Any], *, device: str = "auto") -> TextEncoder:
    """Opens the encoder that ``spec`` describes: a preset's, a parsed name, or what an encoder's ``spec()`` returned.

    Raises:
        EncoderError: its weights cannot be had, or they are not the ones in ``spec``.
    """
    if spec.get("library") != "transformers":
        raise EncoderError(f"text encoders come from transformers, not from {spec.get('library')!r}")
    from .hf_text_encoder import HfTextEncoder

    return HfTextEncoder(spec, device=device)
