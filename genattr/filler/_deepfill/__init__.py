"""What DeepFill's fillers share: networks, checkpoints, the verified releases."""
