"""Numbers as tables write them: ASCII digits alone. Python itself takes ``1_6``, `` 16`` and ``١٦`` for 16 too."""

import re

WHOLE = re.compile(r"([0-9]{1,18})(\.0*)?")
DECIMAL = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")


def whole_number(text: str) -> int | None:
    """Return a whole number from 0, None for what is none; ``16.0`` is one too, as tables with gaps write it."""
    digits = WHOLE.fullmatch(text)
    return int(digits[1]) if digits else None


def decimal_number(text: str) -> float | None:
    """Return a number with a decimal point, ``1.5e-05`` too, as programs write small ones; None for what is none."""
    return float(text) if DECIMAL.fullmatch(text) else None
