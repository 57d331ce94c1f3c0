"""The library: what ``genattr.explain`` and its neighbors do, from the configuration's defaults."""
