import json
import pickle
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import save

from costal.errors import ProjectError
from costal.labels.models import load_generation, load_newest, save_agent
from costal.types import Agent, AgentSettings, CostModel, Training

RNG = np.random.default_rng(0)
CLASSIFIER = {
    "hidden.weight": RNG.random((3, 4), dtype=np.float32),
    "output.bias": np.array([1e-38, -0.0], dtype=np.float32),
}
COST = {"network.hidden.weight": RNG.random((2, 2), dtype=np.float32), "log_spread": np.array(0.5, dtype=np.float32)}
SETTINGS = AgentSettings(
    2, "std", 2.0, 0.1, 7, 3, Training(1e-2, 8, 10, 2, True, True, True), acquisition_cost_K=(0.5, 1.5)
)
WHOLE = Agent(SETTINGS, (1, 8, 8), CLASSIFIER, CostModel(COST, ("ada", "bob"), 12), 20, ("a note with β",))


def assert_equal_weights(first, second):
    assert first.keys() == second.keys()
    for name in first:
        np.testing.assert_array_equal(first[name], second[name])
        assert first[name].dtype == second[name].dtype


@pytest.mark.parametrize(
    "agent",
    [WHOLE, replace(WHOLE, cost_model=None), replace(WHOLE, classifier=None)],
    ids=["both models", "no cost model", "no classifier"],
)
def test_an_agent_comes_back_as_it_was_saved(tmp_path, agent):
    assert save_agent(tmp_path / "models", agent).number == 1
    back = load_newest(tmp_path / "models").agent
    assert_equal_weights(back.classifier or {}, agent.classifier or {})
    if agent.cost_model is None:
        assert back.cost_model is None
    else:
        assert_equal_weights(back.cost_model.weights, agent.cost_model.weights)
        assert replace(back.cost_model, weights={}) == replace(agent.cost_model, weights={})
    bare = {"classifier": None, "cost_model": None}
    assert replace(back, **bare) == replace(agent, **bare)


def test_generations_count_up_and_the_newest_wins(tmp_path):
    numbers = [save_agent(tmp_path, replace(WHOLE, label_count=count)).number for count in range(1, 12)]
    assert numbers == list(range(1, 12))
    newest = load_newest(tmp_path)
    assert (newest.number, newest.agent.label_count) == (11, 11)
    assert load_generation(tmp_path, 2).agent.label_count == 2


@pytest.mark.parametrize("exists", [True, False])
def test_a_folder_without_models_has_no_newest(tmp_path, exists):
    assert load_newest(tmp_path if exists else tmp_path / "models") is None


def test_weights_whose_card_was_never_written_do_not_count(tmp_path):
    save_agent(tmp_path, WHOLE)
    save_agent(tmp_path, WHOLE)
    (tmp_path / "0002.json").unlink()
    assert load_newest(tmp_path).number == 1
    assert save_agent(tmp_path, WHOLE).number == 2


def test_other_files_in_the_folder_do_not_matter(tmp_path):
    save_agent(tmp_path, WHOLE)
    (tmp_path / "notes.json").write_text("{}")
    assert load_newest(tmp_path).number == 1


def test_the_card_is_written_last(tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr("costal.labels.models.write_atomically", lambda path, content: written.append(path.name))
    save_agent(tmp_path, WHOLE)
    assert written == ["0001.safetensors", "0001.json"]


class Bomb:
    """A pickle that leaves a file when it is loaded."""

    def __init__(self, trace):
        self._trace = trace

    def __reduce__(self):
        return open, (str(self._trace), "w")


def test_a_pickle_posing_as_a_model_is_refused_and_not_run(tmp_path):
    save_agent(tmp_path, WHOLE)
    trace = tmp_path / "it ran"
    (tmp_path / "0001.safetensors").write_bytes(pickle.dumps(Bomb(trace)))
    with pytest.raises(ProjectError, match=r"is not a safetensors file .* a pickle can run code"):
        load_newest(tmp_path)
    assert not trace.exists()
    pickle.loads((tmp_path / "0001.safetensors").read_bytes()).close()
    assert trace.exists()  # the bomb was live


@pytest.mark.parametrize(
    "damage",
    [lambda content: b"", lambda content: content[:-3], lambda content: content[:5], lambda content: content + b"x"],
    ids=["empty", "cut short", "cut in the header", "too long"],
)
def test_a_damaged_model_is_refused(tmp_path, damage):
    save_agent(tmp_path, WHOLE)
    path = tmp_path / "0001.safetensors"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ProjectError, match="is not a safetensors file"):
        load_newest(tmp_path)


@pytest.mark.parametrize(
    "tensors",
    [
        {"classifier.hidden.weight": np.zeros((5, 4), np.float32), "classifier.output.bias": np.zeros(2, np.float32)},
        {"classifier.hidden.weight": np.zeros((3, 4), np.float32)},
    ],
    ids=["another shape", "one missing"],
)
def test_a_model_that_does_not_fit_its_card_is_refused_by_name(tmp_path, tensors):
    save_agent(tmp_path, replace(WHOLE, cost_model=None))
    (tmp_path / "0001.safetensors").write_bytes(save(tensors))
    with pytest.raises(ProjectError, match=r"does not fit its card: classifier\.\S+ has shape .* labels are untouched"):
        load_newest(tmp_path)


def test_a_card_without_its_model_is_refused(tmp_path):
    save_agent(tmp_path, WHOLE)
    (tmp_path / "0001.safetensors").unlink()
    with pytest.raises(ProjectError, match=r"0001.safetensors is missing. Delete its card"):
        load_newest(tmp_path)


def test_a_missing_card_is_refused(tmp_path):
    with pytest.raises(ProjectError, match=r"0007\.json cannot be read: No such file"):
        load_generation(tmp_path, 7)


@pytest.mark.parametrize("content", ["", "[]", "{}", "not json", '{"format": "one"}', '{"format": 1}'])
def test_a_card_that_is_none_is_refused(tmp_path, content):
    save_agent(tmp_path, WHOLE)
    (tmp_path / "0001.json").write_text(content)
    with pytest.raises(ProjectError, match="is not a model card"):
        load_newest(tmp_path)


@pytest.mark.parametrize("key", ["settings", "crop_shape", "label_count", "effort_count", "annotators", "shapes"])
def test_a_card_that_lacks_an_entry_is_refused(tmp_path, key):
    save_agent(tmp_path, WHOLE)
    card = json.loads((tmp_path / "0001.json").read_text("utf-8"))
    del card[key]
    (tmp_path / "0001.json").write_text(json.dumps(card))
    with pytest.raises(ProjectError, match=f"is not a model card .*{key}"):
        load_newest(tmp_path)


def test_a_card_of_a_newer_format_is_refused(tmp_path):
    save_agent(tmp_path, WHOLE)
    card = json.loads((tmp_path / "0001.json").read_text("utf-8"))
    (tmp_path / "0001.json").write_text(json.dumps(card | {"format": 99}))
    with pytest.raises(ProjectError, match=r"written by a newer version. Update"):
        load_newest(tmp_path)
