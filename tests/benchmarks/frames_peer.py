"""What a user would write to score a large OME-Zarr: dask cuts it into blocks, torch asks a network with dropout on.

The network is the product's with the product's weights. The peer is spared what is not its work: it is given the
intensity range, blocks that are whole crops, and one thread of torch for each thread of dask.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from costal.types import Weights
from tests.benchmarks.committee_peers import with_dropout

BATCH = 256


def score_with_dask(
    array: Any, crop: int, rows: int, limits: tuple[float, float], weights: Weights, classes: int, passes: int
) -> NDArray[np.float32]:
    """Return the mean over classes of the standard deviation over passes, for each crop of the first crop rows."""
    import dask.array as da
    import torch

    network = _network(crop, weights, classes)
    torch.set_num_threads(1)
    low, high = limits
    image = da.from_zarr(array)[: rows * crop, : array.shape[1] // crop * crop]
    scaled = ((image.astype(np.float32) - low) / (high - low)).clip(-1, 2)

    def information(block: NDArray[np.float32]) -> NDArray[np.float32]:
        tall, wide = block.shape[0] // crop, block.shape[1] // crop
        crops = block.reshape(tall, crop, wide, crop).swapaxes(1, 2).reshape(-1, 1, crop, crop)
        found = []
        with torch.no_grad():
            for start in range(0, len(crops), BATCH):
                batch = torch.from_numpy(np.ascontiguousarray(crops[start : start + BATCH]))
                probs = torch.stack([network(batch).softmax(-1) for _ in range(passes)])
                found.append(probs.std(0, correction=0).mean(-1).numpy())
        return np.concatenate(found).reshape(tall, wide)

    side = max(crop, min(array.chunks) // crop * crop)
    blocks = scaled.rechunk((side, side))
    chunks = tuple(tuple(length // crop for length in lengths) for lengths in blocks.chunks)
    drawn = blocks.map_blocks(information, dtype=np.float32, chunks=chunks, meta=np.empty((0, 0), np.float32))
    result: NDArray[np.float32] = drawn.compute()
    return result


def _network(crop: int, weights: Mapping[str, NDArray[np.generic]], classes: int) -> Any:
    """Return the product's network with dropout where it belongs, switched on."""
    from costal.agent.networks import Network, load_weights

    own = Network((1, crop, crop), classes)
    load_weights(own, weights)
    return with_dropout(own).train()
