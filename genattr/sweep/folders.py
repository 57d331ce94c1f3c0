"""The folder of a run or a sweep, which no other process writes to meanwhile.

Fast to import, as ``genattr.sweep`` is.
"""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig, OmegaConf, read_write

from genattr import claims
from genattr.errors import UserError


def own(node: DictConfig, key: str, *, is_named: bool = False) -> Path:
    """Claim a folder until the work is done; one that is named after the time is made anew.

    Of several that start in the same second, each gets its own, with a number behind the name.

    Parameters
    ----------
    node
        Hydra's ``run`` or ``sweep``; its ``dir`` becomes the folder that is returned.
    key
        What gives another folder, for the message.
    is_named
        The user has named it, whatever the configuration says.

    Raises
    ------
    UserError
        If another process has the folder, or nothing can be written there.
    """
    folder = Path(node.dir).absolute()
    if not is_named and "${now:" in str(OmegaConf.to_container(node)):
        folder = _made(folder, key)
        with read_write(node):
            node.dir = str(folder)
    claims.take(folder, f"give another {key}")
    return folder


def _made(folder: Path, key: str) -> Path:
    try:
        return claims.new_folder(folder)
    except OSError as error:
        raise UserError(f"{folder}: {error.strerror}: give another {key}") from error
