import hashlib
import json
import pickle
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load_file, save

from costal.errors import ProjectError
from costal.labels.models import (
    Provenance,
    kept_versions,
    load_newest,
    load_version,
    newest_provenance,
    roll_back,
    save_agent,
)
from costal.types import Agent, AgentSettings, CostModel, Training

RNG = np.random.default_rng(0)
CLASSIFIER = {
    "hidden.weight": RNG.random((3, 4), dtype=np.float32),
    "output.bias": np.array([1e-38, -0.0], dtype=np.float32),
}
COST = {"network.hidden.weight": RNG.random((2, 2), dtype=np.float32), "log_spread": np.array(0.5, dtype=np.float32)}
SETTINGS = AgentSettings(
    2,
    Training(1e-2, 8, 10, 2, True, True),
    acquisition="bald",
    alpha=2.0,
    beta=0.1,
    passes=7,
    n=3,
    acquisition_cost_K=(0.5, 1.5),
)
WHOLE = Agent(SETTINGS, (1, 8, 8), (CLASSIFIER,), CostModel(COST, ("ada", "bob"), 12), 20, ("a note with β",))
ENSEMBLE = replace(
    WHOLE,
    settings=replace(
        SETTINGS,
        members=12,
        training=replace(SETTINGS.training, schedule="one_cycle", precision="bfloat16"),
        cost_likelihood="least_squares",
    ),
    classifier=tuple({name: array + place for name, array in CLASSIFIER.items()} for place in range(12)),
    cost_model=CostModel(COST, ("ada", "bob"), 12, "least_squares"),
)


def assert_equal_weights(first, second):
    assert first.keys() == second.keys()
    for name in first:
        np.testing.assert_array_equal(first[name], second[name])
        assert first[name].dtype == second[name].dtype


@pytest.mark.parametrize(
    "agent",
    [WHOLE, replace(WHOLE, cost_model=None), replace(WHOLE, classifier=()), ENSEMBLE, replace(ENSEMBLE, classifier=())],
    ids=["both models", "no cost model", "no classifier", "an ensemble of 12", "an ensemble without a classifier yet"],
)
def test_an_agent_comes_back_as_it_was_saved(tmp_path, agent):
    assert save_agent(tmp_path / "models", agent).number == 1
    back = load_newest(tmp_path / "models").agent
    for found, saved in zip(back.classifier, agent.classifier, strict=True):
        assert_equal_weights(found, saved)
    if agent.cost_model is None:
        assert back.cost_model is None
    else:
        assert_equal_weights(back.cost_model.weights, agent.cost_model.weights)
        assert replace(back.cost_model, weights={}) == replace(agent.cost_model, weights={})
    bare = {"classifier": (), "cost_model": None}
    assert replace(back, **bare) == replace(agent, **bare)


def test_the_arrays_of_the_first_member_are_named_as_before_there_were_ensembles(tmp_path):
    save_agent(tmp_path, replace(ENSEMBLE, classifier=ENSEMBLE.classifier[:2]))
    found = load_file(tmp_path / "0001.safetensors")
    assert sorted(found) == [
        "classifier.hidden.weight",
        "classifier.output.bias",
        "classifier1.hidden.weight",
        "classifier1.output.bias",
        "cost.log_spread",
        "cost.network.hidden.weight",
    ]


@pytest.mark.parametrize("members", [1, 5])
def test_all_networks_of_a_file_come_back_whatever_number_the_settings_ask_for(tmp_path, members):
    asked = replace(ENSEMBLE, settings=replace(ENSEMBLE.settings, members=members), classifier=ENSEMBLE.classifier[:3])
    save_agent(tmp_path, asked)
    back = load_newest(tmp_path).agent
    assert back.settings.members == members
    for found, saved in zip(back.classifier, asked.classifier, strict=True):
        assert_equal_weights(found, saved)


def test_generations_count_up_and_the_newest_wins(tmp_path):
    numbers = [save_agent(tmp_path, replace(WHOLE, label_count=count)).number for count in range(1, 12)]
    assert numbers == list(range(1, 12))
    newest = load_newest(tmp_path)
    assert (newest.number, newest.agent.label_count) == (11, 11)
    assert load_version(tmp_path, 2).agent.label_count == 2


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


