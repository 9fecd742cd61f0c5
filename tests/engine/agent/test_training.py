import gc
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from costal.agent.classifier import class_weights, classifier_tasks, classify, reason_no_classifier, train_classifiers
from costal.agent.cost import cost_task, train_cost_models
from costal.agent.networks import HIDDEN, Network, feature_count, initialise
from costal.agent.training import PROGRESS_EVERY, TrainingTask, fit, step_count, turned
from costal.errors import AgentError
from costal.loop import learn, new_agent
from costal.types import Agent, AgentSettings, Answer, Training, finish

SHAPE = (1, 8, 8)
QUICK = Training(min_steps=4, epochs=1, batch=8)
SETTINGS = AgentSettings(2, training=QUICK)
ONE_STEP = Training(min_steps=1, epochs=0, learning_rate=1.0, batch=1000)


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


def lessons_of(seed=0, settings=SETTINGS, before=(), answers=None):
    return classifier_tasks(Agent(settings, SHAPE, before), answers or answers_of(), seed)


def train(seed=0, settings=SETTINGS, before=(), answers=None):
    tasks = lessons_of(seed, settings, before, answers)
    return finish(train_classifiers(tasks, settings.training, "cpu"))[0]


def train_cost(seed=0):
    return finish(train_cost_models([cost_task(Agent(SETTINGS, SHAPE), answers_of(), seed)], QUICK, "cpu"))[0]


class Echo(nn.Module):
    """A module to which plain descent with a rate of 1 brings, negated, the sum of what it was given."""

    def __init__(self, shape, batch, count):
        super().__init__()
        self.inputs = nn.Parameter(torch.zeros(batch, *shape))
        self.feature_mask = nn.Parameter(torch.zeros(batch, feature_count(shape[-1])))
        self.hidden_mask = nn.Parameter(torch.zeros(batch, HIDDEN))
        self.times_seen = nn.Parameter(torch.zeros(count))

    def forward(self, inputs, feature_mask, hidden_mask, row_B):
        given = inputs, feature_mask, hidden_mask
        own = self.inputs, self.feature_mask, self.hidden_mask
        return (
            sum((mine * theirs).sum() for mine, theirs in zip(own, given, strict=True)) + self.times_seen[row_B].sum()
        )

    def given(self):
        return {name: -each.detach().numpy() for name, each in self.named_parameters()}


@pytest.fixture
def plain_descent(monkeypatch):
    monkeypatch.setattr(torch.optim, "Adam", lambda groups, fused: torch.optim.SGD(groups))


def echo_of(crops, training, seed=0):
    count = len(crops)
    module = Echo(crops.shape[1:], min(training.batch, count), count)
    return TrainingTask(module, crops, (torch.arange(count),), seed)


def echoed(tasks, training):
    """Return what each lesson's module was given in training, by name."""
    finish(fit(tasks, training, "cpu", "Training"))
    return [task.module.given() for task in tasks]


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
    agent = finish(learn(new_agent(settings, SHAPE), answers_of(), 0, "cpu"))
    unseen = answers_of(seed=9)
    probs_N_K = finish(classify(agent, np.stack([each.crop_C_H_W for each in unseen]), "cpu"))
    assert probs_N_K.argmax(1).tolist() == [each.class_index for each in unseen]


def test_a_loss_that_is_not_a_number_stops_training_with_a_remedy():
    broken = answers_of()
    broken[3] = replace(broken[3], crop_C_H_W=np.full((1, 8, 8), np.nan, dtype=np.float32))
    with pytest.raises(AgentError, match=r"Training the classifier diverged at step .* learning rate below 0.001"):
        train(answers=broken)


def test_the_old_agent_is_as_good_as_before_when_training_diverges():
    agent = finish(learn(new_agent(SETTINGS, SHAPE), answers_of(), 0, "cpu"))
    before = {name: array.copy() for name, array in agent.classifier[0].items()}
    broken = [replace(each, crop_C_H_W=each.crop_C_H_W * np.inf) for each in answers_of()]
    with pytest.raises(AgentError, match="diverged"):
        finish(learn(agent, broken, 1, "cpu"))
    assert_equal_weights(agent.classifier[0], before)


def test_a_crop_is_turned_by_one_of_its_eight_turns_and_flips():
    crop = np.random.default_rng(0).random((2, 5, 5), dtype=np.float32)
    quarters = [np.rot90(crop, turn, (1, 2)) for turn in range(4)]
    images = [*quarters, *(each[:, :, ::-1] for each in quarters)]
    assert len({each.tobytes() for each in images}) == 8
    turns = torch.tensor([7, 0, 3, 4, 6, 1, 5, 2])
    found = turned(torch.from_numpy(crop).expand(8, -1, -1, -1), turns).numpy()
    np.testing.assert_array_equal(found, [images[turn] for turn in turns])


