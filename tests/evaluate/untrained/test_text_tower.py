"""The text tower of a checkpoint, randomly initialised and saved to a folder."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from optsg.data.errors import EncoderError
from optsg.data.torchvision_compat import ensure_torchvision_importable
from optsg.extract.encoders.open_clip_encoder import open_text_tower
from safetensors.torch import save_file

from tests.extract.tiny_encoders import TINY_VISION, save_open_clip


@pytest.fixture(scope="module", params=["clip", "siglip"])
def checkpoint(request, tmp_path_factory):
    """A folder as open_clip saves one, and the model in it."""
    ensure_torchvision_importable()
    import open_clip

    folder = save_open_clip(tmp_path_factory.mktemp("clip") / "model", vision=TINY_VISION, embed_dim=24)
    config = json.loads((folder / "open_clip_config.json").read_text())
    text = {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}
    config["model_cfg"] |= {"text_cfg": text}
    if request.param == "siglip":
        config["model_cfg"] |= {"init_logit_bias": -4.0}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    torch.manual_seed(5)
    model = open_clip.CLIP(**json.loads(json.dumps(config["model_cfg"])))
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    return request.param, folder, model.eval()


def test_sentences_are_what_the_checkpoint_makes_of_them(checkpoint):
    kind, folder, model = checkpoint
    import open_clip

    tower = open_text_tower({"library": "open_clip", "folder": str(folder)}, device="cpu")
    sentences = [f"a photo of {name}" for name in ("a cat", "a dog")] * 200
    found = tower.embed(sentences)
    with torch.inference_mode():
        expected = model.encode_text(open_clip.get_tokenizer(f"local-dir:{folder}")(sentences[:2])).numpy()
    assert found.shape == (400, 24)
    np.testing.assert_allclose(found[:2], expected, atol=1e-5)
    np.testing.assert_allclose(found[398:], expected, atol=1e-5)
    assert tower.scale == pytest.approx(float(model.logit_scale.detach().exp()))
    assert tower.bias == (None if kind == "clip" else -4.0)


def test_a_folder_without_a_model_is_refused(tmp_path):
    (tmp_path / "open_clip_config.json").write_text("{}")
    with pytest.raises(EncoderError, match="no weights"):
        open_text_tower({"library": "open_clip", "folder": str(tmp_path)})
