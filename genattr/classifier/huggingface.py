"""An image classifier of Hugging Face's transformers, from a local folder."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import torch
from PIL import Image
from torch import Tensor, nn

from genattr.assets.weights import fingerprint
from genattr.classifier.base import NetworkClassifier, Normalization, Scale, Side
from genattr.errors import UserError, abridged, first_line, require
from genattr.files import content, expanded

NAMES = ("id2label", "label2id", "_name_or_path", "transformers_version", "torch_dtype", "dtype")
OFFLINE = {"local_files_only": True, "trust_remote_code": False}
EXAMPLE = 512  # pixels; no image is enlarged much, nor does any have to be
COUNTS = re.compile("layer|depth|block")  # settings that count what is built one by one
MOST_LAYERS = 1000


class Logits(nn.Module):
    """A model of transformers as a network of one output."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.model(pixel_values=images).logits
        return logits


@dataclass(frozen=True, kw_only=True)
class HuggingFaceClassifier(NetworkClassifier):
    """A folder of ``save_pretrained``: config.json, model.safetensors, preprocessor_config.json.

    Nothing is downloaded, and no code from the folder is run.

    Parameters
    ----------
    path
        The folder that transformers' ``save_pretrained`` wrote.
    input_size, mean, std
        None: as the folder's image processor has it.
    labels
        As in ``NetworkClassifier``; None: the folder's own names, if it has any.
    """

    path: str | None = field(metadata={"identity": False})
    input_size: Side | None  # type: ignore[assignment]
    mean: Normalization | None  # type: ignore[assignment]
    std: Scale | None  # type: ignore[assignment]

    extra: ClassVar[str] = "huggingface"

    def __post_init__(self) -> None:
        require(bool(self.path), "classifier=huggingface needs classifier.path=/path/to/folder")
        require(
            (self._folder / "config.json").is_file(),
            f"classifier.path={self.path}: no folder with a config.json; models are taken from "
            "local folders alone, as model.save_pretrained writes them",
        )
        own = self._own_labels() if self.labels is None else None
        for key in ("input_size", "mean", "std"):
            if getattr(self, key) is None:
                object.__setattr__(self, key, self._processing[key])
        super().__post_init__()
        if own is not None:
            object.__setattr__(self, "labels", own)

    @property
    def _folder(self) -> Path:
        return expanded(str(self.path))

    @property
    def title(self) -> str:
        return self._folder.resolve().name

    @cached_property
    def _config(self) -> Mapping[str, Any]:
        """The folder's config.json."""
        config = self._read("config.json")
        require(isinstance(config, dict), f"classifier.path={self.path}: config.json has no keys")
        return dict(config)

    def _read(self, name: str) -> Any:
        """Read a JSON file of the folder."""
        try:
            return json.loads(content(self._folder / name))
        except (OSError, ValueError, RecursionError) as error:
            raise UserError(f"classifier.path={self.path}: {name}: {first_line(error)}") from error

    def _own_labels(self) -> Sequence[str] | None:
        """Return the names that the folder has; None if it only numbers its classes."""
        names = self._config.get("id2label") or {}
        require(
            isinstance(names, dict) and all(key.isdecimal() for key in names),
            f"classifier.path={self.path}: config.json: id2label must give each number a name",
        )
        ordered = [str(names[key]) for key in sorted(names, key=int)]
        numbered = all(re.fullmatch(r"LABEL_\d+", name) for name in ordered)
        return None if numbered else ordered

    @cached_property
    def _processing(self) -> Mapping[str, Any]:
        """Input size, mean and std, measured on what the image processor does to flat images."""
        transformers = self._transformers()
        try:
            processor = transformers.AutoImageProcessor.from_pretrained(self._folder, **OFFLINE)
            flat = [Image.new("RGB", (EXAMPLE, EXAMPLE), color) for color in ("black", "white")]
            black, white = processor(flat, return_tensors="pt")["pixel_values"]
        except Exception as error:  # transformers raises whatever its parts raise
            raise UserError(
                f"classifier.path={self.path}: no image processor in it ({first_line(error)}): "
                "give classifier.input_size, classifier.mean and classifier.std"
            ) from error
        require(
            self.input_size is not None or black.shape[1] == black.shape[2],
            f"classifier.path={self.path}: its images have {black.shape[1]} x {black.shape[2]} "
            "pixels, no squares: give classifier.input_size",
        )
        low, high = (image.mean(dim=(1, 2), dtype=torch.double) for image in (black, white))
        return {
            "input_size": black.shape[1],
            "mean": [_rounded(value) for value in (-low / (high - low)).tolist()],
            "std": [_rounded(value) for value in (1 / (high - low)).tolist()],
        }

    def _transformers(self) -> Any:
        try:
            import transformers
        except ImportError as error:
            raise UserError(
                "classifier=huggingface needs pip install 'genattr[huggingface]'"
            ) from error
        transformers.utils.logging.set_verbosity_error()  # what is wrong is told in one line
        transformers.utils.logging.disable_progress_bar()
        return transformers

    def build(self) -> nn.Module:
        kind = self._transformers().AutoModelForImageClassification
        stored = sorted(file.suffix for file in self._folder.glob("*model*"))
        require(
            ".safetensors" in stored or ".bin" not in stored,
            f"classifier.path={self.path}: its weights are pickled: write them again by "
            "model.save_pretrained(folder), which gives model.safetensors",
        )
        self._require_shards_inside()
        self._require_few_layers()
        told = {"output_loading_info": True, "ignore_mismatched_sizes": True}  # as checked below
        try:
            model, info = kind.from_pretrained(
                self._folder, use_safetensors=True, **OFFLINE, **told
            )
        except Exception as error:  # transformers raises whatever its parts raise
            reason = first_line(error).partition(". ")[0]
            raise UserError(f"classifier.path={self.path}: {reason}") from error
        resized = [name for name, *_ in info["mismatched_keys"]]
        lacking = sorted({*info["missing_keys"], *resized})
        require(
            not lacking,
            f"classifier.path={self.path}: its weights lack {abridged(lacking)} in the sizes that "
            "config.json says, and random ones would take their place",
        )
        return Logits(model.float())

    def _require_shards_inside(self) -> None:
        """Refuse weights in several files if their list names one outside of the folder."""
        for index in self._folder.glob("*.index.json"):
            listed = self._read(index.name)
            files = dict(listed).get("weight_map") if isinstance(listed, dict) else None
            names = sorted(set(map(str, files.values()))) if isinstance(files, dict) else []
            wrong = [name for name in names if Path(name).name != name]
            require(
                not wrong,
                f"classifier.path={self.path}: {index.name} names files outside of the folder: "
                f"{abridged(wrong)}",
            )

    def _require_few_layers(self) -> None:
        """Refuse settings by which a network would be built for hours."""
        left: list[tuple[str, Any]] = [("", self._config)]
        while left:
            key, value = left.pop()
            if isinstance(value, dict):
                left += value.items()
            elif isinstance(value, list):
                left += [(key, one) for one in value]
            elif isinstance(value, int) and COUNTS.search(key):
                told = f"config.json: {key} must be at most {MOST_LAYERS:,}"
                require(value <= MOST_LAYERS, f"classifier.path={self.path}: {told}")

    def hash_of(self, network: nn.Module) -> str:
        """Hash the weights and the settings, but for names."""
        settings = {key: value for key, value in self._config.items() if key not in NAMES}
        text = json.dumps(settings, sort_keys=True)
        return f"{fingerprint(network)}-{hashlib.blake2b(text.encode(), digest_size=8).hexdigest()}"


def _rounded(value: float) -> float:
    """Undo the rounding of single precision."""
    return float(f"{value:.6g}") + 0.0  # not -0.0
