"""Image towers of open_clip, and the text towers beside them (the only import of open_clip)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from ...data.torchvision_compat import ensure_torchvision_importable

ensure_torchvision_importable()

import numpy as np  # noqa: E402
import open_clip  # noqa: E402
import torch  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from open_clip.transform import PreprocessCfg, image_transform_v2  # noqa: E402
from open_clip.transformer import QuickGELU  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from ...data.errors import EncoderError, reason_of  # noqa: E402, reason_of
from .pixel_plan import PixelPlan  # noqa: E402
from .tower import LoadedTower, pick_device  # noqa: E402
from .weights import NO_DOWNLOAD_HINT, model_hub, quiet_libraries  # noqa: E402

TEXTS_AT_ONCE = 256
"""Sentences of a call of a text tower."""


def load_open_clip(spec: Mapping[str, Any]) -> LoadedTower:
    """An open_clip image tower: frames are what ``encode_image`` gives, patches the last layer's tokens.

    For ViT-B/32 that is 512-d per frame and 49 × 768 per image. Frame features are not normalised. Patch tokens are
    taken after the tower's final layer norm and before pooling and projection, without the class token.

    Args:
        spec: ``name`` + ``pretrained`` (a tag that open_clip knows), or ``folder`` (``open_clip_config.json`` and
            weights as ``.safetensors``).

    Raises:
        EncoderError: open_clip does not know it, or its weights cannot be had.
    """
    source = {key: spec[key] for key in ("name", "pretrained", "folder") if spec.get(key)}
    tower, quick_gelu = _open_tower(source)
    settings = PreprocessCfg(**cast("Mapping[str, Any]", tower.preprocess_cfg))
    return LoadedTower(
        module=tower,
        pooled=_pooled,
        patches=_tokens,
        plan=_plan(settings),
        mean=_three(settings.mean),
        std=_three(settings.std),
        transform=lambda: image_transform_v2(settings, is_train=False),
        spec={
            "library": "open_clip",
            "library_version": open_clip.__version__,
            **source,
            "quick_gelu": quick_gelu,
        },
        description=_shown(source),
        features=("pooled and projected, not normalised", "tokens after the final norm, before pooling and projection"),
    )


def _plan(settings: PreprocessCfg) -> PixelPlan:
    """What open_clip's ``image_transform`` does for evaluation."""
    size = (settings.size, settings.size) if isinstance(settings.size, int) else tuple(settings.size)
    covering = settings.resize_mode == "shortest" and size[0] != size[1]
    # open_clip falls back to bicubic for its training-only setting "random" and, there alone, whatever is set.
    bilinear = settings.interpolation == "bilinear" and not covering
    return PixelPlan(
        mode="covering" if covering else settings.resize_mode,
        size=size,
        crop=size,
        interpolation="bilinear" if bilinear else "bicubic",
        fill=(settings.fill_color,) * 3 if settings.resize_mode == "longest" else (0, 0, 0),
    )


def _three(values: float | Sequence[float]) -> tuple[float, float, float]:
    red, green, blue = [values] * 3 if isinstance(values, (int, float)) else values
    return float(red), float(green), float(blue)


