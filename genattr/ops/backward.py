"""What happens to a gradient on its way back through a network, unseen by who asks for it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Change = Callable[[Tensor], Tensor | None]  # None: unchanged
PEAK = 128.0  # of a row's scaled gradient by the logits, up to a factor of 2; fp16 ends at 65504
EXPONENT = 0x7F800000  # its bits in a float32
SMALLEST = 2.0**-100  # below it, a row's gradient is scaled as if it were that large


def between(
    network: Callable[[Tensor], Tensor], images: Tensor, enter: Change, leave: Change
) -> Tensor:
    """Return a network's output, whose gradient passes two functions on its way to the images.

    Parameters
    ----------
    network
        Maps (B, ...) to (B, K).
    images
        (B, ...).
    enter
        Changes the gradient by the output before it goes into the network.
    leave
        Changes the gradient by the images that comes out of it.
    """
    if not (torch.is_grad_enabled() and images.requires_grad):
        return network(images)
    inside = images.view_as(images)
    inside.register_hook(leave)
    output = network(inside)
    if output.requires_grad:
        output.register_hook(enter)
    return output.view_as(output)


class RowScale:
    """Brings the gradient of each row to one size, by powers of two, and back.

    Small gradients would vanish in 16 bits. A row's factor depends on that row alone; a row that
    is not finite becomes NaN.
    """

    def enlarge(self, gradient: Tensor) -> Tensor:
        """Scale each row of a (B, K) gradient, so that its largest entry is 128 to 256."""
        peak = gradient.detach().abs().amax(dim=1, keepdim=True).clamp(min=SMALLEST)
        self._factor = PEAK / _power_of_two(peak)
        return gradient * self._factor

    def restore(self, gradient: Tensor) -> Tensor:
        """Undo the scale in the (B, 3, D, D) gradient by the images."""
        return gradient / self._factor[:, :, None, None]


def _power_of_two(values: Tensor) -> Tensor:
    """Round positive float32 values down to powers of two."""
    return (values.view(torch.int32) & EXPONENT).view(torch.float32)
