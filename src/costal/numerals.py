"""Numbers as tables write them, ASCII digits alone (Python takes ``1_6``, `` 16`` and ``١٦`` too), and with a noun."""

import re

WHOLE = re.compile(r"([0-9]{1,18})(\.0*)?")
DECIMAL = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")


def whole_number(text: str) -> int | None:
    """Return a whole number from 0, None for anything else; ``16.0`` is one too, as tables with gaps write it."""
    digits = WHOLE.fullmatch(text)
    return int(digits[1]) if digits else None


def decimal_number(text: str) -> float | None:
    """Return a number with a decimal point, ``1.5e-05`` too, as programs write small ones; None for anything else."""
    return float(text) if DECIMAL.fullmatch(text) else None


def counted(count: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun, in the plural unless there is one: ``1 crop``, ``1,024 crops``, ``2 classes``."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"
