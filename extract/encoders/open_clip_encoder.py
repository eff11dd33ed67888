"""Image towers of open_clip (the only import of open_clip)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from ...data.torchvision_compat import ensure_torchvision_importable

ensure_torchvision_importable()

import open_clip  # noqa: E402
from open_clip.transform import PreprocessCfg, image_transform_v2  # noqa: E402
from open_clip.transformer import QuickGELU  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from ...data.errors import EncoderError, reason_of  # noqa: E402, reason_of
from .pixel_plan import PixelPlan  # noqa: E402
from .tower import LoadedTower  # noqa: E402
from .weights import NO_DOWNLOAD_HINT, model_hub, quiet_libraries  # noqa: E402


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


def _open_tower(source: Mapping[str, str]) -> tuple[nn.Module, bool]:
    """The image tower with its weights and whether it uses QuickGELU."""
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
    tower = model.visual.eval()
    _check_activation(source, tower, quick_gelu)
    return tower, quick_gelu


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
