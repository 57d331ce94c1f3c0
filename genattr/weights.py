"""The old name of ``genattr.assets.weights``, for components that import from here."""

from genattr.assets.weights import (
    PackagedWeights,
    fingerprint,
    load_in_order,
    load_into,
    load_state_dict,
)

__all__ = ["PackagedWeights", "fingerprint", "load_in_order", "load_into", "load_state_dict"]
