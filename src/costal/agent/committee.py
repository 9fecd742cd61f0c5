"""The MC-dropout committee, exact and cheap.

Everything below the first dropout layer is deterministic, so the trunk runs once per crop. A pass draws one mask for
all crops, so T passes are T matrix products over the kept features and kept hidden units alone. Each crop's marginal
is that of ordinary MC dropout; across crops a pass is one and the same network (a *consistent* committee).

Source: Gal & Ghahramani 2016 (MC dropout); Kirsch, van Amersfoort, Gal 2019 (consistent masks); Johnson & Lindenstrauss
1984 (random projection).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from costal.agent.networks import FEATURE_DROP, HIDDEN, HIDDEN_DROP, Network
from costal.seeds import seed_for
from costal.types import Floats

PROJECTED = 32
"""Dimensions of projected features: distances keep within about an eighth (sqrt(1 / 64)) of their length."""


@dataclass(frozen=True, slots=True)
class ThinnedHead:
    """One pass's head without what its mask drops, scaled as dropout scales; `kept` are feature indices."""

    kept: Tensor
    hidden_weight: Tensor
    hidden_bias: Tensor
    output_weight: Tensor
    output_bias: Tensor

    def logits(self, features_F_B: Tensor) -> Tensor:
        """Return the logits (K, B) of this pass for trunk features with one column per crop."""
        hidden = torch.addmm(self.hidden_bias, self.hidden_weight, features_F_B[self.kept]).relu_()
        return torch.addmm(self.output_bias, self.output_weight, hidden)


def draw_masks(feature_count: int, passes: int, seed: int) -> list[tuple[Tensor, Tensor]]:
    """Return for each pass the indices of the features and of the hidden units that dropout keeps.

    Each is kept independently (with probability 0.75 and 0.5), so a crop sees ordinary MC dropout. Drawn on the
    CPU: the same on every device.
    """
    generator = torch.Generator().manual_seed(seed)
    masks = []
    for _ in range(passes):
        kept_features = torch.rand(feature_count, generator=generator) >= FEATURE_DROP
        kept_hidden = torch.rand(HIDDEN, generator=generator) >= HIDDEN_DROP
        masks.append((kept_features.nonzero().flatten(), kept_hidden.nonzero().flatten()))
    return masks


def thin_heads(network: Network, masks: list[tuple[Tensor, Tensor]], device: str) -> list[ThinnedHead]:
    """Return one head per pass, holding only the weights that its mask keeps, on `device`."""
    hidden, output = network.hidden, network.output
    heads = []
    for features, units in masks:
        features, units = features.to(device), units.to(device)
        heads.append(
            ThinnedHead(
                features,
                hidden.weight[units][:, features] / (1 - FEATURE_DROP),
                hidden.bias[units, None],
                output.weight[:, units] / (1 - HIDDEN_DROP),
                output.bias[:, None],
            )
        )
    return heads


def draw_projection(feature_count: int) -> Tensor:
    """Return a Gaussian projection `projection_P_F` to at most `PROJECTED` dimensions that keeps expected distances.

    It depends on nothing but the count, so that features of different pools and frames can be compared.
    """
    dimensions = min(PROJECTED, feature_count)
    generator = torch.Generator().manual_seed(seed_for("projection", feature_count))
    return torch.randn(dimensions, feature_count, generator=generator) / math.sqrt(dimensions)


class Committee:
    """T passes of each network of an ensemble, whose masks are drawn from `seed`; heads are thinned once per device.

    `features` come first, once per crop and network; `probs` and `projected` are made of them.
    """

    def __init__(self, networks: Sequence[Network], passes: int, seed: int) -> None:
        count = networks[0].hidden.in_features
        self._networks = networks
        # The first network's masks are what they would be without the others.
        seeds = [seed_for(seed, "member", member) if member else seed for member in range(len(networks))]
        self._masks_M = [draw_masks(count, passes, own) for own in seeds]
        self._projection = draw_projection(count)
        self._heads_M: list[list[ThinnedHead]] = []
        self._device = ""

    def _move(self, device: str) -> None:
        for network in self._networks:
            network.to(device)
        pairs = zip(self._networks, self._masks_M, strict=True)
        self._heads_M = [thin_heads(network, masks, device) for network, masks in pairs]
        self._projection = self._projection.to(device)
        self._device = device

    @torch.inference_mode()
    def features(self, crops_B_C_H_W: Floats, device: str) -> list[Tensor]:
        """Return each network's deterministic trunk features `features_F_B`; a crop's do not depend on its batch."""
        if device != self._device:
            self._move(device)
        crops = torch.from_numpy(np.ascontiguousarray(crops_B_C_H_W)).to(device)
        # Features lie in rows, so that keeping some copies whole rows.
        return [network.trunk(crops).T.contiguous() for network in self._networks]

    @torch.inference_mode()
    def probs(self, features_M: Sequence[Tensor]) -> Tensor:
        """Return the class probabilities of every pass of every network, `probs_T_B_K` with M x T passes."""
        pairs = zip(self._heads_M, features_M, strict=True)
        logits = [head.logits(features_F_B) for heads, features_F_B in pairs for head in heads]
        return torch.stack(logits).transpose(1, 2).softmax(-1)

    @torch.inference_mode()
    def projected(self, features_M: Sequence[Tensor]) -> Tensor:
        """Return the first network's features in few dimensions, `(B, P)`, by one projection for every committee."""
        return (self._projection @ features_M[0]).T
