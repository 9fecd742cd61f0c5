"""The MC-dropout committee, exact and cheap.

Everything below the first dropout layer is deterministic, so the trunk runs once per crop. A pass draws one mask for
all crops, so all passes are one matrix product over the features and the kept hidden units alone. Each crop's marginal
is that of ordinary MC dropout; across crops a pass is one and the same network (a *consistent* committee).

Source: Gal & Ghahramani 2016 (MC dropout); Kirsch, van Amersfoort, Gal 2019 (consistent masks); Johnson & Lindenstrauss
1984 (random projection).
"""

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from costal.agent.devices import CPU_BATCH, fast_dtype, to_device
from costal.agent.networks import FEATURE_DROP, HIDDEN, HIDDEN_DROP, Network, trunk_at_work, trunk_dtype
from costal.seeds import seed_for
from costal.types import Floats

PROJECTED = 32
"""Dimensions of projected features: distances keep within about an eighth (sqrt(1 / 64)) of their length."""


@dataclass(frozen=True, slots=True)
class Heads:
    """All passes' heads of one network as one product, scaled as dropout scales.

    Hidden units that a pass drops are left out; features that it drops have weight zero, for one product over all of
    them is faster than a product for each pass over copies of those kept.
    """

    hidden_weight: Tensor
    hidden_bias: Tensor
    output_weight_T: tuple[Tensor, ...]
    output_bias: Tensor

    def logits(self, features_F_B: Tensor) -> Tensor:
        """Return the logits (T, K, B) of every pass for trunk features with one column per crop."""
        hidden = torch.addmm(self.hidden_bias, self.hidden_weight, features_F_B).relu_()
        own_T = torch.split(hidden, [weight.shape[1] for weight in self.output_weight_T])
        pairs = zip(self.output_weight_T, own_T, strict=True)
        return torch.stack([torch.addmm(self.output_bias, weight, own) for weight, own in pairs])


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


@torch.inference_mode()
def pack_heads(network: Network, masks: list[tuple[Tensor, Tensor]], device: str, dtype: torch.dtype) -> Heads:
    """Return the heads of the passes that these masks make of a network, on `device`, in `dtype`."""
    hidden, output = network.hidden, network.output
    units = torch.cat([own for _, own in masks])
    hidden_weight = (hidden.weight / (1 - FEATURE_DROP)).to(device, dtype).index_select(0, units.to(device))
    for rows, (kept, _) in zip(torch.split(hidden_weight, [len(own) for _, own in masks]), masks, strict=True):
        feature_mask = torch.zeros(hidden.in_features, dtype=dtype)
        feature_mask[kept] = 1
        rows.mul_(feature_mask.to(device))
    output_weight = (output.weight / (1 - HIDDEN_DROP)).to(device, dtype)
    return Heads(
        hidden_weight,
        hidden.bias[units, None].to(device, dtype),
        tuple(output_weight[:, own.to(device)] for _, own in masks),
        output.bias[:, None].to(device, dtype),
    )


def _softmax(logits_T_K_B: Tensor) -> Tensor:
    """Return the probabilities `probs_T_K_B`; torch's own takes ten times as long, or depends on the batch."""
    powers = (logits_T_K_B - logits_T_K_B.amax(1, keepdim=True)).exp_()
    return powers / sum(powers.unbind(1)).unsqueeze(1)  # type: ignore[union-attr]


def draw_projection(feature_count: int) -> Tensor:
    """Return a Gaussian projection `projection_P_F` to at most `PROJECTED` dimensions that keeps expected distances.

    It depends on nothing but the count, so that features of different pools and frames can be compared.
    """
    dimensions = min(PROJECTED, feature_count)
    generator = torch.Generator().manual_seed(seed_for("projection", feature_count))
    return torch.randn(dimensions, feature_count, generator=generator) / math.sqrt(dimensions)


class Committee:
    """T passes of each network of an ensemble, whose masks are drawn from `seed`; heads are packed once per device.

    `features` come first, once per crop and network; `probs` and `projected` are made of them. Products are taken in
    `dtype`, and what is returned of them is float32; None: what serves the device best (`devices.fast_dtype`).
    """

    def __init__(self, networks: Sequence[Network], passes: int, seed: int, dtype: torch.dtype | None = None) -> None:
        count = networks[0].hidden.in_features
        self._networks = networks
        # The first network's masks are what they would be without the others.
        seeds = [seed_for(seed, "member", member) if member else seed for member in range(len(networks))]
        self._masks_M = [draw_masks(count, passes, own) for own in seeds]
        self._projection = draw_projection(count)
        self._wanted = dtype
        self._trunks: list[nn.Module] = []
        self._heads_M: list[Heads] = []
        self._device, self._dtype = "", torch.float32

    def _move(self, device: str) -> None:
        self._device, self._dtype = device, self._wanted or fast_dtype(device)
        pairs = zip(self._networks, self._masks_M, strict=True)
        self._heads_M = [pack_heads(network, masks, device, self._dtype) for network, masks in pairs]
        self._trunks = [trunk_at_work(copy.deepcopy(each.trunk), device, self._dtype) for each in self._networks]
        self._projection = self._projection.to(device, self._dtype)

    @torch.inference_mode()
    def features(self, inputs_B: Floats, device: str) -> list[Tensor]:
        """Return each network's deterministic trunk features `features_F_B`; a crop's do not depend on its batch."""
        if device != self._device:
            self._move(device)
        inputs = to_device(inputs_B, device).to(trunk_dtype(self._trunks[0]))
        parts = inputs.split(CPU_BATCH if device == "cpu" else len(inputs))  # type: ignore[no-untyped-call]
        return [torch.cat([trunk(part) for part in parts]).to(self._dtype).T for trunk in self._trunks]

    @torch.inference_mode()
    def probs(self, features_M: Sequence[Tensor]) -> Tensor:
        """Return the class probabilities of every pass of every network, `probs_T_B_K` with M x T passes."""
        pairs = zip(self._heads_M, features_M, strict=True)
        logits = torch.cat([heads.logits(features_F_B) for heads, features_F_B in pairs])
        return _softmax(logits.float()).transpose(1, 2).contiguous()

    @torch.inference_mode()
    def projected(self, features_M: Sequence[Tensor]) -> Tensor:
        """Return the first network's features in few dimensions, `(B, P)`, by one projection for every committee."""
        return (self._projection @ features_M[0]).T.float()
