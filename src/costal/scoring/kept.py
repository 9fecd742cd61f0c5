"""The folder that the scores of a frame are kept in, band by band, so that what is done is not done again.

``scores.json`` says what the scores are made of; a band of crop rows is one .npz that carries the hash of that. A band
that is cut short, damaged or made of something else counts as not there.
"""

import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import costal
from costal.errors import ProjectError
from costal.files import remove_leftovers, write_atomically
from costal.types import Floats

CARD, HEATMAP, SKIPPED = "scores.json", "heatmap.tif", "skipped.csv"
SCORED, BACKGROUND, MISSING, PENDING, BLANK = 0, 1, 2, 3, 4
"""Whether a crop has scores, or why not; `PENDING` where its band is not there yet."""
WHY_SKIPPED = {BACKGROUND: "background", MISSING: "missing chunk", BLANK: "no information"}


@dataclass(frozen=True, slots=True)
class Band:
    """The scores of some whole rows of crops; NaN where `skipped_N` is not `SCORED`.

    `features_N_F` has no columns where features are not kept; `cost_spread` is as in `Scores`.
    """

    information_N: Floats
    cost_N: Floats
    probs_N_K: Floats
    features_N_F: Floats
    skipped_N: NDArray[np.uint8]
    cost_spread: float = 0.0


def nothing_scored(count: int, classes: int) -> Band:
    """Return a band of so many crops of which none is scored yet."""
    information_N, cost_N = (np.full(count, np.nan, np.float32) for _ in range(2))
    probs_N_K, features_N_F = np.full((count, classes), np.nan, np.float32), np.empty((count, 0), np.float32)
    return Band(information_N, cost_N, probs_N_K, features_N_F, np.full(count, PENDING, np.uint8))


def copied(band: Band) -> Band:
    """Return a band with arrays of its own, but for the features."""
    information_N, cost_N, probs_N_K = (each.copy() for each in (band.information_N, band.cost_N, band.probs_N_K))
    return Band(information_N, cost_N, probs_N_K, band.features_N_F, band.skipped_N.copy(), band.cost_spread)


def digest_of(made_of: Mapping[str, Any]) -> str:
    """Return the hash of what scores are made of."""
    return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()


def claim(folder: Path, made_of: Mapping[str, Any]) -> tuple[str, ...]:
    """Write the card of a folder, made if need be; return what differs from the card before, whose bands are deleted.

    Raises
    ------
    ProjectError
        When it cannot be written.
    """
    wanted_card = json.loads(json.dumps(made_of))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ProjectError(
            f"{folder} cannot be made: {error.strerror}. Choose another folder, or make this one writable."
        ) from error
    before = card(folder)
    if before == wanted_card:
        return ()
    remove_leftovers(folder, "band-*.npz")
    stale = sorted(folder.glob("band-*.npz"))
    names = sorted(name for name in wanted_card.keys() | before.keys() if wanted_card.get(name) != before.get(name))
    for path in stale:
        path.unlink(missing_ok=True)
    written = {"software": f"napari-costal {costal.__version__}", "made_of": wanted_card}
    write_atomically(folder / CARD, json.dumps(written, indent=1, ensure_ascii=False).encode())
    return tuple(names) if stale else ()


def card(folder: Path) -> Mapping[str, Any]:
    """Return what the card of a folder says, nothing where there is none that can be read."""
    try:
        made_of = json.loads((folder / CARD).read_text("utf-8"))["made_of"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return made_of if isinstance(made_of, dict) else {}


def save_band(folder: Path, number: int, band: Band, digest: str) -> None:
    """Put a band into the folder in one step.

    Raises
    ------
    ProjectError
        When it cannot be written.
    """
    content = io.BytesIO()
    np.savez_compressed(
        content,
        information=band.information_N,
        cost=band.cost_N,
        probs=band.probs_N_K,
        features=band.features_N_F,
        skipped=band.skipped_N,
        cost_spread=band.cost_spread,
        digest=np.frombuffer(bytes.fromhex(digest), np.uint8),
    )
    write_atomically(_path(folder, number), content.getvalue())


def load_band(folder: Path, number: int, digest: str, crops: int) -> Band | None:
    """Return a band of so many crops, None where it is not there, damaged or made of something else."""
    names = ("information", "cost", "probs", "features", "skipped")
    try:
        with _path(folder, number).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            if arrays["digest"].tobytes().hex() != digest:
                return None
            information_N, cost_N, probs_N_K, features_N_F, skipped_N = (arrays[name] for name in names)
            cost_spread = float(arrays["cost_spread"])
    except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None
    if any(len(array) != crops for array in (information_N, cost_N, probs_N_K, features_N_F, skipped_N)):
        return None
    scored = skipped_N == SCORED
    is_whole = np.isfinite(information_N[scored]).all() and np.isfinite(cost_N[scored]).all()
    return Band(information_N, cost_N, probs_N_K, features_N_F, skipped_N, cost_spread) if is_whole else None


def _path(folder: Path, number: int) -> Path:
    return folder / f"band-{number:05}.npz"
