"""Any image classifier of timm, by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from torch import nn

from genattr.classifier.base import NetworkClassifier
from genattr.errors import UserError, require
from genattr.weights import load_into


@dataclass(frozen=True, kw_only=True)
class TimmClassifier(NetworkClassifier):
    """A timm model; input_size, mean and std as None mean the model's own.

    Parameters
    ----------
    name
        As in ``timm.list_models()``, with or without the tag of its weights.
    pretrained
        Use timm's weights, downloaded at first use; otherwise the checkpoint, or random ones.
    checkpoint
        A local file with the model's state dict (.safetensors or .pth), instead of timm's.
    """

    name: str
    pretrained: bool
    checkpoint: str | None

    def defaults(self) -> Mapping[str, Any]:
        import timm

        known = timm.list_models()
        close = get_close_matches(self._base_name, known, n=3)
        hint = f"; did you mean {', '.join(close)}?" if close else ""
        require(self._base_name in known, f"classifier.name={self.name}: not in timm{hint}")
        config = timm.get_pretrained_cfg(self.name).to_dict()
        return {"input_size": config["input_size"][-1], "mean": config["mean"], "std": config["std"]}

    @property
    def _base_name(self) -> str:
        return self.name.split(".")[0]

    @property
    def title(self) -> str:
        return self.name

    def build(self) -> nn.Module:
        import timm

        if self.checkpoint is not None or not self.pretrained:
            network: nn.Module = timm.create_model(self._base_name, pretrained=False)
            if self.checkpoint is not None:
                load_into(network, self.checkpoint)
            return network
        try:
            return timm.create_model(self.name, pretrained=True)  # type: ignore[no-any-return]
        except Exception as error:
            raise UserError(
                f"timm could not fetch the weights of {self.name} ({type(error).__name__}): "
                "give a local file, classifier.checkpoint=/path/to/weights.safetensors"
            ) from error
