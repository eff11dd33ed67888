"""Text models of Hugging Face transformers: by name, from a local folder, or shipped in a Python package.

Legend: n texts, S tokens of the longest of them, E width of the model.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from ...data.torchvision_compat import ensure_torchvision_importable

ensure_torchvision_importable()

import numpy as np  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from tokenizers import Encoding, Tokenizer  # noqa: E402
from torch import Tensor  # noqa: E402
from transformers import AutoModel, AutoTokenizer  # noqa: E402

from ...data.errors import EncoderError, reason_of  # noqa: E402
from ...data.store.schema import TextModelTables  # noqa: E402
from ...data.tags import NIL_TEXT  # noqa: E402
from ...data.word_pieces import MAX_TAG_TOKENS, TitleTokenizer  # noqa: E402
from .tower import pick_device  # noqa: E402
from .weights import NO_DOWNLOAD_HINT, check_digest, model_hub, quiet_libraries, weights_digest  # noqa: E402

BATCH = 256
POOLERS = ("mean", "cls")
WEIGHT_FILES = ("model.safetensors", "model.safetensors.index.json")


class HfTextEncoder:
    """A frozen text model; a tag's embedding is the mean of the last layer over its word pieces.

    Spec: ``name`` (on the hub), ``folder`` or ``package`` (a Python package with the folder ``model``); optionally
    ``pooling``: ``mean`` (without special tokens, the default) or ``cls``.
    """

    def __init__(self, spec: Mapping[str, Any], *, device: str = "auto"):
        self._source = {key: spec[key] for key in ("name", "folder", "package") if spec.get(key)}
        self._pooling: Literal["mean", "cls"] = spec.get("pooling", "mean")
        if self._pooling not in POOLERS:
            raise EncoderError(f"the pooling of tag embeddings is mean or cls, not {self._pooling!r}")
        model, self._tokenizer_json = _open_model(self._source)
        self._digest = weights_digest(model.state_dict())
        check_digest(f"the text encoder {_shown(self._source)}", spec.get("digest"), self._digest)
        self.device = pick_device(device)
        self._model = model.to(self.device)
        self._layers = int(model.config.num_hidden_layers)
        self.tag_dim = int(model.config.hidden_size)
        self._tokenizer = _plain_text_tokenizer(self._tokenizer_json, _longest_input(model.config))

    def spec(self) -> dict[str, Any]:
        """Library, source and digest of the weights, pooling, layers and number format."""
        return {
            "library": "transformers",
            "library_version": transformers.__version__,
            **self._source,
            "digest": self._digest,
            "pooling": self._pooling,
            "layers": self._layers,
            "max_tag_tokens": MAX_TAG_TOKENS,
            "dtype": "float32",
        }

    def tables(self, corpus: Iterable[str] = ()) -> TextModelTables:  # noqa: ARG002 (it has a vocabulary)
        """The store's text tables, the whole model among them.

        Title encoders start from its first layers; a tag language model that is trained (Table 7, D) needs all.
        """
        titles = TitleTokenizer.from_json(self._tokenizer_json)
        return TextModelTables(
            tokenizer_json=self._tokenizer_json,
            config_json=_config_json(self._model.config),
            weights={name: tensor.cpu().numpy() for name, tensor in self._model.state_dict().items()},
            title_tokens=titles.encode_titles,
            tag_tokens=titles.encode_tags,
            tag_embeddings=self.embed,
            nil_embedding=self.embed([NIL_TEXT])[0],
        )

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(n, E) embeddings of texts, read as plain characters: "[SEP]" in a text is no special token."""
        encodings = self._tokenizer.encode_batch(list(texts))
        result = np.zeros((len(encodings), self.tag_dim), dtype=np.float32)
        for rows in _batches_of_like_length([len(encoding.ids) for encoding in encodings]):
            result[rows] = self._embed_batch([encodings[row] for row in rows])
        return result

    def _embed_batch(self, encodings: Sequence[Encoding]) -> NDArray[np.float32]:
        ids = _padded([encoding.ids for encoding in encodings], int(self._model.config.pad_token_id or 0))
        mask = _padded([[1] * len(encoding.ids) for encoding in encodings], 0)
        words = mask * (1 - _padded([encoding.special_tokens_mask for encoding in encodings], 1))
        # A text of which the tokenizer leaves nothing (only control characters) still gets an embedding.
        words = torch.where(words.any(dim=1, keepdim=True), words, mask)
        with torch.inference_mode():
            output = self._model(input_ids=ids.to(self.device), attention_mask=mask.to(self.device))
            hidden: Tensor = output.last_hidden_state.float().cpu()
        if self._pooling == "cls":
            return hidden[:, 0].numpy()
        weights = words.unsqueeze(-1).float()
        mean: NDArray[np.float32] = ((hidden * weights).sum(dim=1) / weights.sum(dim=1)).numpy()
        return mean


