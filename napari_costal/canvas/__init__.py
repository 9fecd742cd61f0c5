"""What is drawn on napari's canvas or read from it: overlays, layers as frames, images that are opened."""
