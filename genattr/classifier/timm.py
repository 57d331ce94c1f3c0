"""Any image classifier of timm, by name."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from torch import nn

from genattr.assets import hub
from genattr.classifier.library import LibraryClassifier
from genattr.errors import UserError, require
from genattr.protocols import Asset


@dataclass(frozen=True)
class LibraryWeights(Asset):
    """Weights that timm fetches and keeps.

    Parameters
    ----------
    config
        timm's description of them.
    """

    config: Mapping[str, Any]

    @property
    def name(self) -> str:
        return str(self.config.get("hf_hub_filename") or "model.safetensors")

    @property
    def license(self) -> str:
        return str(self.config.get("license") or "see its page")

    @property
    def origin(self) -> str:
        hub = self.config.get("hf_hub_id")
        return f"https://huggingface.co/{hub}" if hub else str(self.config.get("url") or "timm")

    @property
    def place(self) -> Path | None:
        from huggingface_hub import try_to_load_from_cache

        hub = self.config.get("hf_hub_id")
        found = try_to_load_from_cache(str(hub), self.name) if hub else None
        return Path(found) if isinstance(found, str) else None

    def check(self, file: Path) -> None:
        """Compare with the hash by which the hub's cache names a large file."""
        expected = file.resolve().name
        if re.fullmatch("[0-9a-f]{64}", expected):
            with file.open("rb") as opened:
                digest = hashlib.file_digest(opened, "sha256").hexdigest()
            require(digest == expected, f"{file} is damaged: sha256 {digest[:12]}…")


@dataclass(frozen=True, kw_only=True)
class TimmClassifier(LibraryClassifier):
    """A timm model, with or without the tag of its weights in its name.

    Parameters
    ----------
    pretrained
        Use timm's weights, downloaded at first use; otherwise the checkpoint, or random ones.
    """

    pretrained: bool

    fetches: ClassVar[bool] = True

    @property
    def assets(self) -> Sequence[Asset]:
        wanted = self.pretrained and self.checkpoint is None
        return (LibraryWeights(self._config),) if wanted else ()

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
