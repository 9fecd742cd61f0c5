"""The frozen values that travel between rooms.

Shapes are named in letters: N crops, T passes, K classes, C channels, H and W pixels.
"""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Weights = Mapping[str, NDArray[np.generic]]
AcquisitionName = Literal["bald", "predictive_entropy", "std", "variation_ratio", "random"]
ACQUISITION_NAMES: tuple[AcquisitionName, ...] = (
    "bald",
    "predictive_entropy",
    "std",
    "variation_ratio",
    "random",
)

BackboneName = Literal["gal2017", "efficientnet_lite0"]
"""The paper's CNN, trained together with its head, and a frozen network."""
Schedule = Literal["constant", "one_cycle"]
Precision = Literal["float32", "bfloat16"]
CostLikelihood = Literal["log_normal", "least_squares"]

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a long job is: `done` of `total` units, and what it is doing."""

    done: int
    total: int
    message: str


Job = Generator[Progress, None, Result]


def retold(job: Job[Result], tell: Callable[[Progress], Progress]) -> Job[Result]:
    """Return the result of a job, its progress told in other words; it is closed when this one is."""
    try:
        while True:
            try:
                progress = next(job)
            except StopIteration as stop:
                return stop.value  # type: ignore[no-any-return]
            yield tell(progress)
    finally:
        job.close()


def finish(job: Job[Result]) -> Result:
    """Return the result of a job, run to its end without reporting progress."""
    while True:
        try:
            next(job)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True)
class Channel:
    """One channel of an image: its place in the file, and the name and colour (``#rrggbb``) that the file gives it."""

    index: int
    name: str = ""
    colour: str = ""


@dataclass(frozen=True, slots=True)
class Frame:
    """One acquired image with its axes named.

    `pixels` keeps the file's dtype; `axes` has one letter per dimension (of ``TZCYX``);
    `pixel_um` is the side of a pixel in micrometres, None when the file does not say;
    `content_hash` is the SHA-256 of dtype, shape and pixels, so a renamed file is the same frame;
    `notes` are sentences about what was repaired or guessed while reading.
    `channels` has one entry for each place along C; `is_rgb` tells that these are the red, green and blue samples of
    a colour image, not three channels.
    """

    pixels: NDArray[np.generic]
    axes: str
    pixel_um: float | None
    source: str
    content_hash: str
    notes: tuple[str, ...] = ()
    channels: tuple[Channel, ...] = ()
    is_rgb: bool = False


@dataclass(frozen=True, slots=True)
class Grid:
    """Where the crops of a frame lie: `rows` x `cols` squares of side `crop`, `stride` apart.

    Crop i is at row ``i // cols`` and column ``i % cols`` and starts at pixel ``(row * stride, col * stride)``.
    With ``edge="pad"`` the last row and column may reach past the frame; those pixels are reflected.
    """

    height: int
    width: int
    crop: int
    stride: int
    edge: Literal["drop", "pad"]
    rows: int
    cols: int

    def __len__(self) -> int:
        """Return N, the number of crops."""
        return self.rows * self.cols

    def origin(self, index: int) -> tuple[int, int]:
        """Return (y, x) of the first pixel of crop `index`."""
        if not 0 <= index < len(self):
            raise IndexError(f"crop {index} is not one of {len(self)}")
        return (index // self.cols) * self.stride, (index % self.cols) * self.stride


PlaneChoice = Literal["each", "first", "max", "mean"]


@dataclass(frozen=True, slots=True)
class PlaneRule:
    """What becomes of Z stacks and time series, said once: `each` plane a frame, the first, or a projection.

    `channels` are taken in this order; None takes all.
    """

    z: PlaneChoice = "max"
    t: PlaneChoice = "each"
    channels: tuple[int, ...] | None = None


ArrivalState = Literal["pending", "ready", "duplicate", "broken", "gone"]


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a listing tells of a file; another stamp means that it was written to."""

    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Arrival:
    """What became of one file of a watched folder; `path` is relative to the folder, with forward slashes.

    ``pending`` is not complete, or not yet looked into; ``ready`` can be read; ``duplicate`` holds the pixels of a
    ready file; ``broken`` stands still and cannot be read; ``gone`` is no longer there. `reason` is a sentence where
    there is more to say. `stamp` is what the file had when this was found.
    """

    path: str
    stamp: Stamp
    state: ArrivalState
    reason: str = ""
    content_hash: str = ""


@dataclass(frozen=True, slots=True)
class BackboneCard:
    """What a frozen backbone is: all that its features depend on, and where its weights come from.

    `version` names the extractor: stages, pooling and resizing. An image of `side` px gives `feature_count` numbers: a
    crop's RGB is one image, any other channel is one of its own, repeated three times, and their features are
    concatenated. Values in [0, 1] are mapped by `mean` and `std`. `sha256` is that of the file with the weights.
    """

    name: str
    version: str
    feature_count: int
    side: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    sha256: str
    source: str
    licence: str

    def feature_shape(self, channels: int, is_rgb: bool) -> tuple[int]:
        """Return the shape (F,) of the features of a crop with so many channels."""
        return (self.feature_count * (1 if is_rgb else channels),)


@dataclass(frozen=True, slots=True)
class Pool:
    """The crops that may be asked about this round: normalised float32 `crops_N_C_H_W`.

    `annotator` will be asked, having answered `order` crops before: terms of the predicted cost. With `features_N_F`,
    those of the agent's backbone, crops are not looked at and may be none.
    """

    crops_N_C_H_W: Floats
    annotator: str = ""
    order: int = 0
    features_N_F: Floats | None = None

    @property
    def inputs(self) -> Floats:
        """The features where there are any, else the crops."""
        return self.crops_N_C_H_W if self.features_N_F is None else self.features_N_F


@dataclass(frozen=True, slots=True)
class Answer:
    """One labelled crop as the agent learns from it.

    `crop_C_H_W` is normalised; `class_index` is the label, None when the crop was skipped (its effort still teaches);
    `effort` is in seconds at the microscope and cost units in the simulation, None when it is not usable;
    `censored` says that the effort is a lower bound; `annotator` and `order` (how many crops that annotator
    had answered before) are terms of the cost model. `features_V_F` are those of the agent's backbone, in half
    precision, of the crop alone (V = 1) or of its eight turns; with them the crop is not looked at.
    """

    crop_C_H_W: Floats
    class_index: int | None
    effort: float | None
    censored: bool = False
    annotator: str = ""
    order: int = 0
    features_V_F: NDArray[np.floating] | None = None


@dataclass(frozen=True, slots=True)
class Training:
    """How a network is trained: Adam, `batch` crops a step, the larger of `min_steps` and `epochs` epochs.

    With `most_steps` above 0 it takes no more steps than that. `weight_decay` is decoupled, that of AdamW.

    With ``schedule="one_cycle"`` the learning rate rises to `learning_rate` and falls again to nearly nothing; with
    ``precision="bfloat16"`` products are taken in that precision, in training and when the mean network classifies.
    """

    learning_rate: float = 1e-3
    batch: int = 32
    min_steps: int = 150
    epochs: int = 30
    augment: bool = False
    class_weights: bool = False
    schedule: Schedule = "constant"
    precision: Precision = "float32"
    most_steps: int = 0
    weight_decay: float = 0.0


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """What decides: the acquisition function, α and β of v = I^α / C^β, T passes, and the training.

    `n` crops are asked a round. `acquisition_cost_K` is a known cost per class, in the unit of effort, added to
    the learned one in proportion to the predicted class probabilities; empty when the project has none. `class_ids`
    are the project's own names for the K outputs.

    With `diverse` near-duplicates and direct neighbours of a better crop are passed over. `control_share` of a query
    is drawn at random. A `budget`, in the unit of effort, takes the place of `n`: the most information it can buy.

    `members` networks, trained from different seeds, form the committee together, T passes each. `cost_likelihood`
    tells how the cost model is fitted (see `agent.cost`). `backbone` names what makes features of crops: ``gal2017`` is
    trained with its head as `training` says; heads on a frozen one are trained by `agent.cards.HEADS`, at least
    `agent.cards.MEMBERS` of them, which share the T passes.
    """

    class_count: int
    acquisition: AcquisitionName = "std"
    alpha: float = 1.0
    beta: float = 0.3
    passes: int = 50
    n: int = 10
    training: Training = field(default_factory=Training)
    acquisition_cost_K: tuple[float, ...] = ()
    class_ids: tuple[int, ...] = ()
    diverse: bool = False
    control_share: float = 0.0
    budget: float | None = None
    members: int = 1
    cost_likelihood: CostLikelihood = "log_normal"
    backbone: str = "gal2017"


@dataclass(frozen=True, slots=True)
class CostModel:
    """A trained cost model: its weights, the annotators that its terms know, in order, and how it was fitted."""

    weights: Weights
    annotators: tuple[str, ...]
    effort_count: int
    likelihood: CostLikelihood = "log_normal"


@dataclass(frozen=True, slots=True)
class Agent:
    """Classifier, cost model and their settings; weights are numpy arrays, so an agent travels and is saved as is.

    `classifier` has the weights of each member of the ensemble, of none until two classes have labels; `cost_model` is
    None until there are enough efforts.
    `crop_shape` is (C, H, W); `is_rgb` tells that the three channels are colours of one image. `notes` says what the
    agent cannot do yet, and why. `backbone` is the card of a frozen backbone, None while the CNN is trained.
    """

    settings: AgentSettings
    crop_shape: tuple[int, int, int]
    classifier: tuple[Weights, ...] = ()
    cost_model: CostModel | None = None
    label_count: int = 0
    notes: tuple[str, ...] = ()
    backbone: BackboneCard | None = None
    is_rgb: bool = False

    @property
    def input_shape(self) -> tuple[int, ...]:
        """What its networks take: crops (C, H, W), or features (F,) of a frozen backbone."""
        if self.backbone is None:
            return self.crop_shape
        return self.backbone.feature_shape(self.crop_shape[0], self.is_rgb)


@dataclass(frozen=True, slots=True)
class Scores:
    """What the agent thinks of a pool: I (>= 0), C (> 0) and the committee's mean class probabilities.

    `cost_is_uniform` tells that C carries no knowledge yet, so β has no effect.
    `device` is where it was computed; `notes` are sentences for the screen. `features_N_F` are the classifier's trunk
    features, projected (see `agent.committee`), None when no committee was asked. `cost_spread` is the shared standard
    deviation of log effort, 0 without a cost model.
    """

    information_N: Floats
    cost_N: Floats
    probs_N_K: Floats
    cost_is_uniform: bool
    device: str
    notes: tuple[str, ...] = ()
    features_N_F: Floats | None = None
    cost_spread: float = 0.0

    @property
    def predicted_class_N(self) -> Floats:
        """The most probable class of each crop, NaN where there are no probabilities."""
        likeliest: Floats = self.probs_N_K.argmax(axis=1).astype(np.float32)
        likeliest[np.isnan(self.probs_N_K).any(axis=1)] = np.nan
        return likeliest


@dataclass(frozen=True, slots=True)
class Query:
    """The chosen crops, best first, with the scores and values they were chosen by.

    `control_n` tells which of them are controls, drawn at random and put at random places; by default none is.
    """

    picked_n: NDArray[np.intp]
    value_N: Floats
    scores: Scores
    control_n: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=np.bool_))

    def __post_init__(self) -> None:
        if not len(self.control_n):
            object.__setattr__(self, "control_n", np.zeros(len(self.picked_n), dtype=np.bool_))
