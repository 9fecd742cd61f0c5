"""A replay as a table of texts: what travels to the window, which loads none of what made it."""

from dataclasses import dataclass

HEADS = ("setting", "cost ratio", "lowest recall (difference)")


@dataclass(frozen=True, slots=True)
class ReplayTable:
    """Each setting compared with random selection, under `HEADS`, with 95 % intervals, and a sentence for each."""

    rows: tuple[tuple[str, ...], ...]
    sentences: tuple[str, ...]
    notes: tuple[str, ...]
