"""Image towers of open_clip (the only import of open_clip)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from ..data.torchvision_compat import ensure_torchvision_importable

ensure_torchvision_importable()

import open_clip  # noqa: E402
import torch  # noqa: E402
from open_clip.transform import PreprocessCfg, image_transform_v2  # noqa: E402
from open_clip.transformer import QuickGELU  # noqa: E402
from PIL import Image  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from ..data.errors import EncoderError  # noqa: E402
from .tower import Precision, Tower, example_pictures  # noqa: E402
from .weights import NO_DOWNLOAD_HINT, check_digest, model_hub, quiet_libraries, weights_digest  # noqa: E402


class OpenClipEncoder:
    """An open_clip image tower: frames are what ``encode_image`` gives, patches the last layer's tokens.

    For ViT-B/32 that is 512-d per frame and 49 × 768 per image. Frame features are not normalised. Patch tokens are
    taken after the tower's final layer norm and before pooling and projection, without the class token.

    Spec: ``name`` + ``pretrained`` (a tag that open_clip knows), or ``folder`` (``open_clip_config.json`` and weights
    as ``.safetensors``).
    """

    def __init__(self, spec: Mapping[str, Any], *, device: str = "auto", precision: Precision = "auto"):
        self._source = {key: spec[key] for key in ("name", "pretrained", "folder") if spec.get(key)}
        tower, self._quick_gelu = _open_tower(self._source)
        self._digest = weights_digest(tower.state_dict())
        check_digest(f"the image encoder {_shown(self._source)}", spec.get("digest"), self._digest)
        self._settings: dict[str, Any] = dict(cast("Mapping[str, Any]", tower.preprocess_cfg))
        self._transform = image_transform_v2(PreprocessCfg(**self._settings), is_train=False)
        examples = torch.stack([self.preprocess(picture) for picture in example_pictures()])
        self._tower = Tower(tower, _pooled, examples=examples, device=device, precision=precision)
        self.frame_dim = int(self.encode_frames(examples[:1]).shape[1])
        self._patches, self.patch_dim = (int(n) for n in self.encode_patches(examples[:1]).shape[1:])

    def preprocess(self, image: Image.Image) -> Tensor:
        """open_clip's own evaluation transform for this model."""
        pixels: Tensor = self._transform(image)
        return pixels

    def encode_frames(self, pixels: Tensor) -> Tensor:
        """(n, 3, H, W) to (n, frame_dim)."""
        return self._tower.run(_pooled, pixels)

    def encode_patches(self, pixels: Tensor) -> Tensor:
        """(n, 3, H, W) to (n, P, patch_dim)."""
        return self._tower.run(_tokens, pixels)

    def spec(self) -> dict[str, Any]:
        """See :meth:`optsg.extract.image_encoder.ImageEncoder.spec`."""
        return {
            "library": "open_clip",
            "library_version": open_clip.__version__,
            **self._source,
            "digest": self._digest,
            "quick_gelu": self._quick_gelu,
            "preprocessing": json.loads(json.dumps(self._settings)),
            "frame_features": "pooled and projected, not normalised",
            "patch_features": f"{self._patches} tokens after the final norm, before pooling and projection",
            "dtype": self._tower.format,
        }


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
        return f"{source['folder']} cannot be opened as an open_clip model: {str(error).splitlines()[0]}"
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
