"""The networks, their optimizers, and one step of training."""

from __future__ import annotations

from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from genattr.errors import require
from genattr.filler._lightfill.network import LightFill
from genattr.training import losses
from genattr.training.discriminator import Discriminator
from genattr.training.gradients import Gradients
from genattr.training.processes import Processes
from genattr.training.schedule import Plan
from genattr.training.settings import Settings

BETAS = (0.5, 0.99)  # of AdamW
LONGEST, LONGEST_JUDGED = 1.0, 5.0  # gradients of the inpainter and of the discriminator
BEYOND = 1.2  # fills are judged within [-1.2, 1.2]
MOMENTUM = 0.02  # of the running lengths of the two gradients at the filled image
SUDDEN = 2.0  # how much longer than L1's the adversarial gradient may be in one step, relative
LEAST = 1e-12

Network = TypeVar("Network", bound=nn.Module)


class Trainer:
    """An inpainter in training: its weights, their running mean, its adversary.

    Parameters
    ----------
    network
        The inpainter; it is trained in place.
    discriminator
        Its adversary, likewise.
    """

    def __init__(
        self,
        network: LightFill,
        discriminator: Discriminator,
        settings: Settings,
        device: torch.device,
        processes: Processes,
    ) -> None:
        self._settings, self._device, self._processes = settings, device, processes
        self.network = _placed(network, device).train()
        self.discriminator = _placed(discriminator, device).train()
        self.ema = _placed(LightFill(), device).eval().requires_grad_(False)
        self.ema.load_state_dict(self.network.state_dict())
        self._optimizers = [self._optimizer(self.network), self._optimizer(self.discriminator)]
        self._gradients = Gradients(list(self.network.parameters()))
        self._judged = Gradients(list(self.discriminator.parameters()))
        self._lengths = torch.full((2,), torch.nan, device=device)
        self._low = _low_precision(settings.precision, device)

    def _optimizer(self, network: nn.Module) -> torch.optim.AdamW:
        return torch.optim.AdamW(
            network.parameters(),
            lr=self._settings.lr,
            betas=BETAS,
            weight_decay=self._settings.weight_decay,
            fused=self._device.type == "cuda",
        )

    def step(self, images: Tensor, hole: Tensor, plan: Plan, decay: float) -> dict[str, Tensor]:
        """Train both networks on a batch.

        Parameters
        ----------
        images
            (B, 3, H, W) in [-1, 1].
        hole
            (B, 1, H, W) float, 1 = removed.
        decay
            How much of the running mean of the weights stays.

        Returns
        -------
        Losses and lengths of gradients by name, each ().
        """
        with self._autocast():
            filled = self.network(images, 1 - hole)
        loss, pull = _gradient(losses.reconstruction, filled, images, hole)
        logged = {"l1": loss}
        if plan.judging:
            composed = torch.where(hole > 0.5, filled.detach().clamp(-BEYOND, BEYOND), images)
            real = self._judge(composed, images, hole, plan, logged)
            if plan.adversarial > 0:
                push = self._fool(composed, hole, real, logged)
                pull = pull + self._scale(pull, push, plan.adversarial) * push
        filled.backward(pull.to(filled.dtype))
        self._move(0, self._gradients, LONGEST, plan, logged)
        get_ema_multi_avg_fn(decay)(list(self.ema.parameters()), list(self.network.parameters()), 0)
        return logged

    def _judge(
        self, composed: Tensor, images: Tensor, hole: Tensor, plan: Plan, logged: dict[str, Tensor]
    ) -> list[Tensor]:
        """Train the discriminator; return its features of the photos."""
        count = len(images)
        with self._autocast():
            logits, features = self.discriminator(
                torch.cat([images, composed]), torch.cat([hole, hole])
            )
        real, fake = [one[:count] for one in logits], [one[count:] for one in logits]
        loss = losses.hinge(real, fake, hole)
        loss.backward()
        self._move(1, self._judged, LONGEST_JUDGED, plan, logged)
        logged["hinge"] = loss.detach()
        logged["judged_real"] = real[0].detach().mean()
        logged["judged_fake"] = fake[0].detach().mean()
        return [one[:count].detach() for one in features]

    def _fool(
        self, composed: Tensor, hole: Tensor, real: list[Tensor], logged: dict[str, Tensor]
    ) -> Tensor:
        """Return the gradient at the fill of looking real and of having a photo's features."""
        composed.requires_grad_()
        self.discriminator.eval()
        with self._autocast():
            logits, features = self.discriminator(composed, hole)
        self.discriminator.train()
        fooling = losses.fooling(logits, hole)
        matching = losses.feature_matching(features, real)
        total = fooling + self._settings.feature_matching * matching
        (push,) = torch.autograd.grad(total, composed)
        logged["fooling"], logged["feature_matching"] = fooling.detach(), matching.detach()
        return push * hole

    def _scale(self, pull: Tensor, push: Tensor, ratio: float) -> Tensor:
        """Return what makes the second gradient ``ratio`` times as long as the first.

        By running means of their lengths, and at most twice that in this step.
        """
        now = torch.stack([pull.norm(), push.norm()])
        self._processes.average(now)
        before = torch.where(torch.isnan(self._lengths), now, self._lengths)
        moved = before + (now - before) * MOMENTUM
        self._lengths = torch.where(torch.isfinite(now).all(), moved, self._lengths)
        usual, sudden = (
            lengths[0] / lengths[1].clamp_min(LEAST) for lengths in (self._lengths, now)
        )
        return ratio * torch.minimum(usual, SUDDEN * sudden)

    def _move(
        self,
        which: int,
        gradients: Gradients,
        longest: float,
        plan: Plan,
        logged: dict[str, Tensor],
    ) -> None:
        """Take one step of an optimizer, and clear the gradients."""
        length = gradients.finish(longest, self._processes)
        logged["gradient_judge" if which else "gradient"] = length
        optimizer = self._optimizers[which]
        for group in optimizer.param_groups:
            group["lr"] = plan.lr
        optimizer.step()
        gradients.clear()

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self._device.type, torch.bfloat16, enabled=self._low)

    def state(self) -> dict[str, Any]:
        """Return all that a training needs to go on, as tensors and plain values."""
        return {
            "network": self.network.state_dict(),
            "ema": self.ema.state_dict(),
            "discriminator": self.discriminator.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self._optimizers],
            "lengths": self._lengths,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what ``state`` returned."""
        self.network.load_state_dict(state["network"])
        self.ema.load_state_dict(state["ema"])
        self.discriminator.load_state_dict(state["discriminator"])
        for optimizer, one in zip(self._optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(one)
        self._lengths = state["lengths"].to(self._device)


def _gradient(loss: Any, filled: Tensor, images: Tensor, hole: Tensor) -> tuple[Tensor, Tensor]:
    """Return a loss of a filled image and its gradient there."""
    leaf = filled.detach().requires_grad_()
    value = loss(leaf, images, hole)
    (gradient,) = torch.autograd.grad(value, leaf)
    return value.detach(), gradient


def _placed(network: Network, device: torch.device) -> Network:
    """Move a network; on a GPU its channels lie innermost, as its convolutions want them."""
    network.to(device)
    if device.type == "cuda":
        network.to(memory_format=torch.channels_last)
    return network


def _low_precision(precision: str, device: torch.device) -> bool:
    """Say whether to compute in bfloat16; UserError where the device cannot."""
    if precision == "auto":
        return device.type == "cuda" and torch.cuda.is_bf16_supported()
    able = device.type == "cpu" or (device.type == "cuda" and torch.cuda.is_bf16_supported())
    require(precision == "fp32" or able, f"precision=bf16: {device} has none; use precision=fp32")
    return precision == "bf16"
