"""The frozen values that travel between rooms.

Shapes are named in letters: N crops, T passes, K classes, C channels, H and W pixels.
"""

import re
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from costal.settings import LARGEST, Setting, is_a_colour

Floats = NDArray[np.float32]
Weights = Mapping[str, NDArray[np.generic]]
AcquisitionName = Literal["bald", "predictive_entropy", "std", "variation_ratio", "random"]
ACQUISITION_NAMES: tuple[AcquisitionName, ...] = get_args(AcquisitionName)
BACKBONE_NAMES = ("gal2017", "efficientnet_lite0")
"""The paper's CNN, trained together with its head, and the frozen network that the installation brings."""
ADDED_BACKBONE = re.compile(r"(timm|torchvision):[a-z0-9_]+(\.[a-z0-9_]+)?")
"""The name of a frozen network whose weights the user brings."""
BACKBONE_FORMS = (*BACKBONE_NAMES, "timm:NAME", "torchvision:NAME")
"""What the name of a backbone can be, in words."""


def is_backbone_name(name: str) -> bool:
    """Return whether a backbone can have this name."""
    return name in BACKBONE_NAMES or ADDED_BACKBONE.fullmatch(name) is not None


ValueRule = Literal["paper", "within_class", "shrinking", "every_class"]
Schedule = Literal["constant", "one_cycle"]
Precision = Literal["float32", "bfloat16"]
CostLikelihood = Literal["log_normal", "least_squares"]
STEEPEST_ALPHA, STEEPEST_BETA = 100.0, 10.0
"""Largest exponents: with them the value of a crop at the floor of the cost is finite."""

Seed = Annotated[int, Setting("The seed of all random choices.", ge=0)]
Passes = Annotated[int, Setting("T: the dropout passes of each network of the committee.", ge=1, le=LARGEST)]
QueryLength = Annotated[int, Setting("How many crops a query has.", ge=1, le=LARGEST)]
Beta = Annotated[
    float,
    Setting(
        "How much the cost C counts in v = I^alpha / C^beta. 0: not at all. A larger beta prefers cheap crops.",
        ge=0,
        le=STEEPEST_BETA,
    ),
]
Diverse = Annotated[bool, Setting("Skips near-duplicates and direct neighbours of a better crop.")]
ControlShare = Annotated[
    float, Setting("Share of a query that is drawn at random: only these crops give unbiased figures.", ge=0, le=1)
]
ClassWeights = Annotated[bool, Setting("Lets the labels of rare classes count more.")]
Augment = Annotated[bool, Setting("Also trains on rotated and mirrored crops; not for digits.")]

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a long job is: `done` of `total` units, and what it is doing."""

    done: int
    total: int
    message: str


Job = Generator[Progress, None, Result]


def map_progress(job: Job[Result], tell: Callable[[Progress], Progress]) -> Job[Result]:
    """Return the result of a job, its progress mapped by a function; it is closed when this one is."""
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

    index: Annotated[int, Setting("Its position in the file, counted from 0.", ge=0)]
    name: Annotated[str, Setting("Its name in the file.")] = ""
    colour: Annotated[
        str,
        Setting(
            "Its display colour.",
            fits=lambda text: not text or is_a_colour(text),
            expected='a colour as #rrggbb, or "" for none',
        ),
    ] = ""


@dataclass(frozen=True, slots=True)
class Frame:
    """One acquired image with its axes named.

    `pixels` keeps the file's dtype; `axes` has one letter per dimension (of ``TZCYX``); `pixel_um` is the side of a
    pixel in micrometres, None when the file does not say; `content_hash` is the SHA-256 of dtype, shape and pixels, so
    a renamed file is the same frame; `notes` are sentences about what was repaired or guessed while reading. `channels`
    has one entry for each place along C; `is_rgb` says that these are the red, green and blue samples of a colour
    image, not three channels.
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
    """How Z stacks and time series become frames: `each` plane a frame, the first, or a projection.

    `channels` are taken in this order; None takes all.
    """

    z: PlaneChoice = "max"
    t: PlaneChoice = "each"
    channels: tuple[int, ...] | None = None


ArrivalState = Literal["pending", "ready", "duplicate", "broken", "gone"]


@dataclass(frozen=True, slots=True)
class Stamp:
    """Size and time of a file in a listing; another stamp means that it was written to."""

    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Arrival:
    """The state of one file of a watched folder; `path` is relative to the folder, with forward slashes.

    ``pending`` is not complete, or not yet looked into; ``ready`` can be read; ``duplicate`` holds the pixels of a
    ready file; ``broken`` no longer changes and cannot be read; ``gone`` is no longer there. `reason` is a sentence
    where there is more to say. `stamp` is what the file had when this was found.
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
    concatenated. Values in [0, 1] are mapped by `mean` and `std`. `sha256` is that of the file with the weights, or of
    the tensors themselves where a user added them (see `weights.content_hash`). Cards that differ in `source` and
    `licence` alone are equal: the features are.
    """

    name: str
    version: str
    feature_count: int
    side: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    sha256: str
    source: str = field(compare=False)
    licence: str = field(compare=False)

    def feature_shape(self, channels: int, is_rgb: bool) -> tuple[int]:
        """Return the shape (F,) of the features of a crop with this many channels."""
        return (self.feature_count * (1 if is_rgb else channels),)


