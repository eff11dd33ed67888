"""Frozen image encoders: what they look like, how they are named and how one is opened.

Legend: n pictures, P patches of a picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from PIL import Image
from torch import Tensor

from ..data.errors import EncoderError
from .tower import Precision


class ImageEncoder(Protocol):
    """A frozen image tower with its own preprocessing.

    Attributes:
        frame_dim: width of the feature of a whole picture.
        patch_dim: width of the feature of one patch.
    """

    frame_dim: int
    patch_dim: int

    def preprocess(self, image: Image.Image) -> Tensor:
        """RGB picture to normalised pixels (3, H, W), float32."""
        ...

    def encode_frames(self, pixels: Tensor) -> Tensor:
        """(n, 3, H, W) to (n, frame_dim), float32."""
        ...

    def encode_patches(self, pixels: Tensor) -> Tensor:
        """(n, 3, H, W) to (n, P, patch_dim), float32."""
        ...

    def spec(self) -> dict[str, Any]:
        """JSON description; :func:`open_image_encoder` opens the same encoder from it and checks its weights."""
        ...


def parse_image_encoder(text: str) -> dict[str, Any]:
    """What ``--image-encoder`` names.

    ``FOLDER`` with ``open_clip_config.json`` or with timm's ``config.json``; ``open_clip:MODEL/TAG``, also without the
    prefix (``ViT-B-32/openai``); ``timm:MODEL``, also without the prefix (``resnet50.a1_in1k``).
    """
    folder = Path(text)
    if folder.is_dir():
        if (folder / "open_clip_config.json").is_file():
            return {"library": "open_clip", "folder": str(folder.resolve())}
        if (folder / "config.json").is_file():
            return {"library": "timm", "folder": str(folder.resolve())}
        raise EncoderError(
            f"{folder} holds neither open_clip_config.json nor config.json; "
            "expected a folder saved by open_clip or timm, with its weights as .safetensors"
        )
    library, colon, name = text.partition(":")
    if not colon or library not in ("open_clip", "timm"):
        library, name = ("open_clip" if "/" in text else "timm"), text
    if library == "timm":
        return {"library": "timm", "name": name}
    if name.startswith("hf-hub:"):
        return {"library": "open_clip", "name": name}
    name, _, pretrained = name.partition("/")
    return {"library": "open_clip", "name": name, "pretrained": pretrained}


def open_image_encoder(spec: Mapping[str, Any], *, device: str = "auto", precision: Precision = "auto") -> ImageEncoder:
    """Opens the encoder that ``spec`` describes: a preset's, a parsed name, or what an encoder's ``spec()`` returned.

    Raises:
        EncoderError: its library does not know it, its weights cannot be had, or they are not the ones in ``spec``.
    """
    library = spec.get("library")
    if library == "open_clip":
        from .open_clip_encoder import OpenClipEncoder

        return OpenClipEncoder(spec, device=device, precision=precision)
    if library == "timm":
        from .timm_encoder import TimmEncoder

        return TimmEncoder(spec, device=device, precision=precision)
    raise EncoderError(f"image encoders come from open_clip or timm, not from {library!r}")
