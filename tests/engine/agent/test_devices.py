import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from costal.agent import classifier, devices
from costal.agent.acquisition import ACQUISITION_FUNCTIONS
from costal.agent.committee import Committee
from costal.agent.cost import predict_cost
from costal.agent.devices import (
    CPU_BATCH,
    BatchSetup,
    choose_device,
    describe_device,
    first_batch_setup,
    on_threads,
    unused_gpu,
    with_room,
    with_smaller_batch,
)
from costal.agent.networks import Network, initialise, to_weights
from costal.errors import AgentError
from costal.loop import learn, new_agent
from costal.types import Agent, AgentSettings, Pool, Progress, Training, finish


def full_above(batch, tried):
    """Return an attempt that finds a GPU full for larger batches, and notes each footing it was tried on."""

    def attempt(batch_setup):
        tried.append((batch_setup.device, batch_setup.batch))
        yield Progress(0, 1, "trying")
        if batch_setup.device != "cpu" and batch_setup.batch > batch:
            raise torch.OutOfMemoryError("simulated")
        return batch_setup.batch

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
    with pytest.raises(AgentError, match=r"has no device '.*'\. Choose auto, or one of cpu"):
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
    batch, batch_setup = finish(with_room(BatchSetup("cuda", 256), full_above(70, tried)))
    assert tried == [("cuda", 256), ("cuda", 128), ("cuda", 64)]
    assert batch == batch_setup.batch == 64
    assert "batches of 64 crops" in batch_setup.note


def test_a_gpu_without_room_for_one_crop_gives_way_to_the_cpu():
    tried = []
    batch, batch_setup = finish(with_room(BatchSetup("cuda", 4), full_above(0, tried)))
    assert tried == [("cuda", 4), ("cuda", 2), ("cuda", 1), ("cpu", CPU_BATCH)]
    assert (batch, batch_setup.device) == (CPU_BATCH, "cpu")
    assert "continued on the CPU" in batch_setup.note


def test_an_odd_batch_is_halved_downwards():
    assert with_smaller_batch(BatchSetup("cuda", 3)).batch == 1


def test_a_full_cpu_is_an_error():
    def attempt(batch_setup):
        yield Progress(0, 1, "trying")
        raise torch.OutOfMemoryError("simulated")

    with pytest.raises(torch.OutOfMemoryError):
        finish(with_room(BatchSetup("cpu", 8), attempt))


def test_another_error_is_not_taken_for_a_full_gpu():
    def attempt(batch_setup):
        yield Progress(0, 1, "trying")
        raise RuntimeError("something else")

    with pytest.raises(RuntimeError, match="something else"):
        finish(with_room(BatchSetup("cuda", 8), attempt))


@pytest.mark.parametrize(("room", "device", "batch"), [(3, "cuda", 3), (0, "cpu", CPU_BATCH)])
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
    monkeypatch.setattr(devices, "GPU_BATCH_PIXELS", 8 * 8 * 8)
    output, batch_setup = finish(classifier.ask_committee(agent, crops, 1, "cuda"))
    assert (batch_setup.device, batch_setup.batch) == (device, batch)
    np.testing.assert_allclose(output.information_N, expected.information_N, atol=1e-5)
    np.testing.assert_allclose(output.features_N_F, expected.features_N_F, atol=1e-5)


def test_threads_are_as_before_also_after_a_failure():
    before = torch.get_num_threads()
    with pytest.raises(KeyError), on_threads(before + 1):
        assert torch.get_num_threads() == before + 1
        raise KeyError
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(("count", "batch"), [(10**6, 8192), (7, 7)], ids=["many crops", "few crops"])
def test_a_gpu_is_filled_and_a_cpu_gets_batches_for_its_cache(count, batch):
    assert first_batch_setup("cuda", count, (1, 28, 28), 256) == BatchSetup("cuda", batch)
    assert first_batch_setup("cpu", count, (1, 28, 28), 256) == BatchSetup("cpu", 256)


def test_a_larger_crop_makes_smaller_batches_on_a_gpu_but_never_empty_ones():
    assert first_batch_setup("cuda", 10**6, (4, 56, 56), 256).batch == 8192 // 4
    assert first_batch_setup("cuda", 10**6, (1, 8192, 8192), 256).batch == 1


@pytest.mark.parametrize(("bf16", "amx", "dtype"), [
    (True, False, torch.bfloat16), (False, True, torch.bfloat16), (False, False, torch.float32),
])  # fmt: skip
def test_a_cpu_is_asked_in_bfloat16_only_where_it_multiplies_in_it(monkeypatch, bf16, amx, dtype):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: bf16, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx, raising=False)
    assert devices.fast_dtype("cpu") == dtype
    assert devices.fast_dtype("mps") == torch.float32


def test_bfloat16_ranks_crops_as_float64_does(small_digits):
    network = Network((1, 28, 28), 10)
    initialise(network, torch.Generator().manual_seed(0))
    crops, _ = small_digits.take(np.arange(400))
    found = {}
    for dtype in (torch.float64, torch.bfloat16):
        committee = Committee([network.to(torch.float64)], 20, 1, dtype)
        probs_T_N_K = committee.probs(committee.features(crops, "cpu"))
        found[dtype] = {name: information(probs_T_N_K) for name, information in ACQUISITION_FUNCTIONS.items()}
    exact, fast = found.values()
    alike = {name: spearmanr(exact[name], fast[name])[0] for name in exact}
    assert {name: correlation for name, correlation in alike.items() if correlation < 0.999} == {}


def test_bfloat16_moves_classes_and_costs_by_less_than_a_hundredth(monkeypatch, digit_pool, digit_answers):
    answers = [replace(each, effort=1.0 + place) for place, each in enumerate(digit_answers)]
    settings = AgentSettings(10, training=Training(min_steps=30, epochs=0))
    agent = finish(learn(new_agent(settings, (1, 28, 28)), answers, 0, "cpu"))
    found = {}
    for dtype in (torch.float32, torch.bfloat16):
        monkeypatch.setattr(devices, "fast_dtype", lambda device, dtype=dtype: dtype)
        cost_N, _ = finish(predict_cost(agent.cost_model, (1, 28, 28), Pool(digit_pool), "cpu"))
        found[dtype] = finish(classifier.classify(agent, digit_pool, "cpu")), cost_N
    (probs, cost_N), (low_probs, low_cost_N) = found.values()
    assert not np.array_equal(probs, low_probs)
    np.testing.assert_allclose(low_probs, probs, atol=0.01)
    np.testing.assert_allclose(low_cost_N, cost_N, rtol=0.01)
