"""Networks of timm and torchvision by name: the architecture alone, never its weights, and what of it makes features.

A convolutional network gives mean and standard deviation of its maps at an eighth and at a sixteenth of the image's
side, the middle-late stages; a vision transformer its class token and the mean of its patch tokens.
"""

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from costal.agent.weights import Stages
from costal.errors import AgentError, in_one_line

SIDE = 64
"""Of the image that a convolutional network is given."""
PATCHES = 7
"""Along each side of the image that a transformer is given."""
STRIDES = (8, 16)
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
RESIZED = "bilinear, antialiased, clipped to [0, 1]"

Numbers = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Architecture:
    """A network by name, its weights drawn at random until some are put into `network`.

    `extract` maps standardised images (B, 3, side, side) to features (B, F) through it. `known` are the tensors of the
    whole network, those that the features do not need among them. The rest is as in `BackboneCard`.
    """

    network: nn.Module
    extract: nn.Module
    known: frozenset[str]
    version: str
    feature_count: int
    side: int
    mean: Numbers
    std: Numbers

    def needed(self) -> dict[str, tuple[int, ...]]:
        """Return the tensors that the features depend on, in the network's order, with their shapes."""
        tensors = self.network.state_dict().items()
        return {name: tuple(each.shape) for name, each in tensors if not name.endswith("num_batches_tracked")}


class Maps(nn.Module):
    """Some feature maps of a network, as a list."""

    def __init__(self, network: nn.Module, maps: Callable[[Tensor], Sequence[Tensor]]) -> None:
        super().__init__()
        self.network = network
        self.maps = maps

    def forward(self, images: Tensor) -> Sequence[Tensor]:
        """Return the maps, each (B, C, H, W)."""
        return self.maps(images)


class Tokens(nn.Module):
    """The class token of a transformer, if it has one, and the mean of its patch tokens."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Return the features (B, F) of images."""
        network: Any = self.network
        tokens, prefix = network.forward_features(images).float(), network.num_prefix_tokens
        patches = tokens[:, prefix:].mean(1)
        return torch.cat([tokens[:, 0], patches], 1) if prefix else patches


def architecture_of(name: str) -> Architecture:
    """Return the architecture of a name such as ``timm:resnet18``; weights are random, and nothing is fetched.

    Raises
    ------
    AgentError
        When timm or torchvision has no such network, or it makes no features of images of our size.
    """
    library, _, own = name.partition(":")
    build = {"timm": _of_timm, "torchvision": _of_torchvision}.get(library)
    if build is None:
        raise AgentError(f"'{name}' is not a network that can be added. Write timm:NAME or torchvision:NAME.")
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            return build(own)
    except (TypeError, ValueError, KeyError, AttributeError, AssertionError, RuntimeError) as error:
        raise AgentError(
            f"'{name}' cannot make features of small images ({in_one_line(error)}). Choose another network."
        ) from error


def _of_timm(name: str) -> Architecture:
    import timm

    if not timm.is_model(name):
        raise _unknown(f"timm {timm.__version__}", name, timm.list_models())
    network = timm.create_model(name, pretrained=False)
    known, colours = frozenset(network.state_dict()), network.pretrained_cfg
    norm = _three(colours["mean"]), _three(colours["std"])
    if hasattr(network, "num_prefix_tokens"):
        network = timm.create_model(name, pretrained=False, num_classes=0, dynamic_img_size=True)
        side = PATCHES * int(network.patch_embed.patch_size[0])
        version = f"1: timm class token and mean of {PATCHES} x {PATCHES} patch tokens; {RESIZED}"
        return _built(network, Tokens(network), known, version, side, norm)
    strides = [stage["reduction"] for stage in network.feature_info]
    if not set(STRIDES) <= set(strides):
        raise ValueError(f"its stages have the strides {', '.join(map(str, strides))}, and {STRIDES} are needed")
    stages = [max(place for place, each in enumerate(strides) if each == stride) for stride in STRIDES]
    network.prune_intermediate_layers(stages, prune_norm=True, prune_head=True)

    def maps(images: Tensor) -> Sequence[Tensor]:
        own: Sequence[Tensor] = network.forward_intermediates(images, indices=stages, intermediates_only=True)
        return own

    version = f"1: timm stages of stride 8 and 16, mean and standard deviation over pixels; {RESIZED}"
    return _built(network, Stages(Maps(network, maps)), known, version, SIDE, norm)


def _of_torchvision(name: str) -> Architecture:
    import torchvision
    from torchvision import models
    from torchvision.models.feature_extraction import create_feature_extractor

    names = models.list_models(module=models)
    if name not in names:
        raise _unknown(f"torchvision {torchvision.__version__}", name, names)
    network = models.get_model(name, weights=None).eval()
    stages = _stages_of(network)
    known = frozenset(network.state_dict())
    trimmed = create_feature_extractor(network, stages, suppress_diff_warning=True)

    def maps(images: Tensor) -> Sequence[Tensor]:
        return list(trimmed(images).values())

    version = f"1: torchvision {' and '.join(stages)}, mean and standard deviation over pixels; {RESIZED}"
    return _built(trimmed, Stages(Maps(trimmed, maps)), known, version, SIDE, IMAGENET)


def _stages_of(network: nn.Module) -> list[str]:
    """Return the last modules of the trunk whose maps have an eighth and a sixteenth of the image's side."""
    parent = next((each for each in ("features", "trunk_output") if hasattr(network, each)), "")
    sides: dict[str, tuple[int, ...]] = {}
    hooks = []
    for name, module in network.get_submodule(parent).named_children():
        path = f"{parent}.{name}" if parent else name

        def note(_module: nn.Module, _images: object, output: Any, path: str = path) -> None:
            if isinstance(output, Tensor) and output.ndim == 4:
                sides[path] = tuple(output.shape[-2:])

        hooks.append(module.register_forward_hook(note))
    network(torch.zeros(1, 3, SIDE, SIDE))
    for hook in hooks:
        hook.remove()
    last = {side: path for path, side in sides.items()}
    expected = [(SIDE // stride, SIDE // stride) for stride in STRIDES]
    if not set(expected) <= last.keys():
        raise ValueError("it has no maps of an eighth and a sixteenth of the image's side")
    return [last[side] for side in expected]


def _built(
    network: nn.Module,
    extract: nn.Module,
    known: frozenset[str],
    version: str,
    side: int,
    norm: tuple[Numbers, Numbers],
) -> Architecture:
    extract = extract.eval().requires_grad_(False).to(memory_format=torch.channels_last)
    count = extract(torch.zeros(1, 3, side, side)).shape[1]
    return Architecture(network, extract, known, version, count, side, *norm)


def _three(numbers: Sequence[float]) -> Numbers:
    red, green, blue = map(float, numbers)
    return red, green, blue


def _unknown(library: str, name: str, names: Sequence[str]) -> AgentError:
    close = difflib.get_close_matches(name, names, 3)
    hint = f"Did you mean {' or '.join(close)}?" if close else "Look up the name in its documentation."
    return AgentError(f"{library} has no network '{name}'. {hint}")
