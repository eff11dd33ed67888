"""Frozen image encoders: how they are named, how one is opened, what it does.

Legend: n pictures, P patches of a picture, H and W the tower's picture size.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from ...data.errors import EncoderError
from .kept_checks import circumstances, keep, read_kept
from .pixel_check import check_plan, normalised
from .presets import Precision
from .tower import LoadedTower, PendingFeatures, Tower, example_pictures, find_out, pick_device
from .tower_record import CheckedTower
from .weights import check_digest, weights_digest


class ImageEncoder:
    """A frozen image tower with its own preprocessing.

    Attributes:
        plan: picture to (H, W, 3) bytes; runs in the decoding processes.
        frame_dim: width of the feature of a whole picture.
        patch_dim: width of the feature of one patch.
    """

    def __init__(
        self, loaded: LoadedTower, *, digest: object = None, device: str = "auto", precision: Precision = "auto"
    ):
        self._loaded = loaded
        self._digest = weights_digest(loaded.module.state_dict())
        check_digest(f"the image encoder {loaded.description}", digest, self._digest)
        self.plan = loaded.plan
        place = pick_device(device)
        key = {"tower": {**loaded.spec, "folder": None}, "digest": self._digest, "preprocessing": self._preprocessing()}
        key |= {"precision": precision, **circumstances(place)}
        checked = CheckedTower.from_json(read_kept(key))
        if checked is None:
            checked = _check(loaded, place, precision)
            keep(key, checked.to_json())
        self._key = {**key, "findings": checked.to_json()}
        self._tower = Tower(loaded.module, checked.findings, mean=loaded.mean, std=loaded.std, device=place)
        self.frame_dim, self._patches, self.patch_dim = checked.frame_dim, checked.patches, checked.patch_dim

    @property
    def batches_in_flight(self) -> int:
        """How many batches may be submitted before the first has to be collected."""
        return self._tower.batches_in_flight

    def preprocess(self, picture: Image.Image) -> Tensor:
        """RGB picture to (H, W, 3) uint8."""
        return torch.from_numpy(self.plan(picture))

    def submit_frames(self, pixels: Tensor) -> PendingFeatures:
        """Starts on (n, H, W, 3) uint8; the result is (n, frame_dim) float32, one feature per picture."""
        return self._tower.submit(self._loaded.pooled, pixels)

    def submit_patches(self, pixels: Tensor) -> PendingFeatures:
        """Starts on (n, H, W, 3) uint8; the result is (n, P, patch_dim) float32."""
        return self._tower.submit(self._loaded.patches, pixels)

    def encode_frames(self, pixels: Tensor) -> Tensor:
        """Features (n, frame_dim) of pictures (n, H, W, 3), waited for."""
        return self.submit_frames(pixels).result()

    def encode_patches(self, pixels: Tensor) -> Tensor:
        """Features (n, P, patch_dim) of the patches of pictures (n, H, W, 3), waited for."""
        return self.submit_patches(pixels).result()

    def is_even(self, batch_size: int, *, patches: bool = True) -> bool:
        """Whether a picture's features are the same to the bit in every batch of up to so many pictures, wherever in it.

        Tried on a CPU alone, once, and kept: it depends on the number format and on the processor. The tower sees a batch chunk
        by chunk and nothing of a chunk but its size decides the order of its sums, so one batch for each size of chunk is tried
        (:meth:`.chunks.ChunkPlan.batches_of_every_chunk`): a few pictures in place of every size of batch.

        Args:
            batch_size: the largest batch.
            patches: whether features of patches matter, beside those of whole pictures.
        """
        plan = self._tower.findings.plan
        if plan is None:
            return False
        key = {**self._key, "even": batch_size, "patches": patches}
        found = (read_kept(key) or {}).get("even")
        if not isinstance(found, bool):
            sizes = plan.batches_of_every_chunk(batch_size)
            pictures = self._examples(sizes[-1])
            ways = (self.encode_frames, self.encode_patches) if patches else (self.encode_frames,)
            found = all(_is_even(encode, pictures, sizes) for encode in ways)
            keep(key, {"even": found})
        return found

    def _examples(self, count: int) -> Tensor:
        pictures = torch.stack([self.preprocess(picture) for picture in example_pictures()])
        return pictures.repeat(-(-count // len(pictures)), 1, 1, 1)[:count]

    def spec(self) -> dict[str, Any]:
        """JSON description; :func:`open_image_encoder` opens the same encoder from it and checks its weights."""
        frames, patches = self._loaded.features
        return {
            **self._loaded.spec,
            "digest": self._digest,
            "preprocessing": self._preprocessing(),
            "frame_features": frames,
            "patch_features": f"{self._patches} {patches}",
            "dtype": self._tower.format,
        }

    def _preprocessing(self) -> dict[str, Any]:
        preprocessing = {**self.plan.spec(), "mean": self._loaded.mean, "std": self._loaded.std}
        return {key: list(v) if isinstance(v, tuple) else v for key, v in preprocessing.items()}


def _is_even(encode: Callable[[Tensor], Tensor], pictures: Tensor, sizes: Sequence[int]) -> bool:
    """Whether pictures have in the reverse order, so many at a time, the features that they have together."""
    backwards, whole = pictures.flip(0), encode(pictures).flip(0)
    return all(torch.equal(encode(backwards[:count]), whole[:count]) for count in sizes)


def _check(loaded: LoadedTower, device: torch.device, precision: Precision) -> CheckedTower:
    """Compares plan and transform, and tries how the tower runs best.

    Raises:
        EncoderError: the preprocessing cannot be repeated exactly.
    """
    pictures = example_pictures()
    check_plan(loaded.plan, loaded.mean, loaded.std, loaded.transform(), pictures)
    examples = torch.stack([torch.from_numpy(loaded.plan(picture)) for picture in pictures])
    pixels = normalised(examples.to(device), loaded.mean, loaded.std)
    calls = (loaded.pooled, loaded.patches)
    findings = find_out(loaded.module, calls, pixels, device=device, precision=precision)
    tower = Tower(copy.deepcopy(loaded.module), findings, mean=loaded.mean, std=loaded.std, device=device)
    frames, patches = (tower.submit(call, examples[:1]).result() for call in calls)
    return CheckedTower(
        findings=findings, frame_dim=frames.shape[1], patches=patches.shape[1], patch_dim=patches.shape[2]
    )


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
    return ImageEncoder(_load(spec), digest=spec.get("digest"), device=device, precision=precision)


def _load(spec: Mapping[str, Any]) -> LoadedTower:
    library = spec.get("library")
    if library == "open_clip":
        from .open_clip_encoder import load_open_clip

        return load_open_clip(spec)
    if library == "timm" and spec.get("package"):
        from .efficientnet_lite0 import load_efficientnet_lite0

        return load_efficientnet_lite0(spec)
    if library == "timm":
        from .timm_encoder import load_timm

        return load_timm(spec)
    raise EncoderError(f"image encoders come from open_clip or timm, not from {library!r}")
