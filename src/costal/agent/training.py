"""Training of many networks of one shape as one stack, deterministic under their seeds; a job to watch and cancel.

Batches, masks and augmentation are drawn per member, outside `vmap`, so a member's draws do not depend on the company
it trains in. Only gradients are taken in two ways: of one network directly, in the layout that convolutions like best,
for `vmap` over a single one costs a third more; of several by `vmap`. Both give the same up to rounding.

Source: `torch.func`, model ensembling.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, stack_module_state, vmap

from costal.agent.networks import FEATURE_DROP, HIDDEN, HIDDEN_DROP, dropout_mask, feature_count
from costal.errors import AgentError
from costal.types import Job, Precision, Progress, Training

PROGRESS_EVERY = 10


@dataclass(frozen=True, slots=True)
class TrainingTask:
    """What one network of a stack learns.

    ``module(inputs, feature_mask, hidden_mask, *targets)`` is the mean loss of a batch; each of `targets` has one entry
    per crop. Batches, masks and augmentation are drawn from `seed`. `inputs_N` are crops (N, C, H, W), or features
    (N, V, F) of the same crop turned in V ways.
    """

    module: nn.Module
    inputs_N: NDArray[np.floating]
    targets: tuple[Tensor, ...]
    seed: int


class Networks(Protocol):
    """What `fit` trains: `parameters` to step, whose gradients `take_gradients` sets for a batch (M, B, ...)."""

    parameters: dict[str, Tensor]

    def take_gradients(self, batch: tuple[Tensor, ...], precision: torch.autocast) -> Tensor:
        """Return the losses (M,) of the batch, their gradients being set."""
        ...

    def give_back(self) -> None:
        """Put what was learned into the modules."""
        ...


class _One:
    """A network alone: its own parameters are stepped, images in the layout in which convolutions are fastest."""

    def __init__(self, module: nn.Module) -> None:
        self._module = module.to(memory_format=torch.channels_last)
        self.parameters: dict[str, Tensor] = dict(module.named_parameters())

    def take_gradients(self, batch: tuple[Tensor, ...], precision: torch.autocast) -> Tensor:
        inputs, *others = (each[0] for each in batch)
        for each in self.parameters.values():
            each.grad = None
        with torch.enable_grad():
            with precision:
                loss = self._module(inputs.contiguous(memory_format=torch.channels_last), *others)
            loss.backward()
        return loss.detach()[None]  # type: ignore[no-any-return]

    def give_back(self) -> None:
        for each in self.parameters.values():
            each.grad = None


class _Stack:
    """Several networks of one shape: parameters and gradients have the member as their first dimension."""

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        self._modules = modules
        self.parameters, self._buffers = stack_module_state(list(modules))

        def loss_of(parameters: Any, buffers: Any, *batch: Tensor) -> Tensor:
            return functional_call(modules[0], (parameters, buffers), batch)  # type: ignore[no-any-return]

        self._gradients = vmap(grad_and_value(loss_of))

    def take_gradients(self, batch: tuple[Tensor, ...], precision: torch.autocast) -> Tensor:
        # Without no_grad the parameters would keep a second graph alive, and through their gradients themselves.
        with torch.no_grad(), precision:
            gradients, loss_M = self._gradients(self.parameters, self._buffers, *batch)
        for name, each in self.parameters.items():
            each.grad = gradients[name]
        return loss_M  # type: ignore[no-any-return]

    def give_back(self) -> None:
        give_back(self.parameters, self._modules)


def fit(
    tasks: Sequence[TrainingTask],
    training: Training,
    device: str,
    message: str,
    rates: Mapping[str, float] | None = None,
) -> Job[None]:
    """Train the modules of the lessons in place, all together; their shapes and numbers of crops are equal.

    `rates` are factors of the learning rate, by parameter name. Yields progress in steps.

    Raises
    ------
    AgentError
        When a loss is not finite; the caller keeps its old models.
    """
    count = len(tasks[0].inputs_N)
    total = step_count(count, training)
    for task in tasks:
        task.module.to(device)
    networks: Networks = _One(tasks[0].module) if len(tasks) == 1 else _Stack([each.module for each in tasks])
    optimiser = optimiser_of(networks.parameters, training, device, rates)
    schedule = schedule_of(optimiser, training, total)
    inputs_U_N, source = stacked([task.inputs_N for task in tasks], device)
    targets_M_N = [torch.stack(column).to(device) for column in zip(*(each.targets for each in tasks), strict=True)]
    draws = [_drawn(task.seed, inputs_U_N.shape[1:], training, total, device) for task in tasks]
    member = torch.arange(len(tasks), device=device)[:, None]
    with torch.backends.cudnn.flags(enabled=True, deterministic=True, benchmark=False):
        for step in range(total):
            rows, feature_mask, hidden_mask, turns = (torch.stack(each) for each in zip(*map(next, draws), strict=True))
            inputs = inputs_U_N[source, rows]
            if training.augment:
                inputs = turned(inputs.flatten(0, 1), turns.flatten()).view_as(inputs)
            batch = (inputs, feature_mask, hidden_mask, *(each[member, rows] for each in targets_M_N))
            loss_M = networks.take_gradients(batch, in_precision(training.precision, device))
            optimiser.step()
            schedule.step()
            if step % PROGRESS_EVERY == 0 or step == total - 1:
                require_finite(loss_M, step, training, message)
                yield Progress(step, total, message)
    networks.give_back()


def optimiser_of(
    parameters: Mapping[str, Tensor], training: Training, device: str, rates: Mapping[str, float] | None
) -> torch.optim.Adam:
    """Return Adam over parameters by name, whose learning rates have these factors."""
    alike: dict[float, list[Tensor]] = {}  # one group for each rate, for a step of every group costs time
    for name, each in parameters.items():
        alike.setdefault((rates or {}).get(name, 1.0), []).append(each)
    groups = [{"params": some, "lr": training.learning_rate * rate} for rate, some in alike.items()]
    is_fused = not device.startswith("mps")
    if training.weight_decay:
        return torch.optim.AdamW(groups, weight_decay=training.weight_decay, fused=is_fused)
    return torch.optim.Adam(groups, fused=is_fused)


def stacked(inputs_M: Sequence[NDArray[np.floating]], device: str) -> tuple[Tensor, Tensor]:
    """Return the networks' different inputs as one tensor, and which of them each network learns from (M, 1)."""
    different = list({id(each): each for each in inputs_M}.values())
    places = {id(each): place for place, each in enumerate(different)}
    source = torch.tensor([places[id(each)] for each in inputs_M], device=device)[:, None]
    joined = different[0][None] if len(different) == 1 else np.stack(different)
    return torch.from_numpy(joined).to(device), source


