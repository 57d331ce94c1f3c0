"""The source of configuration files, in the processes of launchers."""

from __future__ import annotations

from hydra._internal.core_plugins import file_config_source
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.plugins import Plugins

from genattr import sources


def test_a_launchers_process_takes_it_for_hydras_own() -> None:
    """It gets the registry first, and loads Hydra's plugins into it then."""
    Plugins.instance()
    sources.register()
    registry = SourcesRegistry.instance()
    registry.register(file_config_source.FileConfigSource)
    assert registry.types["file"] is sources.FileConfigSource
