from dataclasses import replace

import numpy as np
import pytest
import torch

from costal.agent.classifier import class_weights, classify, train_classifier, why_refused
from costal.agent.cost import train_cost_model
from costal.agent.networks import Network, initialise
from costal.agent.training import augmented, fit, step_count, train_outputs
from costal.errors import AgentError
from costal.loop import learn, new_agent
from costal.types import AgentSettings, Answer, Training, finish

QUICK = Training(min_steps=4, epochs=1, batch=8)
SETTINGS = AgentSettings(2, training=QUICK)


def answers_of(count=12, side=8, classes=2, seed=0):
    rng = np.random.default_rng(seed)
    return [
        Answer(rng.random((1, side, side), dtype=np.float32) + index % classes, index % classes, 1.0 + index)
        for index in range(count)
    ]


def assert_equal_weights(first, second):
    assert first.keys() == second.keys()
    for name in first:
        np.testing.assert_array_equal(first[name], second[name])


def train(seed=0, settings=SETTINGS, before=None, answers=None):
    return finish(train_classifier(answers or answers_of(), settings, before, seed, "cpu"))


def train_cost(seed=0):
    return finish(train_cost_model(answers_of(), SETTINGS, seed, "cpu")).weights


@pytest.mark.parametrize("trained", [train, train_cost], ids=["classifier", "cost model"])
def test_training_follows_its_seed_and_not_the_global_generator(trained):
    torch.manual_seed(1)
    first = trained(5)
    torch.manual_seed(2)
    assert_equal_weights(first, trained(5))
    other = trained(6)
    assert any((first[name] != other[name]).any() for name in first)


def test_augmented_training_follows_its_seed():
    settings = replace(SETTINGS, training=replace(QUICK, augment=True))
    assert_equal_weights(train(3, settings), train(3, settings))
    assert (train(3, settings)["hidden.weight"] != train(3)["hidden.weight"]).any()


def test_training_learns_what_is_there_to_learn():
    settings = AgentSettings(2, training=Training(min_steps=80, epochs=1, batch=8))
    agent = finish(learn(new_agent(settings, (1, 8, 8)), answers_of(), 0, "cpu"))
    unseen = answers_of(seed=9)
    probs_N_K = finish(classify(agent, np.stack([each.crop_C_H_W for each in unseen]), "cpu"))
    assert probs_N_K.argmax(1).tolist() == [each.class_index for each in unseen]


def test_a_loss_that_is_not_a_number_stops_training_with_a_remedy():
    broken = answers_of()
    broken[3] = replace(broken[3], crop_C_H_W=np.full((1, 8, 8), np.nan, dtype=np.float32))
    with pytest.raises(AgentError, match=r"Training the classifier diverged at step .* learning rate below 0.001"):
        train(answers=broken)


def test_the_old_agent_is_as_good_as_before_when_training_diverges():
    agent = finish(learn(new_agent(SETTINGS, (1, 8, 8)), answers_of(), 0, "cpu"))
    before = {name: array.copy() for name, array in agent.classifier.items()}
    broken = [replace(each, crop_C_H_W=each.crop_C_H_W * np.inf) for each in answers_of()]
    with pytest.raises(AgentError, match="diverged"):
        finish(learn(agent, broken, 1, "cpu"))
    assert_equal_weights(agent.classifier, before)


def test_an_augmented_crop_is_one_of_its_eight_turns_and_flips_and_all_occur():
    crop = np.random.default_rng(0).random((2, 5, 5), dtype=np.float32)
    turned = [np.rot90(crop, turn, (1, 2)) for turn in range(4)]
    images = [each.tobytes() for each in turned] + [each[:, :, ::-1].tobytes() for each in turned]
    assert len(set(images)) == 8
    many = augmented(torch.from_numpy(crop).expand(400, -1, -1, -1), torch.Generator().manual_seed(0)).numpy()
    counts = [sum(each.tobytes() == image for each in many) for image in images]
    assert sum(counts) == 400
    assert min(counts) > 50 - 4 * np.sqrt(400 * 7 / 64)


def test_class_weights_make_each_labelled_class_count_alike():
    weights = class_weights([0, 0, 0, 2], 4)
    np.testing.assert_allclose(weights.numpy(), [4 / 6, 0, 2, 0])