@dataclass(frozen=True, slots=True)
class Pool:
    """The crops that this round's query may choose from: normalised float32 `crops_N_C_H_W`.

    `annotator` will answer, after `order` crops before: terms of the predicted cost. With `features_N_F`, those of the
    agent's backbone, crops are not looked at and may be none.
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

    With ``schedule="one_cycle"`` the learning rate rises to `learning_rate` and falls again to nearly nothing; with
    ``precision="bfloat16"`` products are taken in that precision, in training and when the mean network classifies.
    """

    learning_rate: Annotated[
        float, Setting("Adam's learning rate; the highest one if the schedule changes it.", gt=0, le=1)
    ] = 1e-3
    batch: Annotated[int, Setting("Crops per training step.", ge=1)] = 32
    min_steps: Annotated[int, Setting("Fewest training steps after each round; epochs can need more.", ge=0)] = 150
    epochs: Annotated[int, Setting("Fewest passes over all labels per training; min_steps can need more.", ge=0)] = 30
    augment: Augment = False
    class_weights: ClassWeights = False
    schedule: Annotated[
        Schedule, Setting("The learning rate during a training: constant, or rising and falling once.")
    ] = "constant"
    precision: Annotated[
        Precision, Setting("Floating-point precision in training and in tests of the mean network.")
    ] = "float32"
    most_steps: Annotated[int, Setting("The most training steps; 0 for no limit.", ge=0)] = 0
    weight_decay: Annotated[float, Setting("AdamW's weight decay.", ge=0, le=1)] = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """How crops are judged: the settings that a project, an arm of an experiment and an agent share.

    A new field is a new key of ``[agent]`` in ``project.toml`` and of ``[[arms]]`` in an experiment file, and reaches
    the agent. A frozen backbone's heads are trained by `agent.cards.HEADS`, at least `agent.cards.MEMBERS` of them,
    which share the T passes.
    """

    acquisition: Annotated[AcquisitionName, Setting("The acquisition function, which gives the information I.")] = "std"
    alpha: Annotated[
        float, Setting("How much the information I counts in v = I^alpha / C^beta.", ge=0, le=STEEPEST_ALPHA)
    ] = 1.0
    beta: Beta = 0.3
    rule: Annotated[
        ValueRule,
        Setting("How cost counts in the value v. The page on experiments describes the four rules."),
    ] = "paper"
    diverse: Diverse = False
    control_share: ControlShare = 0.0
    backbone: Annotated[
        str,
        Setting(
            "The network: a CNN trained from scratch (gal2017), or a frozen network with trained heads.",
            fits=is_backbone_name,
            expected=f"one of {', '.join(BACKBONE_FORMS)}",
        ),
    ] = "gal2017"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking(Strategy):
    """A strategy, and how much it queries: the settings that a project and an agent share."""

    passes: Passes = 50
    n: QueryLength = 10


@dataclass(frozen=True, slots=True)
class AgentSettings(Asking):
    """What decides: a strategy, T passes, and the training.

    `acquisition_cost_K` is a known cost per class, in the unit of effort, added to
    the learned one in proportion to the predicted class probabilities; empty when the project has none. `class_ids`
    are the project's own names for the K outputs. A `budget`, in the unit of effort, takes the place of `n`: the most
    information it can buy.

    `members` networks, trained from different seeds, form the committee together, T passes each. `cost_likelihood` says
    how the cost model is fitted (see `agent.cost`).
    """

    class_count: int
    training: Training = field(default_factory=Training)
    acquisition_cost_K: tuple[float, ...] = ()
    class_ids: tuple[int, ...] = ()
    budget: float | None = None
    members: int = 1
    cost_likelihood: CostLikelihood = "log_normal"


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
    None until there are enough efforts. `crop_shape` is (C, H, W); `is_rgb` says that the three channels are colours of
    one image. `notes` says what the agent cannot do yet, and why. `backbone` is the card of a frozen backbone, None
    while the CNN is trained; `precision` is that of the features it was trained on.
    """

    settings: AgentSettings
    crop_shape: tuple[int, int, int]
    classifier: tuple[Weights, ...] = ()
    cost_model: CostModel | None = None
    label_count: int = 0
    notes: tuple[str, ...] = ()
    backbone: BackboneCard | None = None
    is_rgb: bool = False
    precision: Precision = "float32"

    @property
    def input_shape(self) -> tuple[int, ...]:
        """What its networks take: crops (C, H, W), or features (F,) of a frozen backbone."""
        if self.backbone is None:
            return self.crop_shape
        return self.backbone.feature_shape(self.crop_shape[0], self.is_rgb)


@dataclass(frozen=True, slots=True)
class Scores:
    """What the agent thinks of a pool: I (>= 0), C (> 0) and the committee's mean class probabilities.

    `cost_is_uniform` says that costs are not known yet, so β has no effect. `device` is where it was computed; `notes`
    are sentences for the screen. `features_N_F` are the classifier's trunk features, projected (see `agent.committee`),
    None without a committee. `cost_spread` is the shared standard deviation of log effort, 0 without a cost model.
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

    `control_n` says which of them are controls, drawn at random and put at random places; by default none is.
    """

    picked_n: NDArray[np.intp]
    value_N: Floats
    scores: Scores
    control_n: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=np.bool_))

    def __post_init__(self) -> None:
        if not len(self.control_n):
            object.__setattr__(self, "control_n", np.zeros(len(self.picked_n), dtype=np.bool_))
