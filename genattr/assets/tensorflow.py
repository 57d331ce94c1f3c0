"""TensorFlow, imported where it is needed, and its SavedModel folders."""

from __future__ import annotations

import hashlib
from functools import cached_property
from pathlib import Path
from typing import Any

from genattr.assets.trust import consent
from genattr.errors import UserError, first_line, require


def tensorflow(needer: str) -> Any:
    """Import TensorFlow; UserError says what needs it and how to get it."""
    try:
        import tensorflow as tf
    except ImportError as error:
        raise UserError(f"{needer} needs pip install 'genattr[tensorflow]'") from error
    return tf


class SavedModel:
    """A folder of ``tf.saved_model.save``.

    Parameters
    ----------
    folder
        The folder.
    group
        Of the component whose ``path`` it is, ``filler`` or ``classifier``, for messages.
    trust
        Whether it may be opened; see ``trust.consent``.

    Raises
    ------
    UserError
        If the folder is none of these, or is not trusted.
    """

    def __init__(self, folder: Path, group: str, trust: bool) -> None:
        self.folder, self.group = folder, group
        is_saved_model = (folder / "saved_model.pb").is_file()
        require(is_saved_model, f"{group}.path={folder}: no folder with a saved_model.pb")
        consent(f"{group}.path={folder}", trust)

    @cached_property
    def loaded(self) -> Any:
        """The model, kept because its functions lose their variables when it is deleted."""
        tf = tensorflow(f"{self.group}=saved_model")
        try:
            return tf.saved_model.load(str(self.folder))
        except (OSError, ValueError) as error:
            raise UserError(
                f"{self.group}.path={self.folder}: not a SavedModel: {first_line(error)}"
            ) from error

    def function(self, signature: str) -> Any:
        """Return one of the model's functions by name; UserError if it has none of that name."""
        named = self.loaded.signatures
        message = f"no such function; there is {', '.join(named) or 'none'}"
        require(signature in named, f"{self.group}.signature={signature}: {message}")
        return named[signature]

    def hash(self) -> str:
        """Hash the folder's files, their names included."""
        digest = hashlib.blake2b(digest_size=8)
        for file in sorted(path for path in self.folder.rglob("*") if path.is_file()):
            digest.update(file.relative_to(self.folder).as_posix().encode())
            digest.update(hashlib.sha256(file.read_bytes()).digest())
        return digest.hexdigest()
