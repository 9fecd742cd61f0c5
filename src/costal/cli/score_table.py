"""The table of a scored frame: one row per crop, in pieces where there are many."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from costal.frames.grid import origins
from costal.scoring.queries import PickedCrops
from costal.types import Floats, Grid

if TYPE_CHECKING:
    import pandas as pd

PIECE = 50_000


@dataclass(frozen=True, slots=True)
class ScoreTable:
    """The scores of a frame for its table; they are None where no model could give any."""

    source: str
    content_hash: str
    planes: str
    grid: Grid
    information_N: Floats | None
    cost_N: Floats | None
    value_N: Floats | None
    query: PickedCrops | None

    def whole(self) -> "pd.DataFrame":
        """Return one row per crop: where it is, its scores, and its rank in the query."""
        return self.rows(np.arange(len(self.grid)))

    def parts(self) -> Iterator["pd.DataFrame"]:
        """Return the same in pieces."""
        for start in range(0, len(self.grid), PIECE):
            yield self.rows(np.arange(start, min(len(self.grid), start + PIECE)))

    def rows(self, crop_n: NDArray[np.intp]) -> "pd.DataFrame":
        """Return the rows of these crops."""
        import pandas as pd

        origin_n_2 = origins(self.grid, crop_n)
        rank, control = np.full(len(crop_n), "", dtype=object), np.zeros(len(crop_n), dtype=int)
        if self.query is not None:
            places = {int(crop): place for place, crop in enumerate(self.query.picked_n)}
            for row in np.flatnonzero(np.isin(crop_n, self.query.picked_n)):
                place = places[int(crop_n[row])]
                rank[row], control[row] = place + 1, self.query.control_n[place]
        blank = np.full(len(crop_n), np.nan)
        information, cost, value = (
            blank if each is None else each[crop_n] for each in (self.information_N, self.cost_N, self.value_N)
        )
        return pd.DataFrame(
            {
                "frame": self.source,
                "content_hash": self.content_hash,
                "planes": self.planes,
                "crop": crop_n,
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
