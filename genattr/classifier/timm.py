"""Any image classifier of timm, by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from genattr.assets import hub
from genattr.classifier.library import LibraryClassifier
from genattr.errors import UserError


@dataclass(frozen=True, kw_only=True)
class TimmClassifier(LibraryClassifier):
    """A timm model, with or without the tag of its weights in its name.

    Parameters
    ----------
    pretrained
        Use timm's weights, downloaded at first use; otherwise the checkpoint, or random ones.
    """

    pretrained: bool

    def defaults(self) -> Mapping[str, Any]:
        import timm

        self.check_name(self._architecture, timm.list_models())
        config = self._config
        return {"input_size": config["input_size"][-1]} | {k: config[k] for k in ("mean", "std")}

    @property
    def pretrained_classes(self) -> int | None:
        return int(self._config["num_classes"]) if self.pretrained else None

    @property
    def _config(self) -> Mapping[str, Any]:
        """Settings of the weights in timm; UserError if the model has none of that tag."""
        import timm

        try:
            return timm.get_pretrained_cfg(self.name).to_dict()  # type: ignore[no-any-return]
        except RuntimeError as error:
            named = timm.list_models(f"{self._architecture}.*", include_tags=True)
            tags = ", ".join(name.partition(".")[2] for name in named) or "none"
            raise UserError(
                f"classifier.name={self.name}: no such tag; {self._architecture} has {tags}"
            ) from error

    @property
    def _architecture(self) -> str:
        return self.name.split(".")[0]

    def build(self) -> nn.Module:
        import timm

        in_chans = 1 if self.channels == "gray" else 3
        if self.checkpoint is not None or not self.pretrained:
            return self.with_checkpoint(
                timm.create_model(
                    self._architecture,
                    pretrained=False,
                    num_classes=self.num_classes,
                    in_chans=in_chans,
                )
            )
        with hub.reached() as answers:
            try:
                network: nn.Module = timm.create_model(
                    self.name, pretrained=True, in_chans=in_chans
                )
            except Exception as error:
                why = type(error).__name__ if answers else "no connection"
                raise UserError(
                    f"the weights of {self.name} could not be fetched ({why}): get "
                    f"{_source(self._config)}, and give it as classifier.checkpoint=/path/to/file"
                ) from error
        return network


def _source(config: Mapping[str, Any]) -> str:
    """Name the file of the weights and its location."""
    if hub := config.get("hf_hub_id"):
        return f"{config.get('hf_hub_filename') or 'model.safetensors'} of {hub} from Hugging Face"
    return str(config.get("url") or "a file of them (timm names none)")
