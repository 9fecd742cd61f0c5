"""How fast a committee can be asked: the operations that our way takes, and how many this machine does a second."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from costal.agent.networks import Network

SIDE, COPIED = 2048, 64 * 2**20
TRIES = 5


@dataclass(frozen=True, slots=True)
class Limit:
    """What our way of asking about N crops takes, without moving numbers, and what of it a device does in a second.

    `operations` are multiplications and additions: the trunk once for each crop, and of the heads the kept features and
    kept hidden units alone; other ways with fewer operations are thinkable. `rate` is that of a product of two large
    matrices in `precision`, `bandwidth` the bytes a second of a copy, read and written; `seconds` is the time that the
    operations take at that rate.
    """

    operations: float
    precision: str
    rate: float
    bandwidth: float
    seconds: float


def limit_of(network: "Network", crops: int, passes: int, side: int, device: str) -> Limit:
    """Return the limit for a committee of one network asked about crops of `side` px; rates are measured now."""
    from costal.agent.devices import fast_dtype

    operations = crops * (trunk_operations(network, side) + head_operations(network, passes))
    dtype = fast_dtype(device)
    rate = product_rate(device, dtype)
    return Limit(operations, str(dtype).removeprefix("torch."), rate, copy_rate(device), operations / rate)


def trunk_operations(network: "Network", side: int) -> float:
    """Return the operations that the convolutions take for one crop of `side` px: 16.5 million for 28 px."""
    from torch import nn

    operations = 0.0
    for layer in network.trunk:
        if isinstance(layer, nn.Conv2d):
            side = (side - layer.kernel_size[0]) // layer.stride[0] + 1
            operations += 2 * side**2 * layer.weight.numel()
    return operations


def head_operations(network: "Network", passes: int) -> float:
    """Return the operations that the kept part of the heads takes for one crop, on average over masks."""
    from costal.agent.networks import FEATURE_DROP, HIDDEN, HIDDEN_DROP

    kept_features, kept_units = network.hidden.in_features * (1 - FEATURE_DROP), HIDDEN * (1 - HIDDEN_DROP)
    return 2 * passes * kept_units * (kept_features + network.output.out_features)


def product_rate(device: str, dtype: object) -> float:
    """Return the operations a second of a product of two large matrices on a device, the best of some tries."""
    import torch

    from tests.benchmarks.stopwatch import timed

    left, right = (torch.rand(SIDE, SIDE, device=device).to(dtype) for _ in range(2))  # type: ignore[call-overload]
    spent = [timed(lambda: left @ right, device)[1].on(device) for _ in range(TRIES)]
    return 2 * SIDE**3 / min(spent)


def copy_rate(device: str) -> float:
    """Return the bytes a second that a large copy on a device reads and writes, the best of some tries."""
    import torch

    from tests.benchmarks.stopwatch import timed

    there, here = (torch.zeros(COPIED, dtype=torch.uint8, device=device) for _ in range(2))
    spent = [timed(lambda: here.copy_(there), device)[1].on(device) for _ in range(TRIES)]
    return 2 * COPIED / min(spent)
