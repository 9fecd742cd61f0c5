"""Images that are split over several files: which files make one image, by their headers alone."""

from pathlib import Path

from costal.frames.listing import TIFFS


def parts_of(path: Path) -> tuple[Path, ...]:
    """Return the files that make the image in a file, by name; the file alone where it is whole or cannot be read."""
    if not path.name.lower().endswith(TIFFS):
        return (path,)
    from costal.frames.ome_set import open_tiff

    try:
        with open_tiff(path) as tiff:
            return tiff.parts or (path,)
    except Exception:  # whatever tifffile lets through; whoever reads the file says so
        return (path,)


def one_of_each(paths: list[Path]) -> list[Path]:
    """Return the files, with one file for each image that is split over several."""
    taken: set[Path] = set()
    firsts = []
    for path in paths:
        if path.resolve() in taken:
            continue
        firsts.append(path)
        taken |= {each.resolve() for each in parts_of(path) if each != path}
    return firsts