def test_augmented_training_shows_each_turn_and_flip_about_alike(plain_descent):
    crop = np.random.default_rng(0).random((2, 8, 8), dtype=np.float32)
    quarters = [np.rot90(crop, turn, (1, 2)) for turn in range(4)]
    images = [each.tobytes() for each in (*quarters, *(each[:, :, ::-1] for each in quarters))]
    training = replace(ONE_STEP, augment=True)
    (given,) = echoed([echo_of(np.stack([crop] * 400), training)], training)
    counts = [sum(each.tobytes() == image for each in given["inputs"]) for image in images]
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


@pytest.mark.parametrize(
    ("classes", "reason"),
    [
        ([], "so far there are 0 labels of 0 classes"),
        ([1], "so far there is 1 label of 1 class"),
        ([1, 1, 1], "so far there are 3 labels of 1 class"),
    ],
)
def test_fewer_than_two_classes_are_refused_with_the_reason(classes, reason):
    assert reason in reason_no_classifier(classes)
    with pytest.raises(AgentError, match=reason):
        train(answers=[replace(answers_of(1)[0], class_index=each) for each in [*classes, None]])


def test_two_classes_are_not_refused():
    assert reason_no_classifier([0, 3]) == ""


def test_a_skipped_crop_does_not_teach_the_classifier():
    skipped = replace(answers_of()[0], class_index=None)
    assert_equal_weights(train(answers=[*answers_of(), skipped]), train())


def test_closing_the_job_cancels_it():
    job = train_classifiers(lessons_of(), Training(min_steps=10_000), "cpu")
    assert next(job).total == 10_000
    job.close()
    with pytest.raises(StopIteration):
        next(job)


def test_progress_rises_to_the_number_of_steps():
    told = list(train_classifiers(lessons_of(), Training(min_steps=25, epochs=1), "cpu"))
    assert [each.done for each in told] == sorted(each.done for each in told)
    assert {each.total for each in told} == {25}
    assert told[-1].done == 24


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


@pytest.mark.parametrize("steps", range(1, 9))
def test_every_crop_is_seen_once_before_any_is_seen_twice(plain_descent, steps):
    crops = np.zeros((10, *SHAPE), np.float32)
    training = replace(ONE_STEP, min_steps=steps, batch=4)
    (given,) = echoed([echo_of(crops, training)], training)
    assert given["times_seen"].sum() == 4 * steps
    assert np.ptp(given["times_seen"]) == (4 * steps % 10 > 0)


def test_a_crop_comes_with_its_own_targets(plain_descent):
    crops = np.random.default_rng(0).random((10, *SHAPE), dtype=np.float32)
    training = replace(ONE_STEP, batch=1)
    (given,) = echoed([echo_of(crops, training)], training)
    (row,) = given["times_seen"].nonzero()[0]
    np.testing.assert_array_equal(given["inputs"][0], crops[row])


def test_training_drops_for_each_crop_on_its_own(plain_descent):
    crops = np.ones((400, *SHAPE), np.float32)
    (given,) = echoed([echo_of(crops, ONE_STEP)], ONE_STEP)
    assert np.unique(given["feature_mask"]).tolist() == pytest.approx([0, 4 / 3])
    assert np.unique(given["hidden_mask"]).tolist() == pytest.approx([0, 2])
    assert len({row.tobytes() for row in given["feature_mask"]}) > 390
    assert len({row.tobytes() for row in given["hidden_mask"]}) == 400
    network = Network(SHAPE, 3)
    initialise(network, torch.Generator().manual_seed(0))
    masks = (torch.from_numpy(given[name]) for name in ("feature_mask", "hidden_mask"))
    outputs = network.head(network.trunk(torch.from_numpy(crops)), *masks)
    torch.testing.assert_close(outputs.mean(0), network(torch.from_numpy(crops))[0], rtol=0.2, atol=0.05)


def test_every_step_drops_anew(plain_descent):
    steps = 2 * PROGRESS_EVERY + 3
    training = replace(ONE_STEP, min_steps=steps)
    (given,) = echoed([echo_of(np.zeros((20, *SHAPE), np.float32), training)], training)
    kept = given["hidden_mask"].ravel() / 2
    assert kept.mean() == pytest.approx(steps / 2, rel=0.05)
    assert kept.var() == pytest.approx(steps / 4, rel=0.15)


@pytest.mark.parametrize("place", range(3))
def test_what_a_member_is_shown_does_not_depend_on_its_company(plain_descent, place):
    training = replace(ONE_STEP, min_steps=13, batch=4, augment=True)
    rng = np.random.default_rng(0)
    own, *others = (rng.random((10, *SHAPE), dtype=np.float32) for _ in range(3))
    (alone,) = echoed([echo_of(own, training, seed=5)], training)
    stack = [echo_of(each, training, seed) for seed, each in enumerate(others)]
    stack.insert(place, echo_of(own, training, seed=5))
    assert_equal_weights(echoed(stack, training)[place], alone)


