"""Frozen backbones: normalised crops in, deterministic features out. Each is named by a card.

What is deterministic is computed once: heads learn on features within tenths of a second. Weights are read from files
that are on this machine already, never from a network. A feature is rounded to half precision, so that one read from a
cache and one just computed agree, and a crop's features depend on nothing but the crop.

Source: Tan & Le 2019 (EfficientNet); Wightman, timm (its architecture).
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from costal.agent.cards import EFFICIENTNET_LITE0
from costal.errors import AgentError
from costal.types import Agent, Answer, BackboneCard, Floats, Job, Pool, Progress, map_progress

if TYPE_CHECKING:
    import torch
    from torch import nn

    from costal.agent.devices import BatchSetup

AT_ONCE = 16
"""Images that go through a backbone together, the last of them padded: sums depend on how many there are."""
TURNS = 8
CUT_AT_ONCE = 256
"""Crops that are in memory at once: those of a large frame are cut when they are looked at."""
MOST_KEPT = 200_000
"""Crops whose features stay in memory, about 800 bytes each for one channel; the oldest go first."""


class Backbone(Protocol):
    """What makes features of crops."""

    @property
    def card(self) -> BackboneCard:
        """What it is."""
        ...

    def features(self, crops_B_C_H_W: Floats, device: str, is_rgb: bool = False) -> Floats:
        """Return the features (B, F), float32 of half precision, of normalised crops; no other crop has a say.

        They are computed in the precision that suits the device (see `devices.precision_of`).
        """
        ...


@dataclass(frozen=True, slots=True)
class FrozenBackbone:
    """A backbone made of ``extract``, which maps standardised images (B, 3, side, side) to features (B, F)."""

    card: BackboneCard
    extract: "nn.Module"

    def features(self, crops_B_C_H_W: Floats, device: str, is_rgb: bool = False) -> Floats:
        """Return the features (B, F) of crops (see `Backbone`)."""
        import torch

        from costal.agent.devices import precision_of

        count, channels = crops_B_C_H_W.shape[:2]
        if is_rgb and channels != 3:
            raise AgentError(f"A crop of {channels} channels is not an RGB image. Choose three channels, or grey ones.")
        images = crops_B_C_H_W if is_rgb else crops_B_C_H_W.reshape(-1, 1, *crops_B_C_H_W.shape[2:])
        extract, is_half = self.extract.to(device), precision_of(device) == "bfloat16"
        with torch.inference_mode(), torch.autocast(torch.device(device).type, torch.bfloat16, enabled=is_half):
            parts = [
                extract(self._prepared(torch.from_numpy(images[start : start + AT_ONCE]).to(device)))
                for start in range(0, len(images), AT_ONCE)
            ]
            features = torch.cat([part.half().float().cpu() for part in parts])[: len(images)]
        if not features.isfinite().all():
            raise AgentError(
                f"The backbone '{self.card.name}' makes features that half precision cannot hold. Choose another."
            )
        rounded: Floats = features.reshape(count, -1).numpy()
        return rounded

    def _prepared(self, images: "torch.Tensor") -> "torch.Tensor":
        """Return images as the backbone takes them, padded to `AT_ONCE` with copies of the last."""
        import torch
        import torch.nn.functional as F

        card = self.card
        lacking = AT_ONCE - len(images)
        images = torch.cat([images, images[-1:].expand(lacking, -1, -1, -1)]).clamp(0, 1)
        if images.shape[-2:] != (card.side, card.side):
            images = F.interpolate(images, (card.side, card.side), mode="bilinear", antialias=True)
        mean, std = (torch.tensor(each, device=images.device)[:, None, None] for each in (card.mean, card.std))
        standard = (images - mean) / std
        return standard.contiguous(memory_format=torch.channels_last)


@functools.lru_cache(4)
def load_backbone(card: BackboneCard) -> Backbone:
    """Return the backbone of a card, its weights read and checked; kept in memory, for reading takes a second.

    Raises
    ------
    AgentError
        When its weights are missing or are not those that the card names, with the remedy.
    """
    if card.name != EFFICIENTNET_LITE0:
        from costal.agent.adding import load_added

        return FrozenBackbone(card, load_added(card))
    from costal.agent.weights import lite0_weights, stages_of_efficientnet

    return FrozenBackbone(card, stages_of_efficientnet(lite0_weights()))


def features_of(backbone: Backbone, crops_N_C_H_W: Floats, device: str, is_rgb: bool = False) -> Job[Floats]:
    """Return the features (N, F) of crops; a full GPU is left for smaller batches, and then for the CPU.

    Those of crops seen lately are in memory: arms and repeats of an experiment, or a crop offered again, wait once.
    """
    import torch

    from costal.agent.devices import first_batch_setup, in_batches

    def attempt(crops: Floats, there: "BatchSetup") -> "tuple[torch.Tensor]":
        return (torch.from_numpy(backbone.features(crops, there.device, is_rgb)),)

    total, shape = len(crops_N_C_H_W), backbone.card.feature_shape(crops_N_C_H_W.shape[1], is_rgb)
    features_N_F = np.zeros((total, *shape), np.float32)
    kept = _kept(backbone.card, is_rgb, device)
    for start in range(0, total, CUT_AT_ONCE):
        crops = np.ascontiguousarray(crops_N_C_H_W[start : start + CUT_AT_ONCE])
        keys = [blake2b(crop.data, digest_size=16).digest() for crop in crops]
        lacking = [row for row, key in enumerate(keys) if key not in kept]
        if lacking:
            batch_setup = first_batch_setup(device, len(lacking), crops.shape[1:], 4 * AT_ONCE)
            job = in_batches(crops[lacking], batch_setup, attempt, "Computing features")
            (computed,), _ = yield from map_progress(job, lambda each, done=start: _of(each, done, total))  # type: ignore[misc]
            kept |= zip((keys[row] for row in lacking), computed.astype(np.float16), strict=True)
        features_N_F[start : start + CUT_AT_ONCE] = [kept[key] for key in keys]
        for key in list(kept)[: max(0, len(kept) - MOST_KEPT)]:
            del kept[key]
    return features_N_F


def _of(progress: Progress, done: int, total: int) -> Progress:
    return Progress(done + progress.done, total, progress.message)


@functools.lru_cache(8)
def _kept(card: BackboneCard, is_rgb: bool, device: str) -> dict[bytes, NDArray[np.float16]]:
    """Return the features that are in memory, by the content of the crop."""
    return {}


def inputs_of(agent: Agent, inputs_N: Floats, device: str) -> Job[Floats]:
    """Return what the agent's networks take of crops (N, C, H, W): themselves, or features; features stay as they are.

    Raises
    ------
    AgentError
        When crops or features do not fit the agent, or the backbone's weights are not here.
    """
    card = agent.backbone
    is_ready = card is None or len(inputs_N.shape) == 2
    expected = agent.input_shape if is_ready else agent.crop_shape
    if inputs_N.shape[1:] != expected:
        kind = "features of" if len(expected) == 1 else "crops of"
        axes = "" if len(expected) == 1 else " (C, H, W)"
        raise AgentError(f"The agent was made for {kind} {expected}{axes}, not {inputs_N.shape[1:]}.")
    if is_ready or card is None:
        return inputs_N
    return (yield from features_of(load_backbone(card), inputs_N, device, agent.is_rgb))


def pool_with_features(agent: Agent, pool: Pool, device: str) -> Job[Pool]:
    """Return the pool with what the agent's networks take in it (see `inputs_of`)."""
    inputs_N = yield from inputs_of(agent, pool.inputs, device)
    return pool if agent.backbone is None else replace(pool, features_N_F=inputs_N)


