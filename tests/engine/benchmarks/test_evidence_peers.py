"""What scikit-activeml chooses; skipped where the extra ``bench`` is not installed."""

import numpy as np
import pytest

from tests.benchmarks.evidence_peers import PEERS, chosen_by

pytest.importorskip("skactiveml", reason='scikit-activeml is not installed: pip install ".[bench]"')


@pytest.mark.parametrize("peer", PEERS)
def test_a_peer_chooses_other_crops_of_the_pool_and_the_same_ones_again(peer):
    rng = np.random.default_rng(0)
    known, pool, classes = rng.normal(size=(8, 6)), rng.normal(size=(40, 6)), np.arange(8) % 2
    picked = chosen_by(peer, known, classes, pool, 5, seed=1)
    assert len(set(picked.tolist())) == 5
    assert picked.min() >= 0
    assert picked.max() < 40
    assert chosen_by(peer, known, classes, pool, 5, seed=1).tolist() == picked.tolist()
