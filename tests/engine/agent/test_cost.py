import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import stats
from torch.func import grad, vmap

from costal.agent import cost as cost_module
from costal.agent import devices
from costal.agent.cost import (
    FEWEST_EFFORTS,
    LEAST_SPREAD,
    CostNetwork,
    censored_nll,
    predict_cost,
    reason_uniform_cost,
)
from costal.agent.metrics import cost_rank_correlation
from costal.agent.networks import to_weights
from costal.agent.value import COST_FLOOR
from costal.errors import AgentError
from costal.loop import choose, learn, new_agent
from costal.types import AgentSettings, Answer, CostModel, Pool, Scores, Training, finish

SHAPE = (1, 8, 8)
SETTINGS = AgentSettings(2, training=Training(min_steps=150, epochs=1, learning_rate=3e-3, batch=32))
LEAST_SQUARES = replace(SETTINGS, cost_likelihood="least_squares")


@pytest.fixture(autouse=True, scope="module")
def in_float32():
    """Exact figures are compared here; what bfloat16 does to them is tested with the devices."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(devices, "fast_dtype", lambda device: torch.float32)
        yield


def brightness_answers(count=60, seed=0, annotator="A", slowness=1.0):
    """Return crops whose effort grows with their brightness: exp(1 + 2 b) with a little noise."""
    rng = np.random.default_rng(seed)
    bright = rng.random(count)
    effort = slowness * np.exp(1 + 2 * bright + rng.normal(0, 0.1, count))
    crops = (bright[:, None, None, None] + rng.normal(0, 0.02, (count, *SHAPE))).astype(np.float32)
    return [Answer(crop, 0, float(each), False, annotator) for crop, each in zip(crops, effort, strict=True)]


def crops_of(answers):
    return np.stack([each.crop_C_H_W for each in answers])


def train(answers, settings=SETTINGS, shape=SHAPE):
    """Return the cost model of an agent that has too few classes for a classifier."""
    return finish(learn(new_agent(settings, shape), answers, 0, "cpu")).cost_model


def predict(model, crops, annotator="A", order=0):
    cost_N, _ = finish(predict_cost(model, SHAPE, Pool(crops, annotator, order), "cpu"))
    return cost_N


def constant_model(
    mean=1.0, scale=1.0, spread=0.5, annotators=("A",), offsets=(0.0,), practice=0.0, likelihood="log_normal", slope=0.0
):
    """Return a cost model whose network gives `slope` times the brightness of an even crop."""
    model = CostNetwork(SHAPE, len(annotators), likelihood)
    with torch.no_grad():
        for parameter in model.network.parameters():
            parameter.zero_()
        for layer in model.network.modules():
            if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear):
                layer.weight.view(-1)[0] = 1.0
        model.network.output.weight.mul_(slope)
        model.annotator_A.copy_(torch.tensor(offsets))
        model.practice.fill_(practice)
        model.log_spread.fill_(math.log(spread))
        model.get_buffer("mean").fill_(mean)
        model.get_buffer("scale").fill_(scale)
    return CostModel(to_weights(model), annotators, 10, likelihood)


def even_crops(brightness_N):
    return np.broadcast_to(np.float32(brightness_N)[:, None, None, None], (len(brightness_N), *SHAPE))


@pytest.fixture(scope="module")
def trained():
    return train(brightness_answers())


@pytest.mark.parametrize("log_effort", [-3.0, 0.0, 0.7, 5.0])
@pytest.mark.parametrize(("mu", "spread"), [(0.0, 1.0), (0.5, 0.3), (2.0, 2.0)])
def test_likelihood_is_the_density_when_measured_and_the_survival_when_censored(log_effort, mu, spread):
    both = censored_nll(
        torch.full((2,), log_effort, dtype=torch.float64),
        torch.tensor([False, True]),
        torch.full((2,), mu, dtype=torch.float64),
        torch.tensor(spread, dtype=torch.float64),
    )
    expected = [-stats.norm.logpdf(log_effort, mu, spread), -stats.norm.logsf(log_effort, mu, spread)]
    np.testing.assert_allclose(both.numpy(), expected, rtol=1e-9)


@given(st.lists(st.floats(-37, 1e4), min_size=1, max_size=20))
@example([-37.0, -12.0, -4.0, 0.0, 1e-3, 30.0, 1e4])
def test_the_likelihood_of_a_censored_effort_is_exact_in_both_tails(z):
    log_effort = torch.tensor(z, dtype=torch.float64, requires_grad=True)
    one = torch.tensor(1.0, dtype=torch.float64)
    found = censored_nll(log_effort, torch.ones(len(z), dtype=torch.bool), 0 * one, one)
    np.testing.assert_allclose(found.detach().numpy(), -stats.norm.logsf(z), rtol=1e-10, atol=1e-300)
    found.sum().backward()
    hazard = np.exp(stats.norm.logpdf(z) - stats.norm.logsf(z))
    near = np.array(z) < 100  # further out the hazard itself is a small difference of large numbers: it nears z
    np.testing.assert_allclose(log_effort.grad.numpy(), np.where(near, hazard, z), rtol=1e-4, atol=1e-300)


@given(st.lists(st.floats(-12, 1e3, width=32), min_size=1, max_size=20))
@example([-12.0, -4.0, 0.0, 30.0, 1e3])
def test_the_likelihood_of_a_censored_effort_keeps_its_precision_in_float32(z):
    log_effort = torch.tensor(z, requires_grad=True)
    found = censored_nll(log_effort, torch.ones(len(z), dtype=torch.bool), torch.tensor(0.0), torch.tensor(1.0))
    np.testing.assert_allclose(found.detach().numpy(), -stats.norm.logsf(z), rtol=1e-5)
    found.sum().backward()
    assert torch.isfinite(log_effort.grad).all()
    assert (log_effort.grad >= 0).all()


def test_the_likelihood_far_in_the_tail_has_a_finite_gradient():
    mu = torch.tensor([0.0], requires_grad=True)
    censored_nll(torch.tensor([60.0]), torch.tensor([True]), mu, torch.tensor(1.0)).sum().backward()
    assert mu.grad.item() == pytest.approx(-60, rel=0.01)


def test_the_likelihood_is_batched_by_vmap_without_a_fallback(recwarn):
    z_M_N = torch.linspace(-5, 5, 12).view(3, 4)
    censored = torch.tensor([True, False, True, False])

    def loss(z_N):
        return censored_nll(z_N, censored, torch.tensor(0.3), torch.tensor(2.0)).sum()

    found = vmap(grad(loss))(z_M_N)
    torch.testing.assert_close(found, torch.stack([grad(loss)(z_N) for z_N in z_M_N]))
    assert not recwarn.list
    vmap(torch.special.log_ndtr)(z_M_N)
    assert "batching rule" in str(recwarn.pop().message)  # so a fallback would have been seen


def test_a_prediction_is_the_log_normal_mean_above_the_exponential_of_the_mean_log():
    predicted = predict(constant_model(mean=1.0, spread=0.5), np.zeros((3, *SHAPE), np.float32))
    np.testing.assert_allclose(predicted, math.exp(1 + 0.125), rtol=1e-5)
    assert (predicted > math.exp(1)).all()


def test_practice_and_annotator_enter_the_log_effort_in_its_scale():
    model = constant_model(mean=1.0, scale=2.0, spread=0.5, annotators=("A", "B"), offsets=(0.1, -0.3), practice=-0.2)
    predicted = predict(model, np.zeros((1, *SHAPE), np.float32), "B", order=9)
    np.testing.assert_allclose(predicted, math.exp(1 + 2 * (-0.3 - 0.2 * math.log(10)) + 0.125), rtol=1e-5)


def test_an_unknown_annotator_counts_as_the_average_one():
    model = constant_model(annotators=("A", "B", "C"), offsets=(0.5, 0.2, -0.1))
    crop = np.zeros((1, *SHAPE), np.float32)
    known = [predict(model, crop, name)[0] for name in "ABC"]
    np.testing.assert_allclose(predict(model, crop, "nobody")[0], np.exp(np.log(known).mean()), rtol=1e-5)


def test_the_spread_has_a_least():
    predicted = predict(constant_model(mean=0.0, spread=1e-6), np.zeros((1, *SHAPE), np.float32))
    np.testing.assert_allclose(predicted, math.exp(LEAST_SPREAD**2 / 2), rtol=1e-6)


@pytest.mark.parametrize(("spread", "expected"), [(0.5, 0.5), (2.0, 2.0), (1e-6, LEAST_SPREAD)])
def test_the_shared_spread_of_log_effort_comes_with_the_prediction(spread, expected):
    crops = np.zeros((2, *SHAPE), np.float32)
    _, told = finish(predict_cost(constant_model(scale=3.0, spread=spread), SHAPE, Pool(crops), "cpu"))
    assert told == pytest.approx(expected)


def test_predictions_are_floored_above_zero():
    assert predict(constant_model(mean=-50.0), np.zeros((2, *SHAPE), np.float32)).tolist() == pytest.approx(
        [COST_FLOOR] * 2
    )


@pytest.mark.parametrize("settings", [SETTINGS, LEAST_SQUARES], ids=lambda settings: settings.cost_likelihood)
def test_brightness_is_learned_as_cost(settings, trained):
    unseen = brightness_answers(40, seed=1)
    model = trained if settings is SETTINGS else train(brightness_answers(), settings)
    predicted = predict(model, crops_of(unseen))
    measured = [each.effort for each in unseen]
    assert cost_rank_correlation(predicted, measured) > 0.9
    assert np.mean(predicted) == pytest.approx(np.mean(measured), rel=0.25)


def test_what_was_learned_is_recorded(trained):
    assert trained.annotators == ("A",)
    assert trained.effort_count == 60


def test_predictions_do_not_depend_on_the_batch_size(trained, monkeypatch):
    crops = crops_of(brightness_answers(7, seed=2))
    whole = predict(trained, crops)
    monkeypatch.setattr(cost_module, "CPU_BATCH", 2)
    np.testing.assert_allclose(predict(trained, crops), whole, rtol=1e-5)


def test_censored_efforts_raise_predictions_above_those_that_take_them_as_measured():
    cap, whole = 8.0, brightness_answers()
    cut = [replace(each, effort=min(each.effort, cap)) for each in whole]
    marked = [replace(each, censored=each.effort == cap) for each in cut]
    assert 10 < sum(each.censored for each in marked) < 50
    bright = crops_of([each for each in whole if each.effort > 1.2 * cap])
    assert len(bright) > 20
    as_measured, as_censored = predict(train(cut), bright), predict(train(marked), bright)
    assert (as_censored > as_measured).all()
    assert np.median(as_censored) > 1.2 * cap


def test_an_annotators_offset_is_learned_apart_from_the_content():
    answers = brightness_answers(60, 0, "quick") + brightness_answers(60, 3, "slow", slowness=3.0)
    model = train(answers)
    assert model.annotators == ("quick", "slow")
    crops = crops_of(brightness_answers(10, seed=5))
    ratio = predict(model, crops, "slow") / predict(model, crops, "quick")
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-4)
    assert 1.8 < ratio[0] < 3.5


def test_practice_is_learned_from_the_order():
    answers = [
        replace(each, effort=each.effort * (1 + order) ** -0.5, order=order)
        for order, each in enumerate(brightness_answers())
    ]
    crops = crops_of(brightness_answers(5, seed=5))
    model = train(answers)
    assert (predict(model, crops, order=0) > 2 * predict(model, crops, order=50)).all()


@pytest.mark.parametrize(
    ("measured", "censored", "unusable"),
    [(0, 0, 0), (FEWEST_EFFORTS - 1, 0, 0), (FEWEST_EFFORTS - 1, 20, 0), (FEWEST_EFFORTS - 1, 0, 20)],
    ids=["none", "one short", "censored ones do not count", "unusable ones do not count"],
)
def test_cost_is_uniform_below_ten_measured_efforts_and_says_so(measured, censored, unusable):
    answers = brightness_answers(measured + censored + unusable) if measured else []
    answers = [
        replace(each, censored=measured <= index, effort=None if index >= measured + censored else each.effort)
        for index, each in enumerate(answers)
    ]
    assert f"({measured} so far): β has no effect" in reason_uniform_cost(answers)
    assert train(answers) is None


def test_ten_measured_efforts_suffice():
    assert reason_uniform_cost(brightness_answers(10)) == ""
    assert train(brightness_answers(10)).effort_count == 10


def test_a_skipped_crop_still_teaches_its_effort():
    skipped = [replace(each, class_index=None, censored=True) for each in brightness_answers(5, seed=4)]
    assert train(brightness_answers(10) + skipped).effort_count == 15


@pytest.mark.parametrize("effort", [0.0, 3.0])
def test_equal_efforts_are_predicted_as_themselves(effort):
    model = train([replace(each, effort=effort) for each in brightness_answers(12)])
    predicted = predict(model, crops_of(brightness_answers(5)))
    np.testing.assert_allclose(predicted, max(effort, COST_FLOOR), rtol=0.3)


def test_weights_for_other_crops_are_refused(trained):
    with pytest.raises(AgentError, match="does not fit"):
        finish(predict_cost(trained, (2, 8, 8), Pool(np.zeros((1, 2, 8, 8), np.float32)), "cpu"))


def test_the_default_training_learns_spread_and_annotator():
    """Two annotators, one three times slower, with a spread of 0.1: the terms must reach them in 150 steps."""
    rng = np.random.default_rng(0)
    crops = rng.random((120, 1, 12, 12), dtype=np.float32)
    answers = [
        Answer(crop, 0, float(4 * (1 + 2 * (row % 2)) * rng.lognormal(0, 0.1)), annotator="slow" if row % 2 else "fast")
        for row, crop in enumerate(crops)
    ]
    model = train(answers, AgentSettings(2), (1, 12, 12))
    fast, slow = (
        finish(predict_cost(model, (1, 12, 12), Pool(crops, annotator), "cpu"))[0].mean()
        for annotator in ("fast", "slow")
    )
    assert 2.3 < slow / fast < 3.7
    assert 3.0 < fast < 5.2


# the log-normal mean beside other predictions


@given(
    st.lists(st.integers(0, 400), min_size=2, max_size=12, unique=True),
    st.floats(LEAST_SPREAD, 2.0),
    st.floats(0.3, 2.0),
    st.floats(-1.0, 3.0),
)
def test_the_log_normal_mean_is_one_factor_above_exp_of_the_mean_log_and_changes_no_query(
    brightness, spread, scale, mean
):
    """The value is I / C^beta: one factor for all crops leaves its order, and so the query, as it was."""
    bright_N = np.array(brightness) / 100
    mean_log_N = mean + scale * bright_N
    cost_N = predict(constant_model(mean, scale, spread, slope=1.0), even_crops(bright_N))
    np.testing.assert_allclose(cost_N / np.exp(mean_log_N), math.exp(spread**2 / 2), rtol=1e-4)
    assert np.argsort(cost_N).tolist() == np.argsort(mean_log_N).tolist()
    settings = replace(SETTINGS, n=len(brightness) // 2)
    picked = []
    for each_N in (cost_N, np.exp(mean_log_N).astype(np.float32)):
        scores = Scores(np.ones(len(cost_N), np.float32), each_N, np.full((len(cost_N), 2), 0.5), False, "cpu")
        picked.append(choose(scores, settings, 0).picked_n.tolist())
    assert picked[0] == picked[1]


def test_least_squares_predicts_the_effort_itself():
    model = constant_model(
        mean=6.0, scale=2.0, annotators=("A", "B"), offsets=(0.1, -0.3), practice=-0.2, likelihood="least_squares"
    )
    predicted = predict(model, np.zeros((1, *SHAPE), np.float32), "B", order=9)
    np.testing.assert_allclose(predicted, 6 + 2 * (-0.3 - 0.2 * math.log(10)), rtol=1e-5)


def test_least_squares_has_no_spread_and_is_floored_above_zero():
    crops = np.zeros((2, *SHAPE), np.float32)
    model = constant_model(mean=-5.0, likelihood="least_squares")
    cost_N, spread = finish(predict_cost(model, SHAPE, Pool(crops), "cpu"))
    assert cost_N.tolist() == pytest.approx([COST_FLOOR] * 2)
    assert spread == 0.0


def even_answers(efforts, censored=()):
    """Return answers for crops that look all the same."""
    crop = np.full(SHAPE, 0.5, np.float32)
    return [Answer(crop, 0, effort, effort in censored) for effort in efforts * (32 // len(efforts))]


SHORT = Training(min_steps=60, epochs=0, learning_rate=3e-3, batch=32)


@pytest.mark.parametrize(
    ("likelihood", "least", "most"),
    [
        pytest.param("least_squares", 45, 56, id="least squares: the mean, 50.5"),
        pytest.param("log_normal", 90, 200, id="log-normal: exp(2.3 + 2.3^2 / 2) = 141"),
    ],
)
def test_least_squares_predicts_the_mean_effort_where_efforts_are_not_log_normal(likelihood, least, most):
    model = train(even_answers([1.0, 100.0]), AgentSettings(2, training=SHORT, cost_likelihood=likelihood))
    assert model.likelihood == likelihood
    predicted = predict(model, np.full((1, *SHAPE), 0.5, np.float32))
    assert least < predicted[0] < most


@pytest.mark.parametrize(
    ("likelihood", "least", "most"),
    [
        pytest.param("least_squares", 4.4, 5.6, id="least squares: the mean of 1, 8, 3, 8"),
        pytest.param("log_normal", 8, 100, id="log-normal: half lie beyond 8"),
    ],
)
def test_least_squares_takes_a_censored_effort_as_if_it_were_measured(likelihood, least, most):
    answers = even_answers([1.0, 8.0, 3.0, 8.0], censored=[8.0])
    model = train(answers, AgentSettings(2, training=SHORT, cost_likelihood=likelihood))
    assert least < predict(model, np.full((1, *SHAPE), 0.5, np.float32))[0] < most
