"""LightFill's network and its weights, which come along."""
