"""The one family of networks: the paper's CNN, for any crop size, channel count and number of outputs.

Gal's network is a trunk of two 4x4 convolutions of 32 filters with ReLU and one 2x2 max pool, dropout 0.25, a dense
layer of 128 with ReLU, dropout 0.5, and a dense output layer. For 28x28x1 and 10 classes it has 3,872 features and
513,994 parameters. A larger crop gets *reducing blocks* in front (4x4 convolution of 32 filters, stride 2, ReLU), as
many as bring the trunk's feature map down to 16 x 16 or less; `reducing_blocks` and `feature_side` are that rule.

Source: Gal, Islam, Ghahramani 2017, section 5 (with no padding, as its published code).
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from costal.errors import AgentError
from costal.types import Weights

FILTERS, KERNEL, HIDDEN = 32, 4, 128
FEATURE_DROP, HIDDEN_DROP = 0.25, 0.5
LARGEST_FEATURE_SIDE = 16
SMALLEST_CROP = 8


def reducing_blocks(crop: int) -> int:
    """Return how many reducing blocks a crop of this side gets: 0 up to 39 px, 1 up to 81, 2 up to 165, ..."""
    blocks = 0
    while (crop - 6) // 2 > LARGEST_FEATURE_SIDE:
        crop = (crop - KERNEL) // 2 + 1
        blocks += 1
    return blocks


def feature_side(crop: int) -> int:
    """Return the side of the feature map that the trunk makes of a square crop: 11 for 28 px, 12 for 64 px."""
    for _ in range(reducing_blocks(crop)):
        crop = (crop - KERNEL) // 2 + 1
    return (crop - 6) // 2


def feature_count(crop: int) -> int:
    """Return how many features the trunk makes of a square crop: 3,872 for 28 px."""
    return FILTERS * feature_side(crop) ** 2


class Standardise(nn.Module):
    """The trunk of a head on frozen features: each less its mean, in units of its standard deviation, in float32."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(count))
        self.register_buffer("std", torch.ones(count))

    def fit(self, features_N_V_F: NDArray[np.floating]) -> None:
        """Take mean and standard deviation from these features; one that is the same everywhere is left at zero."""
        parts = np.array_split(features_N_V_F.reshape(-1, features_N_V_F.shape[-1]), len(features_N_V_F) // 4096 + 1)
        count = sum(len(part) for part in parts)
        mean = sum(part.sum(0, dtype=np.float64) for part in parts) / count
        variance = sum(((part - mean) ** 2).sum(0) for part in parts) / count
        self.get_buffer("mean").copy_(torch.from_numpy(np.asarray(mean)))
        spread = np.sqrt(variance)
        self.get_buffer("std").copy_(torch.from_numpy(np.where(spread > 1e-6, spread, 1.0)))

    def forward(self, features_N_F: Tensor) -> Tensor:
        """Return the standardised features (N, F)."""
        return (features_N_F - self.get_buffer("mean")) / self.get_buffer("std")


class Network(nn.Module):
    """Gal's network: `trunk` is deterministic, `head` takes the dropout masks as arguments.

    On features of a frozen backbone the trunk standardises them, and the head is the same.

    Parameters
    ----------
    input_shape
        (C, H, W) of a crop, H equal to W and at least 8; or (F,) for features.
    outputs
        K classes, or 1 for a regression.
    """

    trunk: nn.Module

    def __init__(self, input_shape: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        if len(input_shape) == 1:
            with torch.random.fork_rng(devices=[]):
                self._build_head(Standardise(input_shape[0]), input_shape[0], outputs)
            return
        channels, height, width = input_shape
        if height != width or height < SMALLEST_CROP or channels < 1:
            raise AgentError(
                f"A crop of {channels} channels and {height} x {width} px does not fit the network. "
                f"Use square crops of at least {SMALLEST_CROP} px."
            )
        # Every weight is drawn or loaded afterwards: the caller's global generator is left as it was.
        with torch.random.fork_rng(devices=[]):
            self._build(channels, height, outputs)

    def _build(self, channels: int, height: int, outputs: int) -> None:
        blocks: list[nn.Module] = []
        for _ in range(reducing_blocks(height)):
            blocks += [nn.Conv2d(channels, FILTERS, KERNEL, stride=2), nn.ReLU()]
            channels = FILTERS
        blocks += [nn.Conv2d(channels, FILTERS, KERNEL), nn.ReLU()]
        # Pooled first, a quarter is left for ReLU, with the same outcome.
        blocks += [nn.Conv2d(FILTERS, FILTERS, KERNEL), nn.MaxPool2d(2), nn.ReLU(), nn.Flatten()]
        self._build_head(nn.Sequential(*blocks), feature_count(height), outputs)

    def _build_head(self, trunk: nn.Module, features: int, outputs: int) -> None:
        self.trunk = trunk
        self.hidden = nn.Linear(features, HIDDEN)
        self.output = nn.Linear(HIDDEN, outputs)

    def head(
        self, features_N_F: Tensor, feature_mask: Tensor | None = None, hidden_mask: Tensor | None = None
    ) -> Tensor:
        """Return the outputs (N, K) of trunk features; masks hold 0 or 1 / (1 - drop), None drops nothing."""
        if feature_mask is not None:
            features_N_F = features_N_F * feature_mask
        hidden = torch.relu(self.hidden(features_N_F))
        if hidden_mask is not None:
            hidden = hidden * hidden_mask
        return self.output(hidden)  # type: ignore[no-any-return]

    def forward(self, inputs_N: Tensor) -> Tensor:
        """Return the outputs (N, K) of the mean network: nothing is dropped. The trunk may have its own precision."""
        return self.head(self.trunk(inputs_N.to(trunk_dtype(self.trunk))).to(self.hidden.weight.dtype))


def trunk_dtype(trunk: nn.Module) -> torch.dtype:
    """Return the precision that a trunk takes its inputs in."""
    return next(trunk.parameters(), torch.empty(0)).dtype


def trunk_at_work(trunk: nn.Module, device: str, dtype: torch.dtype) -> nn.Module:
    """Return a trunk moved to a device, convolutions in this precision and the layout that serves them best."""
    if isinstance(trunk, Standardise):
        return trunk.to(device)
    return trunk.to(device, dtype).to(memory_format=torch.channels_last)


def standardise(network: Network, features_N_V_F: NDArray[np.floating]) -> None:
    """Let the trunk of a head on frozen features know their means and spreads; another has no use for them."""
    if isinstance(network.trunk, Standardise):
        network.trunk.fit(features_N_V_F)


def initialise(network: nn.Module, generator: torch.Generator) -> None:
    """Draw the weights of all convolutions and dense layers again (Glorot uniform), with biases of zero."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(layer.weight, generator=generator)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]


def dropout_mask(shape: tuple[int, ...], drop: float, generator: torch.Generator) -> Tensor:
    """Return a mask of zeros and 1 / (1 - drop), drawn and kept where the generator is."""
    kept = torch.rand(shape, generator=generator, device=generator.device) >= drop
    return kept.to(torch.float32) / (1 - drop)


def to_weights(network: nn.Module) -> Weights:
    """Return a copy of the network's parameters and buffers as numpy arrays by name."""
    return {name: tensor.detach().cpu().numpy().copy() for name, tensor in network.state_dict().items()}


def load_weights(network: nn.Module, weights: Weights) -> None:
    """Put the weights into the network.

    Raises
    ------
    AgentError
        When names or shapes differ from the network's: the model was made for other crops or classes.
    """
    expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    shapes = {name: tuple(array.shape) for name, array in weights.items()}
    if expected != shapes:
        differing = sorted(name for name in expected.keys() | shapes.keys() if expected.get(name) != shapes.get(name))
        name = differing[0]
        raise AgentError(
            f"The model does not fit: {name} has shape {shapes.get(name, 'none')}, these crops and classes need "
            f"{expected.get(name, 'none')}. Train a new model for this project."
        )
    network.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in weights.items()})
