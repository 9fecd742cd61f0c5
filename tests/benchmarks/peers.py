"""The peer: one network after another in plain PyTorch, written as a careful engineer would.

Crops lie on the device; Adam is fused; gradients are set to none; the memory format and the number of threads are those
that serve it best. It has the network, the batches, the steps, the schedule, the dropout rates and the precision of the
product, and draws from the generator of its own that `nn.Dropout` uses. Neither `torch.compile` nor CUDA graphs are
tried: with a new network every round they are not what such a loop has.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from costal.paper.digits import CLASS_COUNT
from costal.types import Answer, Floats, Training
from tests.benchmarks.stopwatch import timed

TRIAL_STEPS, TRIALS = 20, 2
BATCH, ASKED = 1000, 32
TRUNK = 5  # layers below the first dropout


@dataclass(frozen=True, slots=True)
class Tuning:
    """What a user of PyTorch can turn without changing the loop."""

    threads: int
    channels_last: bool


@dataclass(frozen=True, slots=True)
class Lot:
    """What one model is trained on: crops and their classes, and the seed of everything that is drawn."""

    crops_N_C_H_W: Floats
    class_N: NDArray[np.int64]
    seed: int

    @property
    def answers(self) -> list[Answer]:
        """The same as the product takes it."""
        return [Answer(crop, int(k), None) for crop, k in zip(self.crops_N_C_H_W, self.class_N, strict=True)]

    def first(self, count: int) -> "Lot":
        """Return the lot of the first crops alone."""
        return replace(self, crops_N_C_H_W=self.crops_N_C_H_W[:count], class_N=self.class_N[:count])


def tuned(lot: Lot, training: Training, device: str) -> Tuning:
    """Return what serves the peer best on a device, judged by short trainings of each choice, taken in turns."""
    import torch

    threads = sorted({1, torch.get_num_threads()}) if device == "cpu" else [torch.get_num_threads()]
    choices = [Tuning(count, is_last) for count, is_last in product(threads, (True, False))]
    short = replace(training, min_steps=TRIAL_STEPS, epochs=0)
    spent: dict[Tuning, float] = dict.fromkeys(choices, float("inf"))
    train_in_turn([lot], short, device, choices[0])  # the first one pays for what torch sets up
    for _ in range(TRIALS):
        for each in choices:
            _, took = timed(lambda each=each: train_in_turn([lot], short, device, each), device)  # type: ignore[misc]
            spent[each] = min(spent[each], took.on(device))
    return min(choices, key=lambda each: spent[each])


def train_in_turn(lots: Sequence[Lot], training: Training, device: str, tuning: Tuning) -> list[Any]:
    """Return a network trained on each lot, one after another.

    Without augmentation and class weights, which `training` must not ask for.
    """
    import torch

    from costal.agent.devices import on_threads

    with on_threads(tuning.threads), torch.backends.cudnn.flags(enabled=True, benchmark=True, deterministic=False):
        return [_trained(lot, training, device, tuning.channels_last) for lot in lots]


def _trained(lot: Lot, training: Training, device: str, channels_last: bool) -> Any:
    import torch
    from torch.nn.functional import cross_entropy
    from torch.optim.lr_scheduler import ConstantLR, OneCycleLR

    from costal.agent.training import step_count

    count = len(lot.class_N)
    batch, steps = min(training.batch, count), step_count(count, training)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    with torch.random.fork_rng([device] if device.startswith("cuda") else []):
        torch.manual_seed(lot.seed)
        network = _network(lot.crops_N_C_H_W.shape[1:]).to(device, memory_format=layout)
        crops = torch.from_numpy(lot.crops_N_C_H_W).to(device, memory_format=layout)
        classes = torch.from_numpy(lot.class_N).to(device)
        optimiser = torch.optim.Adam(network.parameters(), training.learning_rate, fused=device != "mps")
        schedule = (
            OneCycleLR(optimiser, training.learning_rate, steps + 1, cycle_momentum=False)
            if training.schedule == "one_cycle"
            else ConstantLR(optimiser, 1.0)
        )
        order = torch.cat([torch.randperm(count) for _ in range(-(-steps * batch // count))]).to(device)
        kind, is_low = device.partition(":")[0], training.precision == "bfloat16"
        for rows in order[: steps * batch].view(steps, batch):
            with torch.autocast(kind, torch.bfloat16, enabled=is_low):
                loss = cross_entropy(network(crops[rows]).float(), classes[rows])
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
    return network.eval()


def _network(crop_shape: tuple[int, ...]) -> Any:
    """Return Gal's network for digits, with Glorot's weights."""
    from torch import nn

    channels, side, _ = crop_shape
    network = nn.Sequential(
        nn.Conv2d(channels, 32, 4),
        nn.ReLU(),
        nn.Conv2d(32, 32, 4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout(0.25),
        nn.Flatten(),
        nn.Linear(32 * ((side - 6) // 2) ** 2, 128),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(128, CLASS_COUNT),
    )
    for layer in network:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return network


def classes_of(network: Any, crops_N_C_H_W: Floats, training: Training, device: str) -> NDArray[np.int64]:
    """Return the class (N,) that a network trained by the peer gives each crop."""
    import torch

    is_low = training.precision == "bfloat16"
    with torch.inference_mode(), torch.autocast(device.partition(":")[0], torch.bfloat16, enabled=is_low):
        batches = torch.split(torch.from_numpy(crops_N_C_H_W).to(device), BATCH)
        found: NDArray[np.int64] = torch.cat([network(batch).argmax(1) for batch in batches]).cpu().numpy()
    return found


def bald_of(
    network: Any, crops_N_C_H_W: Floats, passes: int, training: Training, device: str, trunk_once: bool
) -> Floats:
    """Return I (N,) by dropout passes of a network trained by the peer: all of it for each pass, or its trunk once."""
    import torch

    from costal.agent.acquisition import bald

    is_low = training.precision == "bfloat16"
    trunk, rest = network[:TRUNK], network[TRUNK:].train()
    found = []
    with torch.inference_mode(), torch.autocast(device.partition(":")[0], torch.bfloat16, enabled=is_low):
        for batch in torch.split(torch.from_numpy(crops_N_C_H_W).to(device), ASKED):
            features = trunk(batch) if trunk_once else None
            logits = [rest(trunk(batch) if features is None else features) for _ in range(passes)]
            found.append(bald(torch.stack(logits).float().softmax(-1)))
    network.eval()
    information_N: Floats = torch.cat(found).cpu().numpy()
    return information_N