def test_members_with_other_seeds_are_shown_other_batches_masks_and_turns(plain_descent):
    training = replace(ONE_STEP, batch=10, augment=True)
    crops = np.random.default_rng(0).random((40, *SHAPE), dtype=np.float32)
    first, again, other = echoed([echo_of(crops, training, seed) for seed in (1, 1, 2)], training)
    assert_equal_weights(first, again)
    assert all((first[name] != other[name]).any() for name in first)


# the learning rate


class Watched(torch.optim.SGD):
    """Plain descent that notes the learning rate of every parameter, group by group, in every step."""

    rates: list[list[float]]

    def step(self, *of):
        self.rates.append([group["lr"] for group in self.param_groups for _ in group["params"]])
        return super().step(*of)


@pytest.fixture
def rates(monkeypatch):
    noted = []
    monkeypatch.setattr(Watched, "rates", noted, raising=False)
    monkeypatch.setattr(torch.optim, "Adam", lambda groups, fused: Watched(groups))
    return noted


def test_one_cycle_raises_the_rate_to_the_learning_rate_and_ends_near_zero(rates):
    training = Training(learning_rate=1e-3, min_steps=100, epochs=0, schedule="one_cycle")
    finish(train_classifiers(lessons_of(), training, "cpu"))
    (rate,) = {tuple(column) for column in zip(*rates, strict=True)}
    assert len(rate) == 100
    peak = int(np.argmax(rate))
    assert rate[peak] == pytest.approx(1e-3, rel=0.01)
    assert rate[0] < 0.1 * rate[peak]
    assert 0 < rate[-1] < 0.001 * rate[peak]
    assert 20 < peak < 40
    assert (np.diff(rate[: peak + 1]) > 0).all()
    assert (np.diff(rate[peak:]) < 0).all()


def test_a_constant_rate_is_the_learning_rate_in_every_step(rates):
    finish(train_classifiers(lessons_of(), replace(QUICK, min_steps=20), "cpu"))
    np.testing.assert_allclose(rates, 1e-3)


@pytest.mark.parametrize("schedule", ["constant", "one_cycle"])
def test_the_terms_of_the_cost_model_move_at_ten_times_the_rate(rates, schedule):
    training = replace(QUICK, min_steps=30, schedule=schedule)
    task = cost_task(Agent(SETTINGS, SHAPE), answers_of(), 0)
    finish(train_cost_models([task], training, "cpu"))
    names = [name for name, _ in task.module.named_parameters()]
    factor = [10 if name in ("log_spread", "annotator_A", "practice") else 1 for name in names]
    assert factor.count(10) == 3
    factor = sorted(factor, key=factor.index)  # parameters of one rate are one group
    rate_S_P = np.array(rates)
    np.testing.assert_allclose(rate_S_P, rate_S_P[:, [factor.index(1)]] * factor)


@pytest.mark.parametrize("steps", [1, 2, 3, 7])
def test_one_cycle_fits_the_shortest_trainings(steps):
    training = Training(min_steps=steps, epochs=0, schedule="one_cycle")
    assert len(list(train_classifiers(lessons_of(), training, "cpu"))) == 1 + (steps > 1)


# precision


def test_training_in_bfloat16_learns_the_same_and_keeps_weights_in_float32():
    training = Training(min_steps=30, epochs=0, batch=8, learning_rate=3e-3)
    unseen = answers_of(seed=9)
    found = []
    for precision in ("float32", "bfloat16"):
        settings = replace(SETTINGS, training=replace(training, precision=precision))
        agent = finish(
            learn(new_agent(settings, SHAPE), [replace(each, effort=None) for each in answers_of()], 0, "cpu")
        )
        probs_N_K = finish(classify(agent, np.stack([each.crop_C_H_W for each in unseen]), "cpu"))
        assert probs_N_K.dtype == np.float32
        assert probs_N_K.argmax(1).tolist() == [each.class_index for each in unseen]
        found.append(agent.classifier[0])
    exact, rounded = found
    assert all(rounded[name].dtype == np.float32 for name in rounded)
    assert 0 < abs(exact["hidden.weight"] - rounded["hidden.weight"]).max() < 0.1


def test_precision_is_put_back_between_steps_and_after_training():
    job = train_classifiers(lessons_of(), replace(QUICK, precision="bfloat16"), "cpu")
    assert [torch.is_autocast_enabled("cpu") for _ in job] == [False, False]
    assert not torch.is_autocast_enabled("cpu")
    broken = [replace(each, crop_C_H_W=each.crop_C_H_W * np.nan) for each in answers_of()]
    with pytest.raises(AgentError, match="diverged"):
        finish(train_classifiers(lessons_of(answers=broken), replace(QUICK, precision="bfloat16"), "cpu"))
    assert not torch.is_autocast_enabled("cpu")


def tensors_alive():
    gc.collect()
    return sum(isinstance(each, torch.Tensor) for each in gc.get_objects())


@pytest.mark.filterwarnings("ignore::FutureWarning")  # of things in torch that are looked at in passing
def test_training_leaves_no_tensor_behind():
    train()
    before = tensors_alive()
    train()
    assert tensors_alive() == before
