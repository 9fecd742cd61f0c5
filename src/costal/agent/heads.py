"""What is trained on a frozen backbone's features, and how: the paper's head, several of each, in a bounded time.

Two trainings from other seeds agree about more crops when several heads vote; they share the T passes, so a query costs
what it did. All heads of a stack train as one: a step is a few batched matrix products.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.func import stack_module_state

from costal.agent.networks import FEATURE_DROP, HIDDEN_DROP, Network, Standardise
from costal.agent.training import (
    PROGRESS_EVERY,
    TrainingTask,
    give_back,
    optimiser_of,
    require_finite,
    schedule_of,
    stacked,
    step_count,
)
from costal.types import Job, Progress, Training

State = Mapping[str, Tensor]
StackedLoss = Callable[[State, Tensor, Sequence[Tensor]], Tensor]
"""From parameters and buffers (M, ...) by name, outputs (M, B, K) and targets (M, B) to each member's loss (M,)."""


def on_features(module: nn.Module) -> bool:
    """Return whether what a lesson trains is a head on frozen features."""
    network = getattr(module, "network", None)
    return isinstance(network, Network) and isinstance(network.trunk, Standardise)


def fit_heads(
    tasks: Sequence[TrainingTask],
    training: Training,
    device: str,
    message: str,
    loss_of: StackedLoss,
    rates: Mapping[str, float] | None = None,
) -> Job[None]:
    """Train heads on features in place, all together, as `training.fit` trains networks on crops.

    Every member has batches and masks from its own seed. Each module has its head under ``network``.

    Raises
    ------
    AgentError
        When a loss is not finite; the caller keeps its old models.
    """
    count = len(tasks[0].inputs_N)
    total, batch = step_count(count, training), min(training.batch, count)
    for task in tasks:
        task.module.to(device)
    parameters, buffers = stack_module_state([task.module for task in tasks])
    optimiser = optimiser_of(parameters, training, device, rates)
    schedule = schedule_of(optimiser, training, total)
    inputs_U_N, source = stacked([task.inputs_N for task in tasks], device)
    mean_M, std_M = (buffers[f"network.trunk.{name}"][:, None] for name in ("mean", "std"))
    targets_M_N = [torch.stack(column).to(device) for column in zip(*(each.targets for each in tasks), strict=True)]
    generators = [torch.Generator().manual_seed(task.seed) for task in tasks]
    masks = [torch.Generator(device).manual_seed(task.seed) for task in tasks]
    member = torch.arange(len(tasks), device=device)[:, None]
    variants, width = inputs_U_N.shape[2:]
    for step in range(total):
        if step % PROGRESS_EVERY == 0:
            shape = (PROGRESS_EVERY, batch)
            rows_M_S_B = torch.stack([torch.randint(count, shape, generator=each) for each in generators]).to(device)
            turn_M_S_B = torch.stack([torch.randint(variants, shape, generator=each) for each in generators]).to(device)
            feature_M_S = torch.stack([_mask((*shape, width), FEATURE_DROP, each) for each in masks])
            units = parameters["network.hidden.bias"].shape[1]
            hidden_M_S = torch.stack([_mask((*shape, units), HIDDEN_DROP, each) for each in masks])
        place = step % PROGRESS_EVERY
        rows = rows_M_S_B[:, place]
        features = inputs_U_N[source, rows, turn_M_S_B[:, place]].float()
        inputs = (features - mean_M) / std_M * feature_M_S[:, place]
        outputs = heads_of(parameters, inputs, hidden_M_S[:, place])
        loss_M = loss_of({**parameters, **buffers}, outputs, [each[member, rows] for each in targets_M_N])
        optimiser.zero_grad()
        loss_M.sum().backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
        if step % PROGRESS_EVERY == 0 or step == total - 1:
            require_finite(loss_M, step, training, message)
            yield Progress(step, total, message)
    give_back(parameters, [each.module for each in tasks])


def _mask(shape: tuple[int, ...], drop: float, generator: torch.Generator) -> Tensor:
    """Return a mask of zeros and 1 / (1 - drop), where `drop` is a number of 256ths: four are made of each draw."""
    count = math.prod(shape)
    draws = torch.randint(
        -(2**31), 2**31 - 1, (-(-count // 4),), dtype=torch.int32, generator=generator, device=generator.device
    )
    kept = draws.view(torch.uint8)[:count].view(shape) >= round(256 * drop)
    return kept.float().mul_(1 / (1 - drop))


def heads_of(parameters: State, features_M_B_F: Tensor, hidden_mask: Tensor) -> Tensor:
    """Return the outputs (M, B, K) of every member's head, its masks applied.

    The wide product has its weights first: so their gradient is made in their own layout, which takes half the time.
    """
    hidden_M_H_B = torch.baddbmm(
        parameters["network.hidden.bias"][..., None], parameters["network.hidden.weight"], features_M_B_F.mT
    )
    dropped = hidden_M_H_B.mT.relu() * hidden_mask
    return torch.baddbmm(parameters["network.output.bias"][:, None], dropped, parameters["network.output.weight"].mT)
