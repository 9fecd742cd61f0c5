"""A project examined and mended; nothing is ever deleted."""
