"""Which backbones are on this machine, and what a crop costs with each."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from costal.agent.backbones import AT_ONCE, load_backbone
from costal.agent.cards import card_of, offered_names
from costal.agent.devices import on_threads
from costal.agent.networks import Network, feature_count
from costal.errors import CostalError
from costal.types import Job, Progress

CROP = 64
BATCHES, RUNS = 2, 3


@dataclass(frozen=True, slots=True)
class Listed:
    """A backbone of this machine: its features of one channel, the side of its image, its terms, and its price.

    `cpu_ms` are the processor's milliseconds for a grey crop of `CROP` px, on one thread, the lowest of `RUNS`.
    `missing` says why it cannot be used; then there is no price.
    """

    name: str
    feature_count: int = 0
    side: int = 0
    version: str = ""
    sha256: str = ""
    source: str = ""
    licence: str = ""
    cpu_ms: float | None = None
    missing: str = ""


def listed_backbones() -> Job[tuple[Listed, ...]]:
    """Return the backbones that can be chosen here, each measured; one that cannot be used says why."""
    names, listed = offered_names(), []
    for place, name in enumerate(names):
        yield Progress(place, len(names), f"Measuring {name}")
        try:
            listed.append(_listed(name))
        except CostalError as error:
            listed.append(Listed(name, missing=str(error)))
    return tuple(listed)


def _listed(name: str) -> Listed:
    card = card_of(name)
    if card is None:
        trunk = Network((1, CROP, CROP), 2).trunk.eval()
        own = Listed(name, feature_count(CROP), CROP, "1", source="trained again with each model", licence="needs none")
        return replace(own, cpu_ms=_cpu_ms(lambda crops: trunk(torch.from_numpy(crops))))
    backbone = load_backbone(card)
    return Listed(
        name,
        card.feature_count,
        card.side,
        card.version,
        card.sha256,
        card.source,
        card.licence,
        _cpu_ms(lambda crops: backbone.features(crops, "cpu")),
    )


def _cpu_ms(look: Callable[[np.ndarray], object]) -> float:
    """Return the processor's milliseconds a crop, the lowest of a few runs after one that warms up."""
    crops = np.random.default_rng(0).random((BATCHES * AT_ONCE, 1, CROP, CROP), np.float32)
    spent = []
    with on_threads(1), torch.inference_mode():
        look(crops[:AT_ONCE])
        for _ in range(RUNS):
            begun = time.process_time()
            look(crops)
            spent.append(time.process_time() - begun)
    return 1000 * min(spent) / len(crops)
