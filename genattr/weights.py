"""The old import path of ``genattr.assets.weights``, kept for users' components."""

from genattr.assets.weights import (
    PackagedWeights,
    fingerprint,
    load_in_order,
    load_into,
    load_state_dict,
)

__all__ = ["PackagedWeights", "fingerprint", "load_in_order", "load_into", "load_state_dict"]
