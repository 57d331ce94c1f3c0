"""Photos that are not trained on: how well their holes are filled, to look at and in numbers."""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn

from genattr.files import replaced, writing
from genattr.training import holes
from genattr.training.draws import Draws

SHEET_SEED = 1234
ROWS = 12  # photos of a sheet
BATCH = 16
LEAST_ERROR = 1e-3  # squared, of 255^2


class Sheets:
    """Photos held out, each with a hole of every kind.

    Parameters
    ----------
    images
        (M, 3, S, S) in [-1, 1].
    """

    def __init__(self, images: Tensor) -> None:
        draws = Draws(torch.device("cpu"), SHEET_SEED)
        self._images = images
        self._holes = {
            kind: holes.draw(len(images), images.shape[-1], _only(kind), draws)
            for kind in holes.KINDS
        }

    def look(self, network: nn.Module, device: torch.device) -> tuple[Tensor, dict[str, float]]:
        """Fill all holes.

        Returns
        -------
        (H, W, 3) uint8, a row a photo: whole, then with each hole and its fill; and by kind of
        hole the mean absolute error in 0..255 and the PSNR in dB, inside.
        """
        columns, scores = [self._images[:ROWS]], {}
        for kind, hole in self._holes.items():
            filled = fill(network, self._images, hole, device)
            columns += [self._images[:ROWS] * (1 - hole[:ROWS]), filled[:ROWS]]
            scores[f"l1_{kind}"], scores[f"psnr_{kind}"] = errors(filled, self._images, hole)
        return _tiled(columns), scores


def _only(kind: str) -> dict[str, float]:
    return {one: float(one == kind) for one in holes.KINDS}


@torch.no_grad()
def fill(network: nn.Module, images: Tensor, hole: Tensor, device: torch.device) -> Tensor:
    """Return images whose holes a network filled; all (B, C, H, W) on the CPU."""
    filled = []
    for start in range(0, len(images), BATCH):
        part, mask = images[start : start + BATCH], hole[start : start + BATCH]
        guess = network(part.to(device), 1 - mask.to(device)).cpu().clamp(-1, 1)
        filled.append(torch.where(mask > 0.5, guess, part))
    return torch.cat(filled)


def errors(filled: Tensor, images: Tensor, hole: Tensor) -> tuple[float, float]:
    """Return the mean absolute error in 0..255 and the PSNR in dB, in holes; means over images."""
    area = hole.sum((1, 2, 3)) * 3
    difference = (filled - images) * 127.5 * hole
    absolute = difference.abs().sum((1, 2, 3)) / area
    squared = (difference.square().sum((1, 2, 3)) / area).clamp_min(LEAST_ERROR)
    return float(absolute.mean()), float((10 * torch.log10(255**2 / squared)).mean())


def _tiled(columns: list[Tensor]) -> Tensor:
    """Lay (M, 3, S, S) columns side by side: (M S, K S, 3) uint8."""
    wide = torch.cat(columns, dim=3)
    tall = wide.permute(0, 2, 3, 1).reshape(-1, wide.shape[3], 3)
    return ((tall.clamp(-1, 1) + 1) * 127.5).round().byte()


def write(sheet: Tensor, file: Path) -> None:
    """Write a sheet as PNG."""
    with writing(file.parent):
        file.parent.mkdir(exist_ok=True)
    with replaced(file) as temporary:
        Image.fromarray(sheet.numpy()).save(temporary, "PNG")
