"""The simulated expert of the paper: answers with the true class, at a cost that its classes and digits fix."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from costal.errors import AgentError
from costal.paper.datasets import CLASS_COUNT
from costal.types import Floats


class Oracle(Protocol):
    """Who answers in the experiment: the class and the cost of each image."""

    def answer(self, images_N_H_W: NDArray[np.uint8], class_N: NDArray[np.int64]) -> tuple[NDArray[np.int64], Floats]:
        """Return the labels (N,) and costs (N,) of images whose true classes are `class_N`."""


@dataclass(frozen=True, slots=True)
class SimulatedExpert:
    """Answers at once: the cost of an image is the base cost of its class and the perimeter of its digit, in pixels.

    Source: Bernatchez, Durand, Lavoie-Cardinal 2022, "acquisition cost" and "annotation cost".
    """

    base_cost_K: tuple[float, ...] = (0.0,) * CLASS_COUNT

    def __post_init__(self) -> None:
        if len(self.base_cost_K) != CLASS_COUNT or not all(0 <= cost < float("inf") for cost in self.base_cost_K):
            raise AgentError(f"Base costs must be {CLASS_COUNT} numbers of 0 or more, not {self.base_cost_K}.")

    def answer(self, images_N_H_W: NDArray[np.uint8], class_N: NDArray[np.int64]) -> tuple[NDArray[np.int64], Floats]:
        """Return the true classes (N,) and the costs (N,) in cost units."""
        perimeters = np.array([perimeter(image) for image in images_N_H_W], dtype=np.float32)
        return class_N, np.asarray(self.base_cost_K, dtype=np.float32)[class_N] + perimeters


def perimeter(image_H_W: NDArray[np.uint8]) -> float:
    """Return the length in pixels of the outline of the binarised digit (brighter than half of 255)."""
    from skimage.measure import perimeter as contour_length

    return float(contour_length(image_H_W > 127, neighborhood=4))