def test_a_model_that_another_wrote_over_is_refused(tmp_path):
    save_agent(tmp_path, replace(WHOLE, cost_model=None))
    others = {f"classifier.{name}": array + 1 for name, array in CLASSIFIER.items()}
    (tmp_path / "0001.safetensors").write_bytes(save(others))
    with pytest.raises(ProjectError, match=r"was changed after it was saved: it does not fit its card"):
        load_newest(tmp_path)


def test_a_card_without_its_model_is_refused(tmp_path):
    save_agent(tmp_path, WHOLE)
    (tmp_path / "0001.safetensors").unlink()
    with pytest.raises(ProjectError, match=r"0001.safetensors is missing. Delete its card"):
        load_newest(tmp_path)


def test_a_missing_card_is_refused(tmp_path):
    with pytest.raises(ProjectError, match=r"0007\.json cannot be read: No such file"):
        load_version(tmp_path, 7)


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


# where a model comes from

PROVENANCE = Provenance((3, 5, 8), 2**40, {"control accuracy": 0.9, "expert minutes": 12.5})


def test_a_model_tells_what_it_was_trained_on_and_how(tmp_path):
    saved = save_agent(tmp_path, WHOLE, PROVENANCE)
    assert replace(saved.provenance, utc_ns=0) == PROVENANCE
    assert load_newest(tmp_path).provenance == newest_provenance(tmp_path) == saved.provenance
    assert saved.provenance.utc_ns > 1_700_000_000 * 10**9


def test_a_model_is_known_by_the_hash_of_its_file(tmp_path):
    first, same, other = (save_agent(tmp_path, agent) for agent in (WHOLE, WHOLE, replace(WHOLE, cost_model=None)))
    assert first.model_hash == hashlib.sha256((tmp_path / "0001.safetensors").read_bytes()).hexdigest()
    assert load_version(tmp_path, 1).model_hash == first.model_hash == same.model_hash != other.model_hash


@pytest.mark.parametrize(
    ("standing", "is_stale"),
    [
        pytest.param((3, 5, 8), False, id="the very labels"),
        pytest.param((1, 3, 5, 8, 13), False, id="labels were added"),
        pytest.param((3, 8), True, id="a label was undone"),
        pytest.param((3, 8, 9), True, id="a crop was labelled anew"),
        pytest.param((), True, id="all are gone"),
    ],
)
def test_a_model_is_stale_when_a_label_it_learned_from_is_gone(standing, is_stale):
    assert PROVENANCE.is_stale(standing) is is_stale


def test_a_model_that_learned_from_no_label_is_never_stale():
    assert not Provenance().is_stale(())


def test_a_folder_without_models_has_no_origin(tmp_path):
    assert newest_provenance(tmp_path) is None


def as_version_1(path):
    """Rewrite a card as version 1 wrote it: without origin and hash, its settings without what came later."""
    card = json.loads(path.read_text("utf-8"))
    for key in ("origin", "model_hash", "software"):
        del card[key]
    for key in ("diverse", "control_share", "budget"):
        del card["settings"][key]
    path.write_text(json.dumps(card | {"format": 1}))
    as_before_ensembles(path)


def as_before_ensembles(path):
    card = json.loads(path.read_text("utf-8"))
    del card["settings"]["members"], card["settings"]["cost_likelihood"]
    del card["settings"]["training"]["schedule"], card["settings"]["training"]["precision"]
    path.write_text(json.dumps(card))


def test_a_card_from_before_there_were_ensembles_still_loads(tmp_path):
    save_agent(tmp_path, WHOLE, PROVENANCE)
    as_before_ensembles(tmp_path / "0001.json")
    found = load_newest(tmp_path).agent
    assert found.settings == SETTINGS
    assert (found.settings.members, found.settings.cost_likelihood) == (1, "log_normal")
    assert found.cost_model.likelihood == "log_normal"
    (weights,) = found.classifier
    assert_equal_weights(weights, CLASSIFIER)


def test_a_card_of_format_1_still_loads(tmp_path):
    save_agent(tmp_path, WHOLE, PROVENANCE)
    as_version_1(tmp_path / "0001.json")
    found = load_newest(tmp_path)
    assert (found.provenance, found.model_hash) == (Provenance(), "")
    assert found.agent.settings == SETTINGS
    assert newest_provenance(tmp_path) == Provenance()
    assert roll_back(tmp_path, 1).number == 2


