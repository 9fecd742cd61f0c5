"""Seeds named after their purpose, so that no result depends on the order of execution."""

import zlib

import numpy as np


def seed_for(*purpose: int | str) -> int:
    """Return the 63-bit seed of one purpose, such as ``seed_for(seed, "pool", repeat, round)``.

    Equal purposes give equal seeds on every machine; different ones give unrelated seeds.
    """
    entropy = [part if isinstance(part, int) else zlib.crc32(part.encode()) for part in purpose]
    low, high = np.random.SeedSequence(entropy).generate_state(2, np.uint32)
    return (int(high) << 31) | (int(low) >> 1)


def rng_for(*purpose: int | str) -> np.random.Generator:
    """Return a fresh generator for one purpose (see `seed_for`)."""
    return np.random.default_rng(seed_for(*purpose))
