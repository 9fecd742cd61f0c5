"""The table of a scored frame: one row per crop, in pieces where there are many."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from costal.frames.grid import origins
from costal.types import Floats, Grid
from costal.workbench.rounds import PickedCrops

PIECE = 50_000


@dataclass(frozen=True, slots=True)
class ScoreTable:
    """What the table tells of a frame; scores are None where no model could give one."""

    source: str
    content_hash: str
    planes: str
    grid: Grid
    information_N: Floats | None
    cost_N: Floats | None
    value_N: Floats | None
    asked: PickedCrops | None

    def whole(self) -> pd.DataFrame:
        """Return one row per crop: where it is, its scores, and its rank in the query."""
        return self.part(0, len(self.grid))

    def parts(self) -> Iterator[pd.DataFrame]:
        """Return the same in pieces."""
        for start in range(0, len(self.grid), PIECE):
            yield self.part(start, min(len(self.grid), start + PIECE))

    def part(self, start: int, end: int) -> pd.DataFrame:
        """Return the rows of crops `start` to `end`."""
        crop = np.arange(start, end)
        origin_n_2 = origins(self.grid, crop)
        rank, control = np.full(len(crop), "", dtype=object), np.zeros(len(crop), dtype=int)
        if self.asked is not None:
            picked_n = self.asked.picked_n
            here = np.flatnonzero((picked_n >= start) & (picked_n < end))
            rank[picked_n[here] - start] = here + 1
            control[picked_n[here] - start] = self.asked.control_n[here]
        blank = np.full(len(crop), np.nan)
        information, cost, value = (
            blank if each is None else each[start:end] for each in (self.information_N, self.cost_N, self.value_N)
        )
        return pd.DataFrame(
            {
                "frame": self.source,
                "content_hash": self.content_hash,
                "planes": self.planes,
                "crop": crop,
                "y": origin_n_2[:, 0],
                "x": origin_n_2[:, 1],
                "side": self.grid.crop,
                "information": information,
                "cost": cost,
                "value": value,
                "rank": rank,
                "control": control,
            }
        )
