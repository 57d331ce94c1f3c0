"""Pure tensor functions: crops, a Gaussian filter, superpixels."""
