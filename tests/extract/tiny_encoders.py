"""Randomly initialised encoders saved to folders, as people save their own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from optsg.data.torchvision_compat import ensure_torchvision_importable
from safetensors.torch import save_file

from tests.tiny_world import tiny_tokenizer

TINY_VISION = {"image_size": 64, "layers": 2, "width": 64, "head_width": 32, "patch_size": 16}
B32_VISION = {"image_size": 224, "layers": 1, "width": 768, "patch_size": 32}
"""ViT-B/32 in all its sizes, one layer deep."""


def save_open_clip(folder: Path, *, vision: dict[str, Any], embed_dim: int, quick_gelu: bool = False) -> Path:
    """open_clip_config.json and weights."""
    ensure_torchvision_importable()
    import open_clip

    text = {"context_length": 8, "vocab_size": 50, "width": 32, "heads": 2, "layers": 1}
    model_cfg = {"embed_dim": embed_dim, "quick_gelu": quick_gelu, "vision_cfg": vision, "text_cfg": text}
    torch.manual_seed(3)
    model = open_clip.CLIP(**json.loads(json.dumps(model_cfg)))
    folder.mkdir()
    preprocess = {
        "mean": [0.4, 0.5, 0.6],
        "std": [0.2, 0.3, 0.4],
        "interpolation": "bicubic",
        "resize_mode": "shortest",
    }
    config = {"model_cfg": model_cfg, "preprocess_cfg": preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    return folder


def save_siglip2(folder: Path) -> Path:
    """As open_clip's SigLIP 2: a tower of timm without a class token, pooled by attention, pixels squashed to −1 to 1."""
    ensure_torchvision_importable()
    import open_clip

    model_cfg = open_clip.get_model_config("ViT-B-16-SigLIP2")
    model_cfg["embed_dim"] = 96
    model_cfg["vision_cfg"] |= {"timm_model_name": "test_vit3", "image_size": 160}
    for name in ("hf_tokenizer_name", "tokenizer_kwargs"):
        del model_cfg["text_cfg"][name]
    model_cfg["text_cfg"] |= {"vocab_size": 50, "width": 96, "heads": 2, "layers": 1}
    torch.manual_seed(3)
    settings = {name: value for name, value in json.loads(json.dumps(model_cfg)).items() if name != "custom_text"}
    model = open_clip.CustomTextCLIP(**settings)
    folder.mkdir()
    known = open_clip.pretrained.get_pretrained_cfg("ViT-B-16-SigLIP2", "webli")
    preprocess = {name: known[name] for name in ("mean", "std", "interpolation", "resize_mode")}
    config = {"model_cfg": model_cfg, "preprocess_cfg": preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    return folder


def save_multilingual(folder: Path, *, width: int = 32) -> Path:
    """As the multilingual MiniLM: a BERT whose word pieces are SentencePiece's, words marked by "▁"."""
    ensure_torchvision_importable()
    from tokenizers import Tokenizer, decoders, pre_tokenizers, processors
    from tokenizers.models import Unigram
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    words = ("▁a", "▁cat", "▁fox", "▁red", "▁lake", "▁the", "▁at", "fish", "s", "▁李", "焕", "英", "▁", ",", "-")
    letters = "abcdefghijklmnopqrstuvwxyz李"
    pieces = ["<s>", "<pad>", "</s>", "<unk>", *words, *(letter for letter in letters if letter not in words)]
    tokenizer = Tokenizer(Unigram([(piece, -float(number)) for number, piece in enumerate(pieces)], unk_id=3))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    config = BertConfig(
        vocab_size=len(pieces),
        hidden_size=width,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
        pad_token_id=1,
    )
    torch.manual_seed(7)
    BertModel(config).save_pretrained(folder)
    specials = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **specials).save_pretrained(folder)
    return folder


def save_timm(folder: Path, name: str) -> Path:
    """timm's config.json and model.safetensors."""
    ensure_torchvision_importable()
    import timm
    from timm.models import save_for_hf

    torch.manual_seed(3)
    model = timm.create_model(name)
    for module in model.modules():
        if (
            isinstance(module, torch.nn.BatchNorm2d)
            and module.running_mean is not None
            and module.running_var is not None
        ):  # as after training, so that folding them has something to fold
            torch.nn.init.uniform_(module.running_mean, -0.5, 0.5)
            torch.nn.init.uniform_(module.running_var, 0.5, 2.0)
    save_for_hf(model, str(folder), safe_serialization=True)
    return folder


def save_bert(folder: Path, *, layers: int = 8) -> Path:
    """config.json, model.safetensors, tokenizer.json of a BERT of width 32."""
    ensure_torchvision_importable()
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    tokenizer = tiny_tokenizer()
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=32,
        num_hidden_layers=layers,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    torch.manual_seed(7)
    BertModel(config).save_pretrained(folder)
    specials = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **specials).save_pretrained(folder)
    return folder
