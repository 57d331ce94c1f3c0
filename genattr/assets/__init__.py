"""Loading of files from the network, weights, and objects by their Python path."""
