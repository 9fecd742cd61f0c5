"""Text in a CSV file that a spreadsheet may open: a cell that begins like a formula would be run as one.

Such a cell gets an apostrophe in front, as OWASP advises against CSV injection, and loses it when it is read again.
"""

FORMULA_SIGNS = frozenset("=+-@\t\r\n＝＋－＠")


def escaped(text: str) -> str:
    """Return the text as a cell that no spreadsheet takes for a formula; `unescaped` gives it back exactly."""
    return f"'{text}" if _is_formula(text) else text


def unescaped(cell: str) -> str:
    """Return the text that was escaped."""
    return cell[1:] if cell.startswith("'") and _is_formula(cell) else cell


def _is_formula(text: str) -> bool:
    """Return whether a sign of a formula comes first, or after nothing but apostrophes."""
    return text.lstrip("'")[:1] in FORMULA_SIGNS
