"""Small models, and the files that they come in, for the options that need one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from PIL import Image
from torch import Tensor, nn
from torchvision import models

from genattr.classifier.timm import TimmClassifier
from genattr.method.center import Center
from genattr.probe import Probe


class ToyNetwork(nn.Module):
    """Ten classes by a pooled convolution; with the same weights each time."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 4, 3, stride=2),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Linear(16, classes),
        )
        generator = torch.Generator().manual_seed(0)
        for parameter in self.parameters():
            parameter.data = torch.randn(parameter.shape, generator=generator)

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images)


NETWORK = ToyNetwork()
FATAL = "GENATTR_TEST_FATAL"  # environment variable: a photo, a signal, and who gets it there
HUNGRY = "GENATTR_TEST_HUNGRY"  # environment variable: a photo
NOT_CALLABLE = 3


def load_network(classes: int = 10) -> nn.Module:
    return ToyNetwork(classes)


def load_network_of_imagenet() -> nn.Module:
    """Return one of ImageNet's classes, for what reads labels and boxes."""
    return ToyNetwork(1000)


@dataclass(frozen=True, kw_only=True)
class WithoutGradient(TimmClassifier):
    """Says that it cannot be differentiated."""

    has_gradient: ClassVar[bool] = False


@dataclass(frozen=True, kw_only=True)
class Elsewhere(WithoutGradient):
    """Says that it is computed elsewhere."""

    in_pytorch: ClassVar[bool] = False


@dataclass(frozen=True)
class Fatal(Center):
    """Sends a signal to its process, or to the one that started it, at a photo."""

    def values(self, probe: Probe) -> Tensor:
        photo, number, who = os.environ.get(FATAL, " 0 self").split(" ")
        if probe.sample.image_id == photo:
            os.kill(os.getpid() if who == "self" else os.getppid(), int(number))
        return super().values(probe)


@dataclass(frozen=True)
class Hungry(Center):
    """Asks for more memory than there is, at a photo."""

    def values(self, probe: Probe) -> Tensor:
        if probe.sample.image_id == os.environ.get(HUNGRY):
            torch.zeros(2**50)
        return super().values(probe)


def load_nonsense() -> int:
    return 3


def color(images: Tensor) -> Tensor:
    """Three classes: how red, green and blue an image is."""
    return images.mean(dim=(2, 3))


def shares(images: Tensor) -> Tensor:
    """Return probabilities of the three classes."""
    return color(images).softmax(1)


def fill_with_rim(images: Tensor, hole: Tensor, seeds: Sequence[int]) -> Tensor:
    """Give each image the mean color of what is known of it, or gray."""
    known = (~hole).double()
    count = known.sum(dim=(2, 3), keepdim=True)
    color = (images * known).sum(dim=(2, 3), keepdim=True) / count.clamp(min=1)
    gray = torch.tensor([0.485, 0.456, 0.406], dtype=torch.double).view(1, 3, 1, 1)
    return torch.where(count > 0, color, gray).float().expand_as(images)


def half(images: Tensor, hole: Tensor, seeds: Sequence[int]) -> Tensor:
    return images[..., ::2]


def bright(images: Tensor, hole: Tensor, seeds: Sequence[int]) -> Tensor:
    return images + 1


def turned_round(images: Tensor, hole: Tensor, seeds: Sequence[int]) -> Tensor:
    """Fill what is kept, as if the hole were True there."""
    return torch.where(hole, images, fill_with_rim(images, ~hole, seeds))


def black(images: Tensor, hole: Tensor, seeds: Sequence[int]) -> Tensor:
    return torch.zeros_like(images)


def seeded(images: Tensor, hole: Tensor, seeds: Sequence[int]) -> Tensor:
    """Give each image one gray that its seed decides."""
    values = torch.tensor([seed % 256 / 255 for seed in seeds])
    return values.view(-1, 1, 1, 1).expand_as(images)


class Rim(nn.Module):
    """An inpainter of one color a photo: the mean of what is known of it, or gray."""

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        known = (1 - mask).double()
        count = known.sum(dim=(2, 3), keepdim=True)
        color = (image * known).sum(dim=(2, 3), keepdim=True) / count.clamp(min=1)
        gray = torch.tensor([0.485, 0.456, 0.406], dtype=torch.double).view(1, 3, 1, 1)
        return torch.where(count > 0, color, gray).float().expand_as(image)