@pytest.mark.parametrize("provenance", [3, [1], {"mood": "good"}, {"label_ids": 3}])
def test_a_card_whose_provenance_is_none_is_refused(tmp_path, provenance):
    save_agent(tmp_path, WHOLE)
    card = json.loads((tmp_path / "0001.json").read_text("utf-8"))
    (tmp_path / "0001.json").write_text(json.dumps(card | {"origin": provenance}))
    for read in (load_newest, newest_provenance):
        with pytest.raises(ProjectError, match="is not a model card"):
            read(tmp_path)


# generations kept, and rolled back to


def test_rolling_back_saves_an_older_generation_again_as_the_newest(tmp_path):
    first = save_agent(tmp_path, WHOLE, PROVENANCE)
    save_agent(tmp_path, replace(WHOLE, label_count=99, cost_model=None))
    again = roll_back(tmp_path, 1)
    newest = load_newest(tmp_path)
    assert again.number == newest.number == 3
    assert again.provenance == newest.provenance == newest_provenance(tmp_path)
    assert replace(again.provenance, utc_ns=0) == replace(PROVENANCE, copy_of=1)
    assert again.model_hash == newest.model_hash == first.model_hash
    assert newest.agent.label_count == WHOLE.label_count
    assert_equal_weights(newest.agent.classifier[0], CLASSIFIER)
    assert_equal_weights(newest.agent.cost_model.weights, WHOLE.cost_model.weights)
    assert load_version(tmp_path, 2).agent.label_count == 99


@pytest.mark.parametrize(("saved", "kept"), [(0, "none"), (2, "1, 2")])
def test_rolling_back_to_a_model_that_is_not_there_names_those_that_are(tmp_path, saved, kept):
    for _ in range(saved):
        save_agent(tmp_path, WHOLE)
    with pytest.raises(ProjectError, match=f"There is no model 7 in .* kept: {kept}"):
        roll_back(tmp_path, 7)
    assert len(kept_versions(tmp_path)) == saved


@pytest.mark.parametrize(("keep", "numbers"), [(None, [1, 2, 3, 4, 5]), (2, [4, 5]), (1, [5]), (9, [1, 2, 3, 4, 5])])
def test_the_newest_generations_are_kept_and_no_file_of_the_others(tmp_path, keep, numbers):
    for _ in range(5):
        save_agent(tmp_path, WHOLE, keep=keep)
    assert [each.number for each in kept_versions(tmp_path)] == numbers[::-1]
    names = {f"{number:04}.{suffix}" for number in numbers for suffix in ("json", "safetensors")}
    assert {each.name for each in tmp_path.iterdir()} == names


def test_numbers_are_not_given_again_to_new_models_after_old_ones_are_dropped(tmp_path):
    assert [save_agent(tmp_path, WHOLE, keep=1).number for _ in range(3)] == [1, 2, 3]


def test_a_generation_that_cannot_be_read_is_left_out_of_those_kept(tmp_path):
    for _ in range(3):
        save_agent(tmp_path, WHOLE)
    (tmp_path / "0002.safetensors").write_bytes(b"")
    assert [each.number for each in kept_versions(tmp_path)] == [3, 1]


def test_a_card_tells_the_pixel_sizes_that_were_learned_at(tmp_path):
    save_agent(tmp_path, WHOLE, Provenance(pixel_um=(0.1, 0.25)))
    assert json.loads((tmp_path / "0001.json").read_text("utf-8"))["pixel_um"] == [0.1, 0.25]
    assert load_newest(tmp_path).provenance.pixel_um == newest_provenance(tmp_path).pixel_um == (0.1, 0.25)
    assert roll_back(tmp_path, 1).provenance.pixel_um == (0.1, 0.25)
    assert "pixel_um" not in json.loads((tmp_path / "0001.json").read_text("utf-8"))["origin"]


def test_a_card_of_an_older_version_knows_no_pixel_size(tmp_path):
    save_agent(tmp_path, WHOLE, Provenance((1, 2), pixel_um=(0.1,)))
    card = json.loads((tmp_path / "0001.json").read_text("utf-8"))
    del card["pixel_um"]
    (tmp_path / "0001.json").write_text(json.dumps(card), "utf-8")
    assert (load_newest(tmp_path).provenance.pixel_um, newest_provenance(tmp_path).label_ids) == ((), (1, 2))
