"""What a model was made from, kept with the presentations that it asked for, so that it can be made again.

The text of a recipe is the same for equal models, and its digest is their name. Labels, presentations and events are
append-only, so their ids say which they were.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from itertools import groupby
from typing import Any

from costal.errors import ProjectError


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a model was trained on, and how: enough to train it again.

    `label_ids` are those of the labels that it learned, in order, by which models know them (see
    `Reader.label_snapshot`); efforts are those of the first `presentations` presentations. `class_index` tells the
    network output of each stored class id. `low_C` and `high_C` are the range of all frames, empty where each has its
    own. Sums depend on the `device`, its `precision` and the number of `threads`.
    """

    label_ids: tuple[int, ...]
    presentations: int
    seed: int
    settings: Mapping[str, Any]
    crop_shape: tuple[int, int, int]
    class_index: Mapping[int, int]
    idle_limit_s: float
    is_rgb: bool = False
    backbone: Mapping[str, Any] | None = None
    device: str = "cpu"
    precision: str = "float32"
    threads: int = 1
    low_C: tuple[float, ...] = field(default=())
    high_C: tuple[float, ...] = field(default=())

    def to_json(self) -> str:
        """Return it as text, the same for equal recipes."""
        entries = asdict(self) | {"label_ids": spans_of(self.label_ids)}
        return json.dumps(entries, sort_keys=True, allow_nan=False, ensure_ascii=False)

    @staticmethod
    def from_json(text: str) -> "Recipe":
        """Return the value of `to_json`.

        Raises
        ------
        ProjectError
            When the text is no recipe, or one of a newer version.
        """
        try:
            entries = json.loads(text)
            entries["label_ids"] = ids_of(entries["label_ids"])
            entries["class_index"] = {int(each): int(index) for each, index in entries["class_index"].items()}
            entries |= {key: tuple(entries[key]) for key in ("crop_shape", "low_C", "high_C")}
            return Recipe(**entries)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ProjectError(
                f"The recipe of a model cannot be read ({error}). Update napari-costal, or train a new model."
            ) from error


def digest_of(recipe: str) -> str:
    """Return the name of the model that this text makes, "" for none."""
    return hashlib.sha256(recipe.encode()).hexdigest() if recipe else ""


def spans_of(ids: tuple[int, ...]) -> str:
    """Return rising ids as text, such as ``1-34 36``."""
    spans = []
    for _, group in groupby(enumerate(ids), lambda pair: pair[1] - pair[0]):
        run = [each for _, each in group]
        spans.append(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]))
    return " ".join(spans)


def ids_of(spans: str) -> tuple[int, ...]:
    """Return the ids that `spans_of` wrote."""
    ends = [[int(each) for each in span.split("-")] for span in spans.split()]
    return tuple(number for each in ends for number in range(each[0], each[-1] + 1))
