"""The trained classifier over frames: class maps, counts, outputs."""
