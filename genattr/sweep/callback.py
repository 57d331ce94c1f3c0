"""Hydra's callback into ``genattr.sweep``."""

from __future__ import annotations

from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from genattr.errors import one_line_errors


class SweepCallback(Callback):
    """Opens a sweep's parent run before its members start.

    Hydra turns an exception of a callback into a warning, so a UserError ends the process.
    """

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Open the sweep."""
        from genattr.sweep import lifecycle

        with one_line_errors():
            lifecycle.start(config)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Mark that Hydra has run all members."""
        from genattr.sweep import lifecycle

        lifecycle.mark_complete()
