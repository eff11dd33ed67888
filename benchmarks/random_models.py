"""Randomly initialised encoders in folders, so that nothing is downloaded: `python benchmarks/random_models.py FOLDER`.

``FOLDER/vit-b-32`` has all sizes of open_clip's ViT-B-32 ``openai`` (QuickGELU), text tower included; ``FOLDER/bert`` is
a BERT of width 32, since text is encoded once per title. With ``--tiny``, ``FOLDER/timm`` is the smallest image tower of
timm instead, for measurements in which the tower must not matter. Speed does not depend on the values of weights.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

VIT_B_32 = {
    "embed_dim": 512,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 224, "layers": 12, "width": 768, "patch_size": 32},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 512, "heads": 8, "layers": 12},
}
PREPROCESSING = {
    "mean": [0.48145466, 0.4578275, 0.40821073],
    "std": [0.26862954, 0.26130258, 0.27577711],
    "interpolation": "bicubic",
    "resize_mode": "shortest",
}


def save_vit_b_32(folder: Path) -> None:
    """open_clip_config.json and open_clip_model.safetensors."""
    from optsg.data.torchvision_compat import ensure_torchvision_importable

    ensure_torchvision_importable()
    import open_clip
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(3)
    model = open_clip.CLIP(**json.loads(json.dumps(VIT_B_32)))
    folder.mkdir()
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    config = {"model_cfg": VIT_B_32, "preprocess_cfg": PREPROCESSING}
    (folder / "open_clip_config.json").write_text(json.dumps(config), encoding="utf-8")


def main() -> None:
    """Saves what is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tiny", action="store_true")
    arguments = parser.parse_args()
    sys.path.insert(0, str(ROOT))  # a script finds only its own folder
    from transformers.utils import logging

    from tests.extract.tiny_encoders import save_bert, save_timm

    logging.disable_progress_bar()
    folder: Path = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    if arguments.tiny and not (folder / "timm").exists():
        save_timm(folder / "timm", "test_efficientnet")
    if not arguments.tiny and not (folder / "vit-b-32").exists():
        save_vit_b_32(folder / "vit-b-32")
    if not (folder / "bert").exists():
        save_bert(folder / "bert")


if __name__ == "__main__":
    main()