def saved_model(folder: Path, layout: str = "nhwc") -> Path:
    """Write the same inpainter as a TensorFlow SavedModel."""
    import tensorflow as tf

    known, last = ([None, None, None, 3], -1) if layout == "nhwc" else ([None, 3, None, None], 1)
    masks = [1 if size == 3 else size for size in known]
    area = [axis for axis in (1, 2, 3) if axis != last % 4]

    class SavedRim(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            shape = [1 if size is None else size for size in known]
            self.gray = tf.Variable(tf.reshape([0.485, 0.456, 0.406], shape))

        @tf.function(
            input_signature=[
                tf.TensorSpec(known, tf.float32, "photo"),
                tf.TensorSpec(masks, tf.float32, "hole"),
            ]
        )
        def __call__(self, photo: tf.Tensor, hole: tf.Tensor) -> dict[str, tf.Tensor]:
            count = tf.reduce_sum(1 - hole, area, keepdims=True)
            color = tf.reduce_sum(photo * (1 - hole), area, keepdims=True)
            color = tf.where(count > 0, color / tf.maximum(count, 1.0), self.gray)
            return {"filled": tf.broadcast_to(color, tf.shape(photo)), "count": count}

    module = SavedRim()
    path = folder / "rim"
    tf.saved_model.save(module, str(path), {"serving_default": module.__call__})
    return path


def torchscript_file(folder: Path, network: nn.Module = NETWORK, name: str = "toy.pt") -> Path:
    torch.jit.save(torch.jit.script(network.eval()), folder / name)
    return folder / name


def onnx_file(
    folder: Path, network: nn.Module = NETWORK, name: str = "toy.onnx", **options: object
) -> Path:
    """Write a network as an ONNX file, by default for one image of 64 x 64 pixels at once."""
    network = network.eval()
    options = {"args": (torch.zeros(1, 3, 64, 64),), "verbose": False} | options
    torch.onnx.export(network, f=str(folder / name), **options)
    return folder / name


def keras_model(shape: tuple[int | None, ...] = (64, 64, 3), **options: object) -> Any:
    """Return five classes by a pooled convolution, with random weights that are always the same."""
    import keras

    keras.utils.set_random_seed(0)
    layers = [
        keras.Input(shape, **options),
        keras.layers.Conv2D(4, 3, strides=2, activation="relu"),
        keras.layers.Dropout(0.5),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(5),
    ]
    return keras.Sequential(layers)


def keras_file(folder: Path) -> Path:
    keras_model().save(folder / "toy.keras")
    return folder / "toy.keras"


def keras_folder(folder: Path) -> Path:
    """Write the same network as a TensorFlow SavedModel."""
    keras_model().export(str(folder / "toy"), verbose=False)
    return folder / "toy"


def transformers_folder(folder: Path, name: str = "toy", **options: Any) -> Path:
    """Write a vision transformer of four classes, tiny and with random weights."""
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    images = {"intermediate_size": 16, "image_size": 32, "patch_size": 8}
    config = ViTConfig(**sizes, **images, **({"num_labels": 4} | options))
    ViTForImageClassification(config).save_pretrained(folder / name)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder / name)
    return folder / name


def places_file(folder: Path) -> Path:
    """Write random weights in the format of the Places365 authors' file."""
    torch.manual_seed(0)
    state = models.resnet50(num_classes=365).state_dict()
    old = {name: value for name, value in state.items() if "num_batches" not in name}
    checkpoint = {
        "epoch": 90,
        "arch": "resnet50",
        "state_dict": {f"module.{name}": value for name, value in old.items()},
        "best_prec1": 54.6,
    }
    path = folder / "resnet50_places365.pth.tar"
    torch.save(checkpoint, path, _use_new_zipfile_serialization=False)
    return path


def masks(folder: Path) -> Path:
    """Write a mask for the first of the samples."""
    mask = Image.new("L", (30, 20))
    mask.paste(255, (10, 5, 20, 15))
    (folder / "masks").mkdir()
    mask.save(folder / "masks" / "coffee.png")
    return folder / "masks"


def label_maps(folder: Path) -> Path:
    """Write a label map of four segments for the first of the samples."""
    labels = Image.new("L", (30, 20))
    for number in (1, 2, 3):
        labels.paste(number, (number * 7, 5, number * 7 + 5, 15))
    (folder / "labels").mkdir()
    labels.save(folder / "labels" / "coffee.png")
    return folder / "labels"


def pipeline(folder: Path) -> Path:
    """Write a Stable Diffusion inpainting pipeline, tiny and with random weights."""
    from diffusers import (
        AutoencoderKL,
        DDIMScheduler,
        StableDiffusionInpaintPipeline,
        UNet2DConditionModel,
    )
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    special = ["<|startoftext|>", "<|endoftext|>"]
    words = {word: i for i, word in enumerate([*special, "a", "b", "a</w>", "b</w>"])}
    torch.manual_seed(0)
    text = CLIPTextConfig(
        vocab_size=len(words), hidden_size=16, intermediate_size=16, num_hidden_layers=1,
        num_attention_heads=2, max_position_embeddings=8, bos_token_id=0, eos_token_id=1,
        pad_token_id=1,
    )  # fmt: skip
    half = {"norm_num_groups": 4, "layers_per_block": 1, "block_out_channels": (8, 8, 8, 8)}
    pipe = StableDiffusionInpaintPipeline(
        vae=AutoencoderKL(
            down_block_types=["DownEncoderBlock2D"] * 4,
            up_block_types=["UpDecoderBlock2D"] * 4,
            **half,
        ),
        text_encoder=CLIPTextModel(text),
        tokenizer=CLIPTokenizer(vocab=words, merges=[], model_max_length=8),
        unet=UNet2DConditionModel(
            in_channels=9,
            out_channels=4,
            sample_size=64,
            cross_attention_dim=16,
            attention_head_dim=2,
            **half,
        ),
        scheduler=DDIMScheduler(clip_sample=False, steps_offset=1),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.save_pretrained(folder / "pipeline", safe_serialization=True)
    return folder / "pipeline"