def schedule_of(optimiser: torch.optim.Adam, training: Training, total: int) -> Any:
    """Return what changes the learning rate from step to step."""
    if training.schedule == "constant":
        return torch.optim.lr_scheduler.ConstantLR(optimiser, factor=1.0)
    rates = [group["lr"] for group in optimiser.param_groups]
    return torch.optim.lr_scheduler.OneCycleLR(optimiser, rates, total + 1, cycle_momentum=False)


def require_finite(loss_M: Tensor, step: int, training: Training, message: str) -> None:
    """Look at the losses now and then only, for a GPU waits while it is asked: a loss never recovers from NaN."""
    if not torch.isfinite(loss_M).all():
        raise AgentError(
            f"{message} diverged at step {step + 1} or just before (its loss is not a number). The earlier model is "
            f"kept. Try a learning rate below {training.learning_rate:g}, or look for broken pixels."
        )


@torch.no_grad()
def give_back(parameters: Mapping[str, Any], modules: Sequence[nn.Module]) -> None:
    """Put stacked parameters back into the modules."""
    for place, module in enumerate(modules):
        for name, own in module.named_parameters():
            own.copy_(parameters[name][place])


def in_precision(precision: Precision, device: str) -> torch.autocast:
    """Return a context in which products are taken in a precision."""
    return torch.autocast(device.partition(":")[0], torch.bfloat16, enabled=precision == "bfloat16")


def step_count(crop_count: int, training: Training) -> int:
    """Return how many optimiser steps a training on this many crops takes."""
    batch = min(training.batch, crop_count)
    steps = max(training.min_steps, round(training.epochs * crop_count / batch))
    return min(steps, training.most_steps) if training.most_steps else steps


def _drawn(
    seed: int, shape: torch.Size, training: Training, total: int, device: str
) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Yield for each step which crops its batch has, its dropout masks, and how its crops are turned."""
    count, features = shape[0], feature_count(shape[-1])
    batch = min(training.batch, count)
    generator, masks = torch.Generator().manual_seed(seed), torch.Generator(device).manual_seed(seed)
    rows = torch.cat([torch.randperm(count, generator=generator) for _ in range(-(-total * batch // count))])
    rows_S_B = rows[: total * batch].view(total, batch).to(device)
    turns_S_B = torch.randint(8, (total, batch), generator=generator).to(device)
    for first in range(0, total, PROGRESS_EVERY):
        steps = min(PROGRESS_EVERY, total - first)
        feature_masks = dropout_mask((steps, batch, features), FEATURE_DROP, masks)
        hidden_masks = dropout_mask((steps, batch, HIDDEN), HIDDEN_DROP, masks)
        for step in range(steps):
            yield rows_S_B[first + step], feature_masks[step], hidden_masks[step], turns_S_B[first + step]


def turned(crops_B_C_H_W: Tensor, turns_B: Tensor) -> Tensor:
    """Return each crop moved by one of eight turns: quarter turns by ``turn % 4``, from 4 on also flipped."""
    moved = crops_B_C_H_W.clone()
    for turn in range(1, 8):
        rotated = torch.rot90(crops_B_C_H_W, turn % 4, (2, 3))
        moved = torch.where((turns_B == turn)[:, None, None, None], rotated.flip(3) if turn >= 4 else rotated, moved)
    return moved
