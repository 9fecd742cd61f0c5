"""The dock *MNIST mosaic*."""
