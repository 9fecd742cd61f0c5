"""The pixel size that a TIFF gives: OME-XML, ImageJ, the makers' own tags, or the resolution."""

import math
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from costal.frames.units import length, micrometres_per

if TYPE_CHECKING:
    import tifffile

PRINT_UM = 20.0  # resolution tags of 72 to 1200 dpi (21 um and more) are a printer's, not a microscope's
MPP = re.compile(r"\bMPP\s*=\s*([^|\r\n]*)")


class Sides(NamedTuple):
    """Width and height of a pixel as a file gives them, numbers or text, each with its unit."""

    x: object
    y: object
    unit_x: str
    unit_y: str


def side_um(sides: Sides) -> tuple[float | None, tuple[str, ...]]:
    """Return the width of a pixel in micrometres, None where it is not known, and a sentence on every doubt."""
    x, per = length(sides.x), micrometres_per(sides.unit_x)
    if x is None or per is None:
        text = f"{sides.x} {sides.unit_x}".strip()
        why = "which is not a length above zero" if x is None else "a unit that is not known"
        return None, (f"The pixel size is taken as unknown: the file gives it as '{text}', {why}.",)
    x_um, y, per_y = x * per, length(sides.y), micrometres_per(sides.unit_y)
    if y is None or per_y is None:
        text = f"{sides.y} {sides.unit_y}".strip()
        return x_um, (f"The file gives the height of a pixel as '{text}'; the width is used for both sides.",)
    if math.isclose(x_um, y * per_y, rel_tol=0.01):
        return x_um, ()
    return x_um, (f"Pixels are {x_um:g} by {y * per_y:g} um; the width is used for both sides.",)


def pixel_um(tiff: "tifffile.TiffFile", ome: Mapping[str, str] | None) -> tuple[float | None, tuple[str, ...]]:
    """Return the pixel size of a TIFF, None where it gives none, and a sentence on every doubt.

    `ome` holds the attributes of the image's Pixels, where there is OME-XML.
    """
    if ome is not None and "PhysicalSizeX" in ome:
        x, unit = ome["PhysicalSizeX"], ome.get("PhysicalSizeXUnit", "µm")
        y, unit_y = ome.get("PhysicalSizeY"), ome.get("PhysicalSizeYUnit", unit)
        return side_um(Sides(x, x, unit, unit) if y is None else Sides(x, y, unit, unit_y))
    for own in MAKERS:
        try:
            sides = own(tiff)
        except Exception as error:  # what parsers raise on damaged tags; the pixels may be whole
            return None, (f"The pixel size is taken as unknown: the maker's tags are damaged ({error}).",)
        if sides is not None:
            return side_um(sides)
    return (None, ()) if ome is not None else _by_resolution(tiff)


def _by_resolution(tiff: "tifffile.TiffFile") -> tuple[float | None, tuple[str, ...]]:
    page, largest = tiff.pages.first, math.inf
    if "XResolution" not in page.tags:
        return None, ()
    x, y = (1 / per if per > 0 else 0.0 for per in page.resolution)
    if tiff.is_imagej:
        unit = str(tiff.imagej_metadata.get("unit", ""))
        unit_y = str(tiff.imagej_metadata.get("yunit", unit))
    else:
        unit = unit_y = {2: "inch", 3: "cm"}.get(int(page.resolutionunit), "")
        largest = PRINT_UM
    if unit.strip().lower() in ("", "pixel", "pixels") or not x > 0:
        return None, ()
    width_um, doubts = side_um(Sides(x, y, unit, unit_y))
    return (width_um, doubts) if width_um is None or width_um < largest else (None, ())


# The makers' own tags. Each function returns None where a file is not that maker's, or gives no size.


def _aperio(tiff: "tifffile.TiffFile") -> Sides | None:
    match = MPP.search(tiff.pages.first.description) if tiff.is_svs else None
    return None if match is None else _square(match[1].strip(), "um")


def _metamorph(tiff: "tifffile.TiffFile") -> Sides | None:
    metadata = (tiff.stk_metadata or {}) if tiff.is_stk else {}
    if not metadata.get("SpatialCalibration", True) or "XCalibration" not in metadata:
        return None
    return _calibrated(metadata.get("XCalibration"), metadata.get("YCalibration"), metadata.get("CalibrationUnits"))


def _metaseries(tiff: "tifffile.TiffFile") -> Sides | None:
    metadata = (tiff.metaseries_metadata or {}).get("PlaneInfo", {}) if tiff.is_metaseries else {}
    if not metadata.get("spatial-calibration-state", True) or "spatial-calibration-x" not in metadata:
        return None
    names = ("spatial-calibration-x", "spatial-calibration-y", "spatial-calibration-units")
    return _calibrated(*(metadata.get(name) for name in names))


def _fei(tiff: "tifffile.TiffFile") -> Sides | None:
    metadata = (tiff.fei_metadata or {}) if tiff.is_fei else {}
    for name in ("Scan", "EScan", "IScan"):
        part = metadata.get(name)
        if isinstance(part, Mapping) and part.get("PixelWidth"):
            return Sides(part["PixelWidth"], part.get("PixelHeight", part["PixelWidth"]), "m", "m")
    return None


def _zeiss(tiff: "tifffile.TiffFile") -> Sides | None:
    metadata: Mapping[str, Any] = {}
    if tiff.is_lsm:
        metadata = tiff.lsm_metadata or {}
        if metadata.get("VoxelSizeX"):
            return Sides(metadata["VoxelSizeX"], metadata.get("VoxelSizeY"), "m", "m")
    if tiff.is_sem:
        metadata = tiff.sem_metadata or {}
        size = metadata.get("ap_image_pixel_size", metadata.get("ap_pixel_size"))
        if isinstance(size, tuple) and len(size) == 3:
            return _square(size[1], str(size[2]))
    return None


def _olympus(tiff: "tifffile.TiffFile") -> Sides | None:
    metadata = (tiff.sis_metadata or {}) if tiff.is_sis else {}
    return Sides(metadata["pixelsizex"], metadata.get("pixelsizey"), "m", "m") if metadata.get("pixelsizex") else None


def _micro_manager(tiff: "tifffile.TiffFile") -> Sides | None:
    tags = tiff.pages.first.tags.valueof(51123) if tiff.is_micromanager else None
    summary = (tiff.micromanager_metadata or {}).get("Summary") if tiff.is_micromanager else None
    for part, name in ((tags, "PixelSizeUm"), (summary, "PixelSize_um"), (summary, "PixelSizeUm")):
        if isinstance(part, Mapping) and length(part.get(name)) is not None:
            return _square(part[name], "um")
    return None


def _square(side: object, unit: str) -> Sides:
    return Sides(side, side, unit, unit)


def _calibrated(x: object, y: object, unit: object) -> Sides | None:
    """Return the sides of a calibration; None for one in pixels."""
    named = str(unit or "")
    return None if named.strip().lower() in ("", "pixel", "pixels") else Sides(x, y, named, named)


MAKERS: tuple[Callable[["tifffile.TiffFile"], Sides | None], ...] = (
    _aperio, _metamorph, _metaseries, _fei, _zeiss, _olympus, _micro_manager,
)  # fmt: skip
