"""Training of LightFill on photos of one's own: ``python -m genattr.training root=photos``."""
