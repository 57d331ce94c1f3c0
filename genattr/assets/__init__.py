"""What is fetched or loaded: files from the network, weights, objects by their Python path."""
