"""Training of one network, deterministic under a seed; a job that can be watched and cancelled."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from costal.agent.networks import FEATURE_DROP, HIDDEN_DROP, Network, dropout_mask
from costal.errors import AgentError
from costal.types import Floats, Job, Progress, Training

PROGRESS_EVERY = 10
Loss = Callable[[Tensor, Tensor], Tensor]


def fit(
    network: Network,
    parameters: Iterable[dict[str, Any]],
    crops_N_C_H_W: Floats,
    loss: Loss,
    training: Training,
    seed: int,
    device: str,
    message: str,
) -> Job[None]:
    """Train `parameters` (Adam's groups) in place, so that ``loss(network(crops), rows)`` falls; `rows` are indices.

    Batches, dropout masks and augmentation are drawn from `seed` alone. Yields progress in steps.

    Raises
    ------
    AgentError
        When the loss is not finite; the caller keeps its old model.
    """
    generator = torch.Generator().manual_seed(seed)
    crops = torch.from_numpy(np.ascontiguousarray(crops_N_C_H_W))
    batch = min(training.batch, len(crops))
    total = step_count(len(crops), training)
    optimiser = torch.optim.Adam(parameters, lr=training.learning_rate)
    order = torch.empty(0, dtype=torch.long)
    with torch.backends.cudnn.flags(enabled=True, deterministic=True, benchmark=False):
        for step in range(total):
            if len(order) < batch:
                order = torch.cat([order, torch.randperm(len(crops), generator=generator)])
            rows, order = order[:batch], order[batch:]
            inputs = augmented(crops[rows], generator) if training.augment else crops[rows]
            step_loss = loss(train_outputs(network, inputs.to(device), generator, device), rows.to(device))
            if not torch.isfinite(step_loss):
                raise AgentError(
                    f"{message} diverged at step {step + 1} (its loss is not a number). The model from before is "
                    f"kept; try a learning rate below {training.learning_rate:g}, or look for broken pixels."
                )
            optimiser.zero_grad(set_to_none=True)
            step_loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            if step % PROGRESS_EVERY == 0:
                yield Progress(step, total, message)


def step_count(crop_count: int, training: Training) -> int:
    """Return how many optimiser steps a training on this many crops takes."""
    batch = min(training.batch, crop_count)
    return max(training.min_steps, round(training.epochs * crop_count / batch))


def train_outputs(network: Network, inputs: Tensor, generator: torch.Generator, device: str) -> Tensor:
    """Return the network's outputs (B, K) with dropout drawn per crop, as ordinary training does."""
    features = network.trunk(inputs)
    feature_mask = dropout_mask((len(inputs), features.shape[1]), FEATURE_DROP, generator, device)
    hidden_mask = dropout_mask((len(inputs), network.hidden.out_features), HIDDEN_DROP, generator, device)
    return network.head(features, feature_mask, hidden_mask)


def augmented(crops_B_C_H_W: Tensor, generator: torch.Generator) -> Tensor:
    """Return the crops, each turned by a random number of quarter turns and flipped or not."""
    turns = torch.randint(8, (len(crops_B_C_H_W),), generator=generator)
    turned = crops_B_C_H_W.clone()
    for turn in range(1, 8):
        chosen = turns == turn
        moved = torch.rot90(crops_B_C_H_W[chosen], turn % 4, (2, 3))
        turned[chosen] = moved.flip(3) if turn >= 4 else moved
    return turned
