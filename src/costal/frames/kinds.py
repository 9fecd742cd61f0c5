"""The axes of a file, by its header."""

from pathlib import Path

from costal.frames.ome_zarr import is_url, is_zarr, open_image
from costal.frames.read import read
from costal.frames.tiff import is_tiff, told_axes


def axes_in(source: str) -> str:
    """Return the axes of an image in the file's own letters.

    Raises
    ------
    FrameError
        When it is not an image, or cannot be read.
    """
    if is_zarr(source) or is_url(source):
        return open_image(source).axes
    path = Path(source)
    return told_axes(path) if is_tiff(path) else read(path).axes
