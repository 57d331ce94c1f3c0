"""Diffusion: any inpainting pipeline of the library diffusers."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from genattr.assets import hub
from genattr.assets.weights import fingerprint
from genattr.errors import UserError, first_line, is_of_memory, require
from genattr.files import expanded
from genattr.filler.inpainting import Convention, Inpainter
from genattr.parameters import Count

NO_HUB = (
    "no connection to Hugging Face, and it was not fetched before: get its folder elsewhere, and "
    "give filler.name=/path/to/folder"
)


@dataclass(frozen=True, kw_only=True)
class DiffusersInpainter(Inpainter):
    """An inpainting pipeline that starts from noise, so that no removed content remains.

    Only safetensors files are read. A pipeline's filter of its images (``safety_checker``) is off,
    because its black images would be explained as if they were fills. ``batch_size: auto`` is one
    photo, also on a GPU, where a pipeline needs much memory for each.

    Parameters
    ----------
    name
        A folder, or a repository of the library's hub, which is fetched at first use.
    revision
        Branch, tag or commit of the repository. None: its newest.
    prompt
        Content of the hole. Empty: content that fits the surroundings.
    steps
        Of denoising.
    guidance
        Scale of classifier-free guidance by the prompt; 1 = no guidance.
    dtype
        Of the weights: ``float32``, ``float16`` or ``bfloat16``.
    """

    name: str | None = field(metadata={"identity": False})
    revision: str | None = field(metadata={"identity": False})
    prompt: str
    steps: Count
    guidance: float
    dtype: Literal["float32", "float16", "bfloat16"]

    extra: ClassVar[str] = "diffusers"
    fetches: ClassVar[bool] = True
    wants_gpu: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require(bool(self.name), "filler=diffusers needs filler.name=<folder or hub repository>")
        is_path = str(self.name).startswith(("/", "~", "."))
        require(not is_path or self._folder.is_dir(), f"filler.name={self.name}: no such folder")
        _library()
        super().__post_init__()

    @property
    def _folder(self) -> Path:
        return expanded(str(self.name))

    @property
    def title(self) -> str:
        """Last part of the name."""
        return self._folder.name

    @property
    def convention(self) -> Convention:
        return Convention(multiple=64)  # pixels a latent (8), halved three times in the network

    @property
    def stochastic(self) -> bool:
        return True

    @property
    def room(self) -> int:
        return 0

    @cached_property
    def pipeline(self) -> Any:
        """The pipeline, silent and unfiltered."""
        source = str(self._folder) if self._folder.is_dir() else str(self.name)
        load = _library().AutoPipelineForInpainting.from_pretrained
        with self._reached() as answers:
            try:
                pipeline = load(
                    source,
                    use_safetensors=True,
                    revision=self.revision,
                    local_files_only=not answers,
                )
            except Exception as error:  # diffusers raises whatever its parts raise
                if is_of_memory(error):
                    raise
                why = first_line(error) if answers or self._folder.is_dir() else NO_HUB
                raise UserError(
                    f"filler.name={self.name}: no inpainting pipeline: {why}"
                ) from error
        if "safety_checker" in pipeline.components:
            pipeline.register_modules(safety_checker=None)
        pipeline.set_progress_bar_config(disable=True)
        return pipeline.to(getattr(torch, self.dtype))

    def _reached(self) -> AbstractContextManager[bool]:
        """Reach the hub for a repository; nobody needs it for a folder."""
        return nullcontext(False) if self._folder.is_dir() else hub.reached()

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the weights and of the scheduler's settings."""
        digest = hashlib.blake2b(digest_size=8)
        for part in self._parts():
            digest.update(part.encode())
        return digest.hexdigest()

    def _parts(self) -> Iterator[str]:
        """Describe the pipeline's class, weights and scheduler settings."""
        yield type(self.pipeline).__name__
        for name, component in sorted(self.pipeline.components.items()):
            if isinstance(component, nn.Module):
                yield f"{name} {fingerprint(component)}"
        scheduler = self.pipeline.scheduler
        settings = {k: v for k, v in scheduler.config.items() if not k.startswith("_")}
        yield json.dumps([type(scheduler).__name__, settings], sort_keys=True, default=str)

    def synthesize(self, images: Tensor, hole: Tensor, seeds: Sequence[int]) -> Tensor:
        pipeline = self.pipeline.to(images.device)
        height, width = images.shape[-2:]
        arguments = {
            "prompt": [self.prompt] * len(images),
            "image": images,
            "mask_image": hole,
            "height": height,
            "width": width,
            "strength": 1.0,  # from pure noise
            "num_inference_steps": self.steps,
            "guidance_scale": self.guidance,
            "generator": [torch.Generator().manual_seed(seed) for seed in seeds],
            "output_type": "pt",
        }
        accepted = inspect.signature(pipeline.__call__).parameters
        filled: Tensor = pipeline(**{k: v for k, v in arguments.items() if k in accepted}).images
        return filled


def _library() -> Any:
    try:
        import diffusers
    except ImportError as error:
        raise UserError("filler=diffusers needs pip install 'genattr[diffusers]'") from error
    return diffusers
