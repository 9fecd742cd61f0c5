"""Draws on napari's canvas and reads from it: overlays, layers as frames, opened images."""
