"""Image towers of timm (the only import of timm)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..data.torchvision_compat import ensure_torchvision_importable

ensure_torchvision_importable()

import timm  # noqa: E402
import torch  # noqa: E402
from PIL import Image  # noqa: E402
from timm.data.config import resolve_model_data_config  # noqa: E402
from timm.data.transforms_factory import create_transform  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from ..data.errors import EncoderError  # noqa: E402
from .batchnorm_folding import fold_batch_norms  # noqa: E402
from .efficientnet_lite0 import PACKAGE, load_package_weights  # noqa: E402
from .tower import Precision, Tower, example_pictures  # noqa: E402
from .weights import NO_DOWNLOAD_HINT, check_digest, model_hub, quiet_libraries, weights_digest  # noqa: E402


class TimmEncoder:
    """A timm model: frames are its pooled features, patches the cells of its last feature map.

    Spec: ``name`` (timm's, weights from the hub), or ``folder`` (``config.json`` + ``model.safetensors``), or
    ``name`` + ``package`` (weights that ship in a Python package).
    """

    def __init__(self, spec: Mapping[str, Any], *, device: str = "auto", precision: Precision = "auto"):
        self._source = {key: spec[key] for key in ("name", "folder", "package") if spec.get(key)}
        model = _open_model(self._source)
        self._digest = weights_digest(model.state_dict())
        check_digest(f"the image encoder {_shown(self._source)}", spec.get("digest"), self._digest)
        settings = resolve_model_data_config(model)  # type: ignore[no-untyped-call]
        self._transform = create_transform(**settings, is_training=False)
        self._settings = {key: settings[key] for key in ("input_size", "interpolation", "mean", "std", "crop_pct")}
        examples = torch.stack([self.preprocess(picture) for picture in example_pictures()])
        folded = fold_batch_norms(model, examples[:1])
        self._tower = Tower(folded, _pooled, examples=examples, device=device, precision=precision)
        self.frame_dim = int(self.encode_frames(examples[:1]).shape[1])
        self._patches, self.patch_dim = (int(n) for n in self.encode_patches(examples[:1]).shape[1:])

    def preprocess(self, image: Image.Image) -> Tensor:
        """The model's own resizing, cropping and normalisation."""
        pixels: Tensor = self._transform(image)
        return pixels

    def encode_frames(self, pixels: Tensor) -> Tensor:
        """(n, 3, H, W) to (n, frame_dim): features after global pooling, before the classifier."""
        return self._tower.run(_pooled, pixels)

    def encode_patches(self, pixels: Tensor) -> Tensor:
        """(n, 3, H, W) to (n, P, patch_dim): the last feature map, row by row, or the tokens without prefix."""
        return self._tower.run(_patches, pixels)

    def spec(self) -> dict[str, Any]:
        """See :meth:`optsg.extract.image_encoder.ImageEncoder.spec`."""
        return {
            "library": "timm",
            "library_version": timm.__version__,
            **self._source,
            "digest": self._digest,
            "preprocessing": json.loads(json.dumps(self._settings)),
            "frame_features": "pooled, before the classifier, not normalised",
            "patch_features": f"last feature map, {self._patches} cells",
            "dtype": self._tower.format,
        }


def _open_model(source: Mapping[str, str]) -> nn.Module:
    """The model with its weights, evaluation mode, float32, on the CPU."""
    if "package" in source:
        if (source["name"], source["package"]) != ("tf_efficientnet_lite0", PACKAGE):
            raise EncoderError(f"the package {source['package']} has no weights for the timm model {source['name']}")
        model = timm.create_model("tf_efficientnet_lite0", pretrained=False)
        return load_package_weights(model).eval()
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
        return f"{source['folder']} cannot be opened as a timm model: {str(error).splitlines()[0]}"
    name = source["name"]
    if not timm.is_model(name.split("/")[-1].removeprefix("hf-hub:")) and not name.startswith("hf-hub:"):
        return f"timm has no model named {name!r}"
    return f"the weights of the timm model {name!r} are neither in the local cache nor to be had from the model hub; {NO_DOWNLOAD_HINT}"


def _shown(source: Mapping[str, str]) -> str:
    return source.get("folder") or source["name"]


def _pooled(model: nn.Module, pixels: Tensor) -> Tensor:
    features: Tensor = model.forward_head(model.forward_features(pixels), pre_logits=True)  # type: ignore[operator]
    return features


def _patches(model: nn.Module, pixels: Tensor) -> Tensor:
    """Feature maps come as (n, C, h, w), (n, h, w, C) or (n, prefix + tokens, C)."""
    features: Tensor = model.forward_features(pixels)  # type: ignore[operator]
    if features.ndim == 3:
        return features[:, int(getattr(model, "num_prefix_tokens", 0)) :]
    if features.shape[-1] == model.num_features and features.shape[1] != model.num_features:
        return features.flatten(1, 2)
    return features.flatten(2).transpose(1, 2)