def _batches_of_like_length(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Rows in batches, short texts first, so that little is padded."""
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    for start in range(0, len(order), BATCH):
        yield order[start : start + BATCH]


def _padded(rows: Sequence[Sequence[int]], value: int) -> Tensor:
    """(n, S) from rows of different length."""
    width = max(len(row) for row in rows)
    return torch.tensor([[*row, *[value] * (width - len(row))] for row in rows], dtype=torch.long)


def _plain_text_tokenizer(tokenizer_json: str, longest: int) -> Tokenizer:
    tokenizer = Tokenizer.from_str(tokenizer_json)
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = True
    tokenizer.enable_truncation(min(MAX_TAG_TOKENS, longest))
    return tokenizer


def _longest_input(config: Any) -> int:
    """Positions that the model has; RoBERTa's begin after its padding id, hence the two spare ones."""
    return int(getattr(config, "max_position_embeddings", None) or MAX_TAG_TOKENS + 2) - 2


def _open_model(source: Mapping[str, str]) -> tuple[Any, str]:
    """The model in evaluation mode, float32, without pooler, and its tokenizer as JSON."""
    folder = _folder_of(source)
    try:
        if folder is not None:
            with quiet_libraries():
                return _load(str(folder), local_files_only=True)
        with model_hub():
            return _load(source["name"], local_files_only=False)
    except EncoderError:
        raise
    except Exception as error:  # transformers and the hub raise many kinds, OSError and ValueError among them
        if folder is not None:
            reason = reason_of(error)
            raise EncoderError(f"{folder} cannot be opened as a text model: {reason}") from error
        raise EncoderError(
            f"the text model {source['name']!r} is neither in the local cache nor to be had from the model hub; "
            f"{NO_DOWNLOAD_HINT}"
        ) from error


def _folder_of(source: Mapping[str, str]) -> Path | None:
    if "package" in source:
        return _package_folder(source["package"])
    if "folder" not in source:
        return None
    folder = Path(source["folder"])
    if not (folder / "config.json").is_file() or not any((folder / name).is_file() for name in WEIGHT_FILES):
        raise EncoderError(
            f"{folder} is no folder of a text model; expected config.json, model.safetensors and tokenizer.json"
        )
    return folder


def _package_folder(package: str) -> Path:
    """Found without importing the package, whose own code would import another model library."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise EncoderError(
            f"the text encoder of --preset small ships in the package {package.replace('_', '-')}, which is not "
            "installed; install optsg[small]"
        )
    return Path(next(iter(spec.submodule_search_locations))) / "model"


def _load(name: str, *, local_files_only: bool) -> tuple[Any, str]:
    options: dict[str, Any] = {"local_files_only": local_files_only, "use_safetensors": True}
    tokenizer = AutoTokenizer.from_pretrained(name, local_files_only=local_files_only)
    try:
        model = AutoModel.from_pretrained(name, add_pooling_layer=False, **options)
    except TypeError:  # a model that never has a pooler
        model = AutoModel.from_pretrained(name, **options)
    return model.float().eval().requires_grad_(False), str(tokenizer.backend_tokenizer.to_str())


def _config_json(config: Any) -> str:
    """Without the fields that say where the weights once came from."""
    settings = config.to_dict()
    for field in ("_name_or_path", "architectures", "transformers_version", "dtype", "torch_dtype"):
        settings.pop(field, None)
    return json.dumps(settings, sort_keys=True)


def _shown(source: Mapping[str, str]) -> str:
    return source.get("name") or source.get("folder") or source["package"]