def answers_with_features(agent: Agent, answers: Sequence[Answer], device: str) -> Job[list[Answer]]:
    """Return the answers with the features of an agent's frozen backbone, of all eight turns where it augments."""
    lacking = [place for place, each in enumerate(answers) if each.features_V_F is None]
    if agent.backbone is None or not lacking:
        return list(answers)
    variants = TURNS if agent.settings.training.augment else 1
    crops = np.stack([answers[place].crop_C_H_W for place in lacking])
    turns = [np.ascontiguousarray(turn(crops)) for turn in TURN_OF[:variants]]
    features = yield from inputs_of(agent, np.concatenate(turns), device)
    by_turn_V_N_F = features.reshape(variants, len(lacking), -1).astype(np.float16)
    complete = list(answers)
    for row, place in enumerate(lacking):
        complete[place] = replace(complete[place], features_V_F=by_turn_V_N_F[:, row])
    return complete


def _turn(quarters: int, is_flipped: bool) -> Callable[[Floats], Floats]:
    def turned(crops_N_C_H_W: Floats) -> Floats:
        rotated = np.rot90(crops_N_C_H_W, quarters, (2, 3))
        return rotated[..., ::-1] if is_flipped else rotated

    return turned


TURN_OF = tuple(_turn(turn % 4, turn >= 4) for turn in range(TURNS))
"""The eight turns of crops (N, C, H, W), numbered as `training.turned` numbers them; the first changes nothing."""


def taught(agent: Agent, answers: Sequence[Answer]) -> NDArray[np.floating]:
    """Return what an agent's networks learn from answers: crops (N, C, H, W), or features (N, V, F) that are there."""
    if agent.backbone is None:
        return np.stack([answer.crop_C_H_W for answer in answers])
    return np.stack([answer.features_V_F for answer in answers if answer.features_V_F is not None])