class OpenClipTextTower:
    """The text tower of an open_clip model, whose features lie where those of its image tower lie.

    Attributes:
        scale, bias: a picture fits a sentence by scale · cosine + bias; ``None`` where the model has no bias (CLIP).
    """

    def __init__(self, spec: Mapping[str, Any], *, device: str = "auto"):
        source = {key: spec[key] for key in ("name", "pretrained", "folder") if spec.get(key)}
        model, _ = _open_model(source)
        model.visual = None  # its features are computed elsewhere
        self._device = pick_device(device)
        self._model = model.eval().to(self._device)
        self._tokenizer = _open_tokenizer(source)
        self.scale = float(model.logit_scale.detach().exp())
        bias = getattr(model, "logit_bias", None)
        self.bias = None if bias is None else float(bias.detach())

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(n, D) features of n sentences, not normalised."""
        found = []
        with torch.inference_mode():
            for start in range(0, len(texts), TEXTS_AT_ONCE):
                tokens = self._tokenizer(list(texts[start : start + TEXTS_AT_ONCE])).to(self._device)
                found.append(self._model.encode_text(tokens).float().cpu().numpy())
        return np.concatenate(found)


def open_text_tower(spec: Mapping[str, Any], *, device: str = "auto") -> OpenClipTextTower:
    """The text tower of the checkpoint that :func:`load_open_clip` takes the image tower from; errors as there."""
    return OpenClipTextTower(spec, device=device)


def _open_tokenizer(source: Mapping[str, str]) -> Any:
    name = f"local-dir:{source['folder']}" if "folder" in source else source["name"]
    try:
        with quiet_libraries():
            return open_clip.get_tokenizer(name)
    except Exception as error:  # the hub and the libraries of tokenizers raise many kinds
        raise EncoderError(f"the tokenizer of {_shown(source)} cannot be had: {reason_of(error)}") from error


def _open_tower(source: Mapping[str, str]) -> tuple[nn.Module, bool]:
    """The image tower with its weights and whether it uses QuickGELU."""
    model, quick_gelu = _open_model(source)
    tower = model.visual.eval()
    _check_activation(source, tower, quick_gelu)
    return tower, quick_gelu


def _open_model(source: Mapping[str, str]) -> tuple[Any, bool]:
    """Both towers with their weights and whether they use QuickGELU."""
    try:
        if "folder" in source:
            quick_gelu = _folder_quick_gelu(Path(source["folder"]))
            with quiet_libraries():
                model = open_clip.create_model(f"local-dir:{source['folder']}", require_pretrained=True)
        else:
            quick_gelu = _named_quick_gelu(source)
            with model_hub():
                model = open_clip.create_model(
                    source["name"],
                    pretrained=source.get("pretrained"),
                    # A tag of open_clip knows the activation its weights were trained with; the bare name does not.
                    force_quick_gelu=quick_gelu,
                    require_pretrained=True,
                )
    except EncoderError:
        raise
    except Exception as error:  # open_clip and the hub raise many kinds, RuntimeError among them
        raise EncoderError(_missing(source, error)) from error
    return model, quick_gelu


def _named_quick_gelu(source: Mapping[str, str]) -> bool:
    """The QuickGELU flag of a tag; unknown names and tags are refused here, before anything is downloaded."""
    name, tag = source["name"], source.get("pretrained", "")
    if name.startswith("hf-hub:"):
        return bool(open_clip.get_model_config(name).get("quick_gelu", False))
    if name not in open_clip.list_models():
        raise EncoderError(f"open_clip has no model named {name!r}")
    known = open_clip.pretrained.get_pretrained_cfg(name, tag)
    if not known:
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(name)) or "none"
        raise EncoderError(f"open_clip has no weights {tag!r} for {name}; it knows: {tags}")
    configured = (open_clip.get_model_config(name) or {}).get("quick_gelu", False)
    return bool(known.get("quick_gelu", False) or configured)


def _folder_quick_gelu(folder: Path) -> bool:
    if not list(folder.glob("*.safetensors")):
        raise EncoderError(f"{folder} has no weights as .safetensors beside its open_clip_config.json")
    return bool(open_clip.get_model_config(f"local-dir:{folder}").get("quick_gelu", False))


def _check_activation(source: Mapping[str, str], tower: nn.Module, expected: bool) -> None:
    """QuickGELU in place of GELU, or the reverse, spoils the features without any error (open_clip #771)."""
    found = any(isinstance(module, QuickGELU) for module in tower.modules())
    is_transformer = any(isinstance(module, (nn.GELU, QuickGELU)) for module in tower.modules())
    if is_transformer and found != expected and not hasattr(tower, "trunk"):
        names = {True: "QuickGELU", False: "GELU"}
        raise EncoderError(
            f"the image tower {_shown(source)} was built with {names[found]}, but its weights need {names[expected]}"
        )


def _missing(source: Mapping[str, str], error: Exception) -> str:
    if "folder" in source:
        return f"{source['folder']} cannot be opened as an open_clip model: {reason_of(error)}"
    return (
        f"the weights of the open_clip model {_shown(source)} are neither in the local cache nor to be had from the "
        f"model hub; {NO_DOWNLOAD_HINT}"
    )


def _shown(source: Mapping[str, str]) -> str:
    return source.get("folder") or "/".join(filter(None, (source["name"], source.get("pretrained"))))


def _pooled(tower: nn.Module, pixels: Tensor) -> Tensor:
    features: Tensor = tower(pixels)
    return features


def _tokens(tower: nn.Module, pixels: Tensor) -> Tensor:
    last = tower.forward_intermediates(  # type: ignore[operator]
        pixels, indices=1, normalize_intermediates=True, intermediates_only=True, output_fmt="NLC"
    )
    tokens: Tensor = last["image_intermediates"][0]
    return tokens
