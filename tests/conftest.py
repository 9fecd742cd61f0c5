"""What all tests share: the data outside the repository, and the reason where it is absent."""

import os
from pathlib import Path

# pytest-xdist has a process for every core: with threads of their own they would wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import settings

# A shared machine stalls now and then: how long one example took says nothing about the code.
settings.register_profile("costal", deadline=None)
settings.load_profile("costal")


@pytest.fixture(scope="session")
def costal_data() -> Path:
    """Return the folder of ``$COSTAL_DATA``; without it the test is skipped, and fails under CI."""
    named = os.environ.get("COSTAL_DATA", "")
    if named and Path(named).is_dir():
        return Path(named)
    reason = f"COSTAL_DATA ({named or 'not set'}) is no folder: set it to the folder that holds MNIST/raw."
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture
def write_zarr():
    """Return a function that writes an OME-Zarr image: axes with a step in um, levels by taking every other pixel."""
    import zarr

    def write(path, pixels, axes="yx", version="0.5", chunk=32, levels=1, um=0.1, **options):
        group = zarr.open_group(str(path), mode="w", zarr_format=2 if version == "0.4" else 3)
        datasets = []
        for level in range(levels):
            small = pixels[..., :: 2**level, :: 2**level]
            chunks = (1,) * (small.ndim - 2) + (chunk, chunk)
            array = group.create_array(str(level), shape=small.shape, chunks=chunks, dtype=small.dtype, **options)
            array[...] = small
            scale = [1.0] * (small.ndim - 2) + [um * 2**level] * 2
            datasets.append({"path": str(level), "coordinateTransformations": [{"type": "scale", "scale": scale}]})
        named = [
            {"name": name, "type": "space", "unit": "micrometer"} if name in "zyx" else {"name": name} for name in axes
        ]
        scales = {"multiscales": [{"axes": named, "datasets": datasets, "version": version}]}
        group.attrs.update(scales if version == "0.4" else {"ome": scales | {"version": version}})
        return path

    return write
