"""Files of the configuration: what in one of them cannot be read is told with its name.

Fast to import, so that tab completion stays fast.
"""

from __future__ import annotations

import os
from pathlib import Path

import yaml
from hydra._internal.core_plugins import file_config_source
from hydra._internal.sources_registry import SourcesRegistry
from hydra.plugins.config_source import ConfigResult
from omegaconf.errors import OmegaConfBaseException

from genattr.errors import UserError, first_line, require

LARGEST, MOST_NODES = 500_000, 100_000  # bytes of a file, and values with repeated ones
UNREAD = (
    OSError, ValueError, TypeError, AttributeError, yaml.YAMLError, OmegaConfBaseException,
    RecursionError,
)  # fmt: skip


class FileConfigSource(file_config_source.FileConfigSource):
    """Hydra's source of YAML files, whose errors begin with the file's name.

    Its own name is Hydra's, by which a launcher's process, which gets it before Hydra loads its
    plugins, takes it for the same.
    """

    def load_config(self, config_path: str) -> ConfigResult:
        """Read a file; UserError if it is no YAML, or would grow beyond all bounds."""
        file = Path(os.path.realpath(self.path), self._normalize_file_name(config_path))
        try:
            _require_bounded(file)
            return super().load_config(config_path)
        except UNREAD as error:
            raise UserError(f"{file}: {_in_words(error)}") from error


def register() -> None:
    """Let Hydra, whose plugins are loaded, read files through this source."""
    SourcesRegistry.instance().types[FileConfigSource.scheme()] = FileConfigSource


def _require_bounded(file: Path) -> None:
    """Refuse a large file, and one in which anchors repeat each other, which fills the memory."""
    size = file.stat().st_size
    require(size <= LARGEST, f"{file}: {size} bytes are no configuration")
    text = file.read_text(encoding="utf-8")
    if "&" not in text or "*" not in text:
        return
    tree = yaml.compose(text, Loader=yaml.SafeLoader)
    count = 0 if tree is None else _count(tree, {})
    require(count <= MOST_NODES, f"{file}: its anchors (&) repeat each other into {count} values")


def _count(node: yaml.Node, known: dict[int, int | None]) -> int:
    """Count the values under a node, those that are repeated as often as they are."""
    if id(node) not in known:
        known[id(node)] = None
        parts = [] if isinstance(node, yaml.ScalarNode) else node.value
        pairs = (part if isinstance(part, tuple) else (part,) for part in parts)
        known[id(node)] = 1 + sum(_count(part, known) for pair in pairs for part in pair)
    count = known[id(node)]
    if count is None:
        raise RecursionError
    return count


def _in_words(error: Exception) -> str:
    """Say what is wrong in a file, and in which of its lines."""
    if isinstance(error, RecursionError):
        return "its values stand too deeply in each other, or hold themselves by an anchor (&)"
    if isinstance(error, UnicodeDecodeError):
        return f"it is no text in UTF-8 (byte {error.start + 1}): save it as UTF-8"
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f"line {error.problem_mark.line + 1}: {error.problem}"
    return first_line(error)
