"""The rows of the store as values: what goes in with an answer, and what comes out to learn from and to export."""

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from costal.errors import ProjectError
from costal.labels.effort import Event

AnswerKind = Literal["class", "skip", "exclude", "abandoned"]
Given = Literal["single", "bulk", "accepted", "imported"]
"""How a label was given: to one crop, to several at once, by accepting predictions, or by a file."""
GIVEN: tuple[Given, ...] = get_args(Given)
ECHOES: tuple[Given, ...] = ("bulk", "accepted")
"""Labels that may repeat what the model predicted: accuracy and calibration never count them."""


@dataclass(frozen=True, slots=True)
class FrameRecord:
    """A frame as the store knows it; `low_C` and `high_C` are its intensity range."""

    content_hash: str
    planes: str
    source: str
    height: int
    width: int
    pixel_um: float | None
    low_C: tuple[float, ...]
    high_C: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class QueryReason:
    """Why a crop was asked: what the agent thought of it, and by which settings and model.

    `probs_K` are the committee's mean probabilities of the classes `class_ids`; `cost_spread` is the standard
    deviation of log effort; `model_hash` is the SHA-256 of the model file. Empty where no model was asked, and where
    what was given is not a number, as the probabilities of a query that was drawn at random.
    """

    class_ids: tuple[int, ...] = ()
    probs_K: tuple[float, ...] = ()
    information: float | None = None
    cost: float | None = None
    cost_spread: float | None = None
    value: float | None = None
    alpha: float | None = None
    beta: float | None = None
    acquisition: str = ""
    passes: int = 0
    seed: int = 0
    model_hash: str = ""
    software: str = ""

    def __post_init__(self) -> None:
        if not np.isfinite(self.probs_K).all():
            object.__setattr__(self, "class_ids", ())
            object.__setattr__(self, "probs_K", ())
        for name in ("information", "cost", "cost_spread", "value", "alpha", "beta"):
            number = getattr(self, name)
            if number is not None and not math.isfinite(number):
                object.__setattr__(self, name, None)

    def to_json(self) -> str:
        """Return what is said, as a JSON object without the empty entries."""
        empty = asdict(QueryReason())
        entries = {key: entry for key, entry in asdict(self).items() if entry != empty[key]}
        return json.dumps(entries, allow_nan=False)

    @staticmethod
    def from_json(text: str) -> "QueryReason":
        """Return the value of `to_json`; entries of a newer version are left out."""
        entries = {key: entry for key, entry in json.loads(text).items() if key in QueryReason.__dataclass_fields__}
        for key in ("class_ids", "probs_K"):
            entries[key] = tuple(entries.get(key, ()))
        return QueryReason(**entries)


@dataclass(frozen=True, slots=True)
class Asker:
    """The model that asked: what it was made from (see `labels.recipes`), and how many labels it had learned.

    Empty and None where no model asked, or one of an earlier version.
    """

    recipe: str = ""
    labels_known: int | None = None


NOBODY = Asker()


@dataclass(frozen=True, slots=True)
class AnswerRecord:
    """One presentation's end as it is committed: whose crop it is, its raw pixels, why it was asked, what was said.

    `kind` "abandoned" keeps the events alone; `class_id` goes with "class" only. `control` says that the crop was
    drawn at random; `rank` is its place in the query, None when the expert chose it. `repeated` says that a crop with
    an answer was shown again without a word. The expert may be `unsure` of the label and add a `note`. `asker` is the
    model that asked; `during_fit` tells that models learned while the crop was on the screen.
    """

    frame_id: int
    y: int
    x: int
    pixels_C_H_W: NDArray[np.generic]
    kind: AnswerKind
    class_id: int | None
    annotator: str
    events: tuple[Event, ...]
    generation: int = 0
    rank: int | None = None
    prediction_shown: bool = False
    control: bool = False
    why: QueryReason = field(default_factory=QueryReason)
    given: Given = "single"
    repeated: bool = False
    unsure: bool = False
    note: str = ""
    asker: Asker = NOBODY
    during_fit: bool = False


@dataclass(frozen=True, slots=True)
class ActionRecord:
    """How several crops were labelled at once, in `active_s` seconds altogether.

    Of the crops that were offered for acceptance, `planted` had a wrong prediction on purpose, and `caught` of these
    were noticed.
    """

    given: Given
    annotator: str
    active_s: float
    planted: int = 0
    caught: int = 0


@dataclass(frozen=True, slots=True)
class CropLabel:
    """The current label of a crop: where it is and its class, None when it was skipped or excluded.

    A label that was undone and redone has a new id; `original` is the one that it had at first, None where it is that.
    Labels that were given together have one `action_id`.
    """

    label_id: int
    frame_id: int
    y: int
    x: int
    side: int
    class_id: int | None
    kind: str = "class"
    original: int | None = field(default=None, compare=False)
    given: Given = field(default="single", compare=False)
    action_id: int | None = field(default=None, compare=False)
    unsure: bool = field(default=False, compare=False)
    note: str = field(default="", compare=False)

    @property
    def first_id(self) -> int:
        """The id by which models know what they learned (see `Reader.label_snapshot`)."""
        return self.label_id if self.original is None else self.original


@dataclass(frozen=True, slots=True)
class PresentedCrop:
    """One ended presentation to learn from: raw pixels, its frame's range, the current label and the raw events.

    `class_id` is None when the crop has no current label, or when a later presentation of it carries the label;
    `label_id` is the current label's, the one it was given first (see `Reader.label_snapshot`), None without one.
    """

    frame_id: int
    pixels_C_H_W: NDArray[np.generic]
    low_C: tuple[float, ...]
    high_C: tuple[float, ...]
    class_id: int | None
    annotator: str
    events: tuple[Event, ...]
    label_id: int | None = None
    given: Given = "single"


@dataclass(frozen=True, slots=True)
class PresentationRow:
    """One ended presentation without its pixels: what was asked, why, what was said, and the raw events.

    `kind` and `class_id` are those of the label it gave ("abandoned" without one), and `stands` tells whether that
    label is the crop's current one. `model_digest` names the recipe of the model that asked ("" where it is not known),
    which knew `labels_known` labels; `during_fit` tells that models learned meanwhile.
    """

    presentation_id: int
    crop_id: int
    frame_id: int
    frame_source: str
    frame_hash: str
    planes: str
    y: int
    x: int
    side: int
    annotator: str
    generation: int
    rank: int | None
    prediction_shown: bool
    control: bool
    why: QueryReason
    utc_ns: int
    kind: str
    class_id: int | None
    label_id: int | None
    stands: bool
    events: tuple[Event, ...]
    given: Given = "single"
    repeated: bool = False
    unsure: bool = False
    note: str = ""
    model_digest: str = ""
    labels_known: int | None = None
    during_fit: bool = False


@contextmanager
def rows_explained() -> Iterator[None]:
    """Turn what a row says that cannot be into a ProjectError with a remedy."""
    try:
        yield
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ProjectError(
            f"The project's labels.sqlite has a row that cannot be read: {error}. Run 'costal project repair' on it."
        ) from error


def pixels_of(blob: bytes, dtype: str, channels: int, side: int) -> NDArray[Any]:
    """Return the pixels (C, side, side) of a crop's row."""
    return np.frombuffer(blob, dtype).reshape(channels, side, side)
