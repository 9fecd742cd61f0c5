"""Features of a frozen backbone, kept in a project's folder so that each crop is looked at once.

A file holds the features of a band of a frame's crops, or of a block of labelled crops, under a name that says what
they are made of. One that is cut short, or holds other features, counts as not there; all may be deleted at any time.
"""

import hashlib
import io
import json
import os
import zipfile
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from costal.errors import ProjectError
from costal.files import write_atomically
from costal.labels.lock import is_held_elsewhere
from costal.labels.project import Project
from costal.types import Agent, Floats, Job

Keys = NDArray[Any]
"""What crops are known by within a file: their place in a band, or the hash of their pixels."""
Halves = NDArray[np.float16]


@dataclass(frozen=True, slots=True)
class FeatureFiles:
    """The files of features of a project, of at most `limit_mb` together; the ones unused for longest go first.

    Only who may write to the project writes them; others read.
    """

    folder: Path
    limit_mb: int
    may_write: bool = False

    def load(self, made_of: Mapping[str, Any]) -> tuple[Keys, Halves] | None:
        """Return keys (n,) and features (n, ...) of a file; None where it is not there, damaged, or another's."""
        path = self._path(made_of)
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                keys, features, name = arrays["keys"], arrays["features"], str(arrays["name"])
        except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
            return None
        if (
            name != path.stem
            or len(keys) != len(features)
            or features.dtype != np.float16
            or not np.isfinite(features).all()
        ):
            return None
        if self.may_write:
            with suppress(OSError):
                os.utime(path)
        return keys, features

    def keep(self, made_of: Mapping[str, Any], keys: Keys, features: Halves) -> None:
        """Put keys and features into a file; where it cannot be written (a full disk, say) there is none."""
        if not self.may_write or not self.limit_mb:
            return
        path = self._path(made_of)
        content = io.BytesIO()
        np.savez(content, keys=keys, features=features, name=np.array(path.stem))
        try:
            self.folder.mkdir(exist_ok=True)
            write_atomically(path, content.getvalue())
        except (OSError, ProjectError):
            with suppress(OSError):
                self.folder.rmdir()  # where this was to be its first file
        self._trim()

    def _path(self, made_of: Mapping[str, Any]) -> Path:
        text = json.dumps(made_of, sort_keys=True)
        return self.folder / f"{hashlib.sha256(text.encode()).hexdigest()[:40]}.npz"

    def _trim(self) -> None:
        """Delete the files unused for longest until the others are small enough."""
        with suppress(OSError):
            stats = {Path(each.path): each.stat() for each in os.scandir(self.folder) if each.name.endswith(".npz")}
            excess = sum(each.st_size for each in stats.values()) - self.limit_mb * 1_000_000
            for path in sorted(stats, key=lambda path: stats[path].st_mtime_ns):
                if excess <= 0:
                    return
                excess -= stats[path].st_size
                path.unlink(missing_ok=True)


def files_of(project: Project) -> FeatureFiles:
    """Return the files of features of a project, to be written where no other program writes to the project."""
    may_write = not is_held_elsewhere(project.folder)
    return FeatureFiles(project.features_folder.absolute(), project.features_mb, may_write)


@dataclass(frozen=True, slots=True)
class FrameFeatures:
    """Where the features of a frame's crops are kept; `made_of` names its content and planes, its grid and range."""

    files: FeatureFiles
    made_of: str


def features_of_crops(
    kept: FrameFeatures | None,
    span: tuple[int, int],
    keys_n: Keys,
    crops_of: Callable[[NDArray[np.intp]], Floats],
    agent: Agent,
    device: str,
) -> Job[Floats | None]:
    """Return the features (n, F) of crops of a span of a frame's; None where the agent has no frozen backbone.

    `keys_n` are their places in the span; `crops_of` gives those at some places of `keys_n`, normalised.

    Raises
    ------
    AgentError
        When the backbone's weights are not here.
    """
    from costal.agent.backbones import inputs_of
    from costal.agent.devices import choose_device

    if agent.backbone is None:
        return None
    device = choose_device(device)
    files = kept.files if kept is not None else None
    made_of = made_by(agent, device) | {"crops": span, "frame": kept.made_of if kept is not None else ""}
    features = yield from kept_or_computed(files, made_of, keys_n, lambda at: inputs_of(agent, crops_of(at), device))
    return features.astype(np.float32)


def made_by(agent: Agent, device: str) -> dict[str, Any]:
    """Return what an agent's features depend on beside the crops: its backbone, precision, device."""
    if agent.backbone is None:
        raise RuntimeError("The agent has no frozen backbone.")
    from costal.agent.devices import precision_of

    card = {key: entry for key, entry in asdict(agent.backbone).items() if key not in ("source", "licence")}
    return {"backbone": card, "is_rgb": agent.is_rgb, "precision": precision_of(device), "device": device.split(":")[0]}


def kept_or_computed(
    files: FeatureFiles | None,
    made_of: Mapping[str, Any],
    keys_N: Keys,
    compute: Callable[[NDArray[np.intp]], Job[NDArray[np.floating]]],
) -> Job[Halves]:
    """Return the features (N, ...) of crops: from their file, and computed where it lacks some, which it then has.

    `compute` gives the features of the crops at some places of `keys_N`.
    """
    kept = files.load(made_of) if files is not None else None
    held_keys, held_features = kept if kept is not None else (keys_N[:0], np.empty((0, 0), np.float16))
    place_of = {key: place for place, key in enumerate(held_keys.tolist())}
    place_N = np.array([place_of.get(key, -1) for key in keys_N.tolist()], np.intp)
    lacking = np.flatnonzero(place_N < 0)
    if not len(lacking):
        return held_features[place_N]
    computed = (yield from compute(lacking)).astype(np.float16)
    if len(lacking) == len(keys_N):
        held_keys, held_features = keys_N[:0], computed[:0]
    features = np.empty((len(keys_N), *computed.shape[1:]), np.float16)
    features[lacking], features[place_N >= 0] = computed, held_features[place_N[place_N >= 0]]
    if files is not None:
        files.keep(made_of, np.concatenate([held_keys, keys_N[lacking]]), np.concatenate([held_features, computed]))
    return features
