"""An attribution of Captum that is a method of genattr; imported only where Captum is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from captum.attr import PerturbationAttribution
from torch import Tensor

from genattr.library.door import door


class CaptumAttribution(PerturbationAttribution):  # type: ignore[misc]
    """A method of genattr as Captum has its own; made by ``genattr.as_captum``.

    Parameters
    ----------
    model
        The model, or its name.
    maps
        Maps the model, (N, 3, D, D) inputs and targets to (N, 1, D, D).
    """

    def __init__(self, model: Any, maps: Callable[[Any, Tensor, Any], Tensor]) -> None:
        super().__init__(model)
        self._maps = maps

    @door
    def attribute(self, inputs: Any, target: Any = None, **_: Any) -> Any:
        """Explain inputs.

        Parameters
        ----------
        inputs
            (N, 3, D, D), or a tuple with that alone.
        target
            The class, or one for each input; None: the model's first choices.

        Returns
        -------
        In the shape and kind of the inputs; all channels have the map's value.
        """
        is_tuple = isinstance(inputs, tuple)
        images: Tensor = inputs[0] if is_tuple else inputs
        maps = self._maps(self.forward_func, images, target)
        attributions = maps.repeat(1, images.shape[1], 1, 1).to(images)
        return (attributions,) if is_tuple else attributions
