"""The simulated expert of the paper: answers with the true class, at a cost set by class and crop."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from costal.errors import AgentError
from costal.paper.sources import Dataset, Indices
from costal.types import Floats


class Oracle(Protocol):
    """Who answers in the experiment: the class and the cost of each crop."""

    def answer(self, dataset: Dataset, indices: Indices, repeat: int, order: int) -> tuple[NDArray[np.int64], Floats]:
        """Return the labels (N,) and costs (N,) of crops answered in this order, after `order` others."""


@dataclass(frozen=True, slots=True)
class SimulatedExpert:
    """Answers at once: the cost of a crop is the base cost of its class and its own effort, such as a perimeter.

    Base costs are in the data set's unit of effort, one for each class; without any, or with zeros only, they add
    nothing.

    Source: Bernatchez, Durand, Lavoie-Cardinal 2022, "acquisition cost" and "annotation cost".
    """

    base_cost_K: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not all(0 <= cost < float("inf") for cost in self.base_cost_K):
            raise AgentError(f"Base costs must be numbers of 0 or more, not {self.base_cost_K}.")

    def answer(self, dataset: Dataset, indices: Indices, repeat: int, order: int) -> tuple[NDArray[np.int64], Floats]:
        """Return the true classes (N,) and the costs (N,) of crops answered in this order, after `order` others.

        Raises
        ------
        AgentError
            When there are base costs, but not one for each class of the data set.
        """
        return self._answered(dataset, indices, repeat, order + np.arange(len(indices)))

    def cost(self, dataset: Dataset, indices: Indices, repeat: int, order: int) -> Floats:
        """Return the cost (N,) of each crop if it were the next one after `order` others.

        Raises
        ------
        AgentError
            When there are base costs, but not one for each class of the data set.
        """
        return self._answered(dataset, indices, repeat, order)[1]

    def _answered(
        self, dataset: Dataset, indices: Indices, repeat: int, order: int | Indices
    ) -> tuple[NDArray[np.int64], Floats]:
        class_N, effort_N = dataset.classes(indices), dataset.effort(indices, repeat, order)
        if not any(self.base_cost_K):
            return class_N, effort_N
        if len(self.base_cost_K) != len(dataset.class_names):
            raise AgentError(
                f"{dataset.name} has {len(dataset.class_names)} classes ({', '.join(dataset.class_names)}), but there "
                f"are {len(self.base_cost_K)} base costs. Give one for each class, or none."
            )
        return class_N, np.asarray(self.base_cost_K, dtype=np.float32)[class_N] + effort_N
