import shutil

import numpy as np
import pytest
import torch

from costal.agent import classifier
from costal.agent.committee import Committee
from costal.agent.devices import (
    CPU_BATCH,
    Footing,
    choose_device,
    describe_device,
    on_smaller_footing,
    on_threads,
    unused_gpu,
    with_room,
)
from costal.agent.networks import Network, to_weights
from costal.errors import AgentError
from costal.types import Agent, AgentSettings, Progress, finish


def full_above(batch, tried):
    """Return an attempt that finds a GPU full for larger batches, and notes each footing it was tried on."""

    def attempt(footing):
        tried.append((footing.device, footing.batch))
        yield Progress(0, 1, "trying")
        if footing.device != "cpu" and footing.batch > batch:
            raise torch.OutOfMemoryError("simulated")
        return footing.batch

    return attempt


@pytest.mark.parametrize(
    ("cuda", "mps", "wanted", "expected"),
    [
        (True, True, "auto", "cuda"),
        (False, True, "auto", "mps"),
        (False, False, "auto", "cpu"),
        (True, True, "cpu", "cpu"),
        (True, False, "cuda:1", "cuda:1"),
    ],
)
def test_auto_takes_the_fastest_device_and_a_wish_is_kept(monkeypatch, cuda, mps, wanted, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert choose_device(wanted) == expected


@pytest.mark.parametrize("wanted", ["cuda", "cuda:0", "mps", "abacus", ""])
def test_a_device_that_is_not_here_is_refused_with_those_that_are(monkeypatch, wanted):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(AgentError, match=r"is not here\. Choose auto, or one of cpu"):
        choose_device(wanted)


def test_a_gpu_is_described_by_its_name_and_others_by_their_kind(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"model of {device}")
    assert describe_device("cuda:1") == "cuda:1 (model of cuda:1)"
    assert describe_device("cpu") == "cpu"


@pytest.mark.parametrize(
    ("available", "built_for", "found", "said"),
    [(False, None, "/usr/bin/nvidia-smi", True), (False, None, None, False), (True, "13.0", "nvidia-smi", False)],
)
def test_a_gpu_that_torch_cannot_use_is_said(monkeypatch, available, built_for, found, said):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    monkeypatch.setattr(torch.version, "cuda", built_for)
    monkeypatch.setattr(shutil, "which", lambda _: found)
    assert ("no CUDA" in unused_gpu()) == said


def test_a_full_gpu_halves_the_batch_until_it_fits_and_says_so():
    tried = []
    batch, footing = finish(with_room(Footing("cuda", 256), full_above(70, tried)))
    assert tried == [("cuda", 256), ("cuda", 128), ("cuda", 64)]
    assert batch == footing.batch == 64
    assert "batches of 64 crops" in footing.note


def test_a_gpu_without_room_for_one_crop_gives_way_to_the_cpu():
    tried = []
    batch, footing = finish(with_room(Footing("cuda", 4), full_above(0, tried)))
    assert tried == [("cuda", 4), ("cuda", 2), ("cuda", 1), ("cpu", CPU_BATCH)]
    assert (batch, footing.device) == (CPU_BATCH, "cpu")
    assert "went on with the CPU" in footing.note


def test_an_odd_batch_is_halved_downwards():
    assert on_smaller_footing(Footing("cuda", 3)).batch == 1


def test_a_full_cpu_is_an_error():
    def attempt(footing):
        yield Progress(0, 1, "trying")
        raise torch.OutOfMemoryError("simulated")

    with pytest.raises(torch.OutOfMemoryError):
        finish(with_room(Footing("cpu", 8), attempt))


def test_another_error_is_not_taken_for_a_full_gpu():
    def attempt(footing):
        yield Progress(0, 1, "trying")
        raise RuntimeError("something else")

    with pytest.raises(RuntimeError, match="something else"):
        finish(with_room(Footing("cuda", 8), attempt))


@pytest.mark.parametrize(("room", "device", "batch"), [(2, "cuda", 2), (0, "cpu", CPU_BATCH)])
def test_a_committee_on_a_full_gpu_gives_the_same_scores(monkeypatch, room, device, batch):
    crops = np.random.default_rng(0).random((7, 1, 8, 8), dtype=np.float32)
    agent = Agent(AgentSettings(3, passes=3), (1, 8, 8), (to_weights(Network((1, 8, 8), 3)),))
    expected, _ = finish(classifier.ask_committee(agent, crops, 1, "cpu"))
    features = Committee.features

    def crowded(self, crops_B_C_H_W, where):
        if where == "cuda" and len(crops_B_C_H_W) > room:
            raise torch.OutOfMemoryError("simulated")
        return features(self, crops_B_C_H_W, "cpu")

    monkeypatch.setattr(Committee, "features", crowded)
    monkeypatch.setattr(classifier, "BATCH", 8)
    opinion, footing = finish(classifier.ask_committee(agent, crops, 1, "cuda"))
    assert (footing.device, footing.batch) == (device, batch)
    np.testing.assert_allclose(opinion.information_N, expected.information_N, atol=1e-5)
    np.testing.assert_allclose(opinion.features_N_F, expected.features_N_F, atol=1e-5)


def test_threads_are_as_before_also_after_a_failure():
    before = torch.get_num_threads()
    with pytest.raises(KeyError), on_threads(before + 1):
        assert torch.get_num_threads() == before + 1
        raise KeyError
    assert torch.get_num_threads() == before
