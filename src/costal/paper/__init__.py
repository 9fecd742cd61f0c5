"""The paper's synthetic experiment: MNIST and synthetic digits, the mosaic, the simulated expert, arms and rounds."""