def test_class_weights_change_what_is_learned_only_where_classes_are_unbalanced():
    weighted = replace(SETTINGS, training=replace(QUICK, class_weights=True))
    assert_equal_weights(train(0, weighted), train(0))
    unbalanced = [answer for answer in answers_of() if answer.class_index or answer.effort < 6]
    assert (
        train(0, weighted, answers=unbalanced)["output.weight"] != train(0, answers=unbalanced)["output.weight"]
    ).any()


@pytest.mark.parametrize("warm", [True, False])
def test_a_warm_start_begins_from_the_old_weights_and_a_cold_one_does_not(warm):
    before = train(1)
    still = replace(SETTINGS, training=replace(QUICK, learning_rate=0.0, warm=warm))
    after = train(2, still, before)
    assert all((after[name] == before[name]).all() for name in before if name.endswith("weight")) is warm


@pytest.mark.parametrize(
    ("classes", "reason"),
    [
        ([], "so far there are 0 labels of 0 classes"),
        ([1], "so far there is 1 label of 1 class"),
        ([1, 1, 1], "so far there are 3 labels of 1 class"),
    ],
)
def test_fewer_than_two_classes_are_refused_with_the_reason(classes, reason):
    assert reason in why_refused(classes)
    with pytest.raises(AgentError, match=reason):
        train(answers=[replace(answers_of(1)[0], class_index=each) for each in [*classes, None]])


def test_two_classes_are_not_refused():
    assert why_refused([0, 3]) == ""


def test_a_skipped_crop_does_not_teach_the_classifier():
    skipped = replace(answers_of()[0], class_index=None)
    assert_equal_weights(train(answers=[*answers_of(), skipped]), train())


def test_closing_the_job_cancels_it():
    long = replace(SETTINGS, training=Training(min_steps=1_000_000))
    job = train_classifier(answers_of(), long, None, 0, "cpu")
    assert next(job).total == 1_000_000
    job.close()
    with pytest.raises(StopIteration):
        next(job)


def test_progress_rises_to_the_number_of_steps():
    job = train_classifier(answers_of(), replace(SETTINGS, training=Training(min_steps=25, epochs=1)), None, 0, "cpu")
    told = list(job)
    assert [each.done for each in told] == sorted(each.done for each in told)
    assert {each.total for each in told} == {25}
    assert told[-1].done <= 25


@pytest.mark.parametrize(
    ("crops", "training", "steps"),
    [
        pytest.param(20, Training(), 150, id="few crops: the least number of steps"),
        pytest.param(320, Training(), 300, id="many crops: 30 epochs of 10 batches"),
        pytest.param(16, Training(min_steps=0, epochs=3, batch=32), 3, id="a batch is never larger than all crops"),
    ],
)
def test_steps_are_the_larger_of_the_minimum_and_the_epochs(crops, training, steps):
    assert step_count(crops, training) == steps


def test_every_crop_is_seen_once_before_any_is_seen_twice():
    crops = np.random.default_rng(0).random((10, 1, 8, 8), dtype=np.float32)
    network, seen = Network((1, 8, 8), 1), []

    def loss(outputs, rows):
        seen.extend(rows.tolist())
        return outputs.square().mean()

    training = Training(min_steps=5, epochs=1, batch=4)
    finish(fit(network, list(network.parameters()), crops, loss, training, 0, "cpu", "Training"))
    assert len(seen) == 20
    assert sorted(seen[:10]) == sorted(seen[10:]) == list(range(10))


def test_training_drops_for_each_crop_on_its_own():
    network = Network((1, 8, 8), 3)
    initialise(network, torch.Generator().manual_seed(0))
    crops = torch.ones(6, 1, 8, 8)
    outputs = train_outputs(network, crops, torch.Generator().manual_seed(0), "cpu")
    assert len({tuple(row) for row in outputs.tolist()}) == 6
    mean = torch.stack(
        [train_outputs(network, crops, torch.Generator().manual_seed(seed), "cpu").mean(0) for seed in range(400)]
    ).mean(0)
    torch.testing.assert_close(mean, network(crops)[0], rtol=0.2, atol=0.05)
