"""Units of length: every spelling that TIFF, OME-TIFF, ImageJ, OME-Zarr and napari layers use, in micrometres."""

import math
import re
import unicodedata

SPELLINGS = {
    1e6: "m meter meters metre metres",
    1e5: "dm decimeter decimeters decimetre decimetres",
    1e4: "cm centimeter centimeters centimetre centimetres",
    1e3: "mm millimeter millimeters millimetre millimetres",
    1.0: "um μm mum mu μ micron microns micrometer micrometers micrometre micrometres",
    1e-3: "nm nanometer nanometers nanometre nanometres",
    1e-4: "å a. ang angstrom angstroms ångström ångströms",
    1e-6: "pm picometer picometers picometre picometres",
    25.4e3: 'in inch inches "',
    25.4: "thou mil",
}
MICROMETRES = {name: um for um, names in SPELLINGS.items() for name in names.split()}
"""By the name in small letters, in Unicode's compatible composition: one sign for µ, one for Å."""
ESCAPED = re.compile(r"\\u([0-9a-fA-F]{4})")


def micrometres_per(unit: str) -> float | None:
    """Return how many micrometres a unit is, None for one that is not a known length."""
    text = ESCAPED.sub(lambda match: chr(int(match[1], 16)), unit)  # as ImageJ writes µ
    text = text.replace("Â", "")  # µ in UTF-8 that was read as Latin-1
    return MICROMETRES.get(unicodedata.normalize("NFKC", text).strip().strip("\0").lower())


def length(text: object) -> float | None:
    """Return a length that a file gives as a number or a text; None unless it is above zero and finite."""
    try:
        number = float(text)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return number if 0 < number < math.inf else None
