"""Networks and checkpoints of DeepFill's fillers, and the verified releases."""
