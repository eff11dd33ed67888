"""Image towers of timm (the only import of timm)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ...data.torchvision_compat import ensure_torchvision_importable

ensure_torchvision_importable()

import timm  # noqa: E402
from PIL import Image  # noqa: E402
from timm.data.config import resolve_data_config, resolve_model_data_config  # noqa: E402
from timm.data.transforms_factory import create_transform  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from ...data.errors import EncoderError, reason_of  # noqa: E402, reason_of
from .pixel_plan import PixelPlan, ResizeMode  # noqa: E402
from .tower import CONVOLUTIONAL_FEATURES, LoadedTower  # noqa: E402
from .weights import NO_DOWNLOAD_HINT, model_hub, quiet_libraries  # noqa: E402


def load_timm(spec: Mapping[str, Any]) -> LoadedTower:
    """A timm model: frames are its pooled features, patches the cells of its last feature map.

    Args:
        spec: ``name`` (timm's, weights from the hub), or ``folder`` (``config.json`` + ``model.safetensors``).

    Raises:
        EncoderError: timm does not know it, or its weights cannot be had.
    """
    source = {key: spec[key] for key in ("name", "folder") if spec.get(key)}
    model = _open_model(source)
    settings: dict[str, Any] = resolve_model_data_config(model)  # type: ignore[no-untyped-call]
    red, green, blue = (float(value) for value in settings["mean"])
    return LoadedTower(
        module=model,
        pooled=_pooled,
        patches=_cells,
        plan=_plan(settings),
        mean=(red, green, blue),
        std=tuple(float(value) for value in settings["std"]),  # type: ignore[arg-type]
        transform=lambda: create_transform(**settings, is_training=False),
        spec={"library": "timm", "library_version": timm.__version__, **source},
        description=_shown(source),
        features=CONVOLUTIONAL_FEATURES,
    )


def transform_of(name: str) -> Callable[[Image.Image], Tensor]:
    """The way from a picture to pixels that timm has for a model that it knows by name."""
    known = timm.get_pretrained_cfg(name)
    if known is None:
        raise EncoderError(f"timm has no settings of the model {name}")
    settings = resolve_data_config(pretrained_cfg=known.to_dict())  # type: ignore[no-untyped-call]
    transform: Callable[[Image.Image], Tensor] = create_transform(**settings, is_training=False)
    return transform


def _plan(settings: Mapping[str, Any]) -> PixelPlan:
    """What timm's ``transforms_imagenet_eval`` does."""
    _, rows, columns = settings["input_size"]
    size = math.floor(rows / settings["crop_pct"]), math.floor(columns / settings["crop_pct"])
    mode: ResizeMode = "shortest" if size[0] == size[1] else "covering"
    if settings["crop_mode"] in ("squash", "border"):
        mode = "squash" if settings["crop_mode"] == "squash" else "longest"
    red, green, blue = (round(255 * value) if mode == "longest" else 0 for value in settings["mean"])
    return PixelPlan(
        mode=mode,
        size=size,
        crop=(rows, columns),
        interpolation=settings["interpolation"],
        fill=(red, green, blue),
    )


def _open_model(source: Mapping[str, str]) -> nn.Module:
    """The model with its weights, evaluation mode, float32, on the CPU."""
    try:
        if "folder" in source:
            return _open_folder(Path(source["folder"])).eval()
        with model_hub():
            return timm.create_model(source["name"], pretrained=True).eval()
    except EncoderError:
        raise
    except Exception as error:  # timm and the hub raise many kinds, RuntimeError among them
        raise EncoderError(_missing(source, error)) from error


def _open_folder(folder: Path) -> nn.Module:
    if not (folder / "model.safetensors").is_file():
        raise EncoderError(f"{folder} has no model.safetensors; expected timm's config.json and model.safetensors")
    with quiet_libraries():
        return timm.create_model(f"local-dir:{folder}", pretrained=True)


def _missing(source: Mapping[str, str], error: Exception) -> str:
    if "folder" in source:
        return f"{source['folder']} cannot be opened as a timm model: {reason_of(error)}"
    name = source["name"]
    if not timm.is_model(name.split("/")[-1].removeprefix("hf-hub:")) and not name.startswith("hf-hub:"):
        return f"timm has no model named {name!r}"
    return f"the weights of the timm model {name!r} are neither in the local cache nor to be had from the model hub; {NO_DOWNLOAD_HINT}"


def _shown(source: Mapping[str, str]) -> str:
    return source.get("folder") or source["name"]


def _pooled(model: nn.Module, pixels: Tensor) -> Tensor:
    features: Tensor = model.forward_head(model.forward_features(pixels), pre_logits=True)  # type: ignore[operator]
    return features


def _cells(model: nn.Module, pixels: Tensor) -> Tensor:
    """Feature maps come as (n, C, h, w), (n, h, w, C) or (n, prefix + tokens, C)."""
    features: Tensor = model.forward_features(pixels)  # type: ignore[operator]
    if features.ndim == 3:
        return features[:, int(getattr(model, "num_prefix_tokens", 0)) :]
    if features.shape[-1] == model.num_features and features.shape[1] != model.num_features:
        return features.flatten(1, 2)
    return features.flatten(2).transpose(1, 2)
