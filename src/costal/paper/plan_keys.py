"""What an experiment file may say: every key, its meaning, its kind and its range."""

import sys
import unicodedata
from dataclasses import dataclass
from typing import Any, get_args

from costal.agent.cards import BACKBONES
from costal.paper.plan import CostKnowledge
from costal.paper.sources import PoolRule
from costal.types import ACQUISITION_NAMES, Precision, Schedule

STEEPEST = 10.0
"""Largest α and β: with it the value of a crop at the floor of the cost is still finite in float32."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key of the file: what it means and what it takes.

    Numbers lie between `least` (or above it, with `is_open`) and `most`; with `words` only these are taken; with
    `is_list` the value is a list of such. `absent` tells what holds without the key where no value of the file can say
    it; `example` is a value then.
    """

    name: str
    kind: type
    meaning: str
    least: float = 0
    most: float = sys.float_info.max
    is_open: bool = False
    is_list: bool = False
    words: tuple[str, ...] = ()
    absent: str = ""
    example: str | float = ""

    @property
    def expected(self) -> str:
        """What it takes, in words."""
        if self.words:
            return f"one of {', '.join(self.words)}"
        if self.kind in (bool, str):
            return "true or false" if self.kind is bool else "text of one line"
        number = "whole number" if self.kind is int else "number"
        bounds = f"{'above' if self.is_open else 'from'} {self.least:g}"
        bounds += f" to {self.most:g}" if self.most < sys.float_info.max else ""
        return f"a list of {number}s {bounds}" if self.is_list else f"a {number} {bounds}"

    def takes(self, value: object) -> bool:
        """Return whether a value of the file fits."""
        if self.is_list:
            return isinstance(value, (list, tuple)) and all(self._takes_one(each) for each in value)
        return self._takes_one(value)

    def _takes_one(self, value: Any) -> bool:
        kinds = (int, float) if self.kind is float else self.kind
        is_of_kind = isinstance(value, kinds) and isinstance(value, bool) == (self.kind is bool)
        if not is_of_kind:
            return False
        if isinstance(value, str):
            return value in self.words if self.words else _is_a_line(value)
        return bool(self.least <= value <= self.most) and not (self.is_open and value == self.least)

    def converted(self, value: Any) -> Any:
        """Return a value that fits as a plan holds it: lists as tuples, whole numbers as floats where they stand."""
        return tuple(self.kind(each) for each in value) if self.is_list else self.kind(value)


PLAN_KEYS = (
    Key("name", str, "What the results are called.", absent="the name of the file", example="my experiment"),
    Key(
        "data",
        str,
        "mnist, synthetic, sted, auto, or a folder that holds MNIST/raw, one folder a class, or a labelled project.",
    ),
    Key("seed", int, "All random choices follow from it, and from what they are for."),
    Key("rounds", int, "Rounds of a run, after its initial set.", 1),
    Key("repeats", int, "Runs of each arm, each from another initial set and with other pools.", 1),
    Key("pool_size", int, "N, the crops of a round that may be asked about.", 1),
    Key("n", int, "How many of them are asked about, and labelled.", 1),
    Key("passes", int, "T, the dropout passes of each network of the committee.", 1),
    Key(
        "pools",
        str,
        "disjoint: no crop is offered twice. redraw: those without a label are offered anew once all were.",
        words=get_args(PoolRule),
    ),
    Key(
        "base_costs",
        float,
        "Known cost of a crop of each class, on top of its own, in the data's unit (cost units or s); [] for none.",
        is_list=True,
    ),
    Key("stack", int, "Runs that train as one. The last digits of the results hang on it.", 1),
    Key("threads", int, "Threads on the processor. The last digits of the results hang on it.", 1),
    Key("test_every", int, "Rounds from one test of the mean network to the next.", 1),
    Key("committee_every", int, "Rounds from one test of the committee, which takes longer, to the next.", 1),
    Key("looked_at", int, "Rounds that are tested and reported in any case, beside the last.", 1, is_list=True),
    Key("target", float, "The test accuracy whose price in labels and cost is told.", most=1, is_open=True),
    Key("device", str, "auto, cpu, mps, cuda, or cuda:1 for the second GPU."),
    Key("is_quick", bool, "Marks all results as those of a smaller experiment than the name promises."),
)
TRAINING_KEYS = (
    Key("learning_rate", float, "Adam's, at its highest where the schedule changes it.", most=1, is_open=True),
    Key("batch", int, "Crops a training step.", 1),
    Key("min_steps", int, "Training steps after each round, unless the epochs take more."),
    Key("epochs", int, "How often a training sees each label, unless min_steps are more steps."),
    Key("augment", bool, "Trains on turned and mirrored crops too, which digits do not bear."),
    Key("class_weights", bool, "Lets the labels of rare classes count more."),
    Key("schedule", str, "The learning rate over a training: level, or up and down again.", words=get_args(Schedule)),
    Key("most_steps", int, "Training steps are no more than these; 0 for no bound."),
    Key("weight_decay", float, "How fast weights shrink that are of no use (AdamW's).", most=1),
    Key("precision", str, "That of products, in training and where the mean network tests.", words=get_args(Precision)),
)
ARM_KEYS = (
    Key("name", str, "What it is called.", absent="a description of its settings", example="my arm"),
    Key("acquisition", str, "The acquisition function, which tells the information I.", words=ACQUISITION_NAMES),
    Key("alpha", float, "A crop's value is I ** alpha / C ** beta.", most=STEEPEST),
    Key("beta", float, "How much the cost C counts; 0 leaves it out.", most=STEEPEST),
    Key(
        "cost",
        str,
        "C: the true cost (known), a cost model's log-normal mean (learned), or its least-squares fit (plain).",
        words=get_args(CostKnowledge),
    ),
    Key("diverse", bool, "Passes over near-duplicates of a better crop."),
    Key("control_share", float, "Share of a query that is drawn at random.", 0, 1),
    Key("members", int, "Networks that form the committee, each with so many passes.", 1),
    Key(
        "budget",
        float,
        "A round asks for the most information that this buys, in the data's unit, in place of n crops.",
        is_open=True,
        absent="none",
        example=50.0,
    ),
    Key("backbone", str, "What it sees through: its own CNN, or a frozen network whose heads learn.", words=BACKBONES),
    Key("repeats", int, "Runs of this arm, in the first repeats of all.", 1, absent="as many as the others", example=3),
)


def _is_a_line(text: str) -> bool:
    """Return whether a text says something, in one line, that can be written to a file."""
    return bool(text.strip()) and not {unicodedata.category(sign) for sign in text} & {"Cc", "Cs", "Zl", "Zp"}
