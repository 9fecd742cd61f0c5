import json
import re
import string
import tomllib
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costal.errors import DatasetError
from costal.paper.plan import PROTOCOL, Arm, Experiment, Plan, figure_1, quick, table_1
from costal.paper.plan_file import (
    ARM_KEYS,
    PLAN_KEYS,
    TRAINING_KEYS,
    check,
    differences,
    dump_plan,
    load_plan,
    plan_from,
    slug,
    template,
)
from costal.settings import LARGEST
from costal.types import ACQUISITION_NAMES, Training

SMALLEST = {"arms": [{}]}
UNPRINTED = ("Cc", "Cs", "Zl", "Zp")
RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(10))}


def named(*arms, **settings):
    return Plan("compared", "synthetic", arms, Experiment(training=PROTOCOL), **settings)


# random plans

counts, asked, shares = st.integers(1, 10**6), st.integers(1, LARGEST), st.floats(0, 1, exclude_min=True)
costs = st.floats(0, allow_nan=False, allow_infinity=False)
lines = st.text(st.characters(exclude_categories=UNPRINTED), min_size=1).filter(str.strip)
trainings = st.builds(
    Training,
    learning_rate=shares,
    batch=counts,
    min_steps=counts,
    epochs=st.integers(0, 100),
    schedule=st.sampled_from(["constant", "one_cycle"]),
    precision=st.sampled_from(["float32", "bfloat16"]),
)
experiments = st.builds(
    Experiment,
    seed=st.integers(0, 2**63 - 1),
    pool_size=st.integers(100, 10**6),
    n=st.integers(1, 100),
    passes=asked,
    device=st.sampled_from(["auto", "cpu", "mps", "cuda", "cuda:1"]),
    training=trainings,
    base_cost_K=st.lists(costs).map(tuple),
)
arms = st.builds(
    Arm,
    name=lines,
    acquisition=st.sampled_from(ACQUISITION_NAMES),
    alpha=st.floats(0, 10),
    beta=st.floats(0, 10),
    members=counts,
    budget=st.none() | costs.filter(bool),
)
plans = st.builds(
    Plan,
    name=lines,
    data=lines,
    arms=st.lists(arms, min_size=1, max_size=3, unique_by=lambda arm: slug(arm.name)).map(tuple),
    experiment=experiments,
    rounds=st.integers(50, 10**6),
    repeats=counts,
    stack=counts,
    threads=counts,
    test_every=counts,
    committee_every=counts,
    looked_at=st.lists(st.integers(1, 50)).map(tuple),
    target=shares,
)


@given(plans)
def test_a_plan_comes_back_from_its_file_as_it_was(plan):
    assert plan_from(tomllib.loads(dump_plan(plan)), "unnamed") == plan
    check(plan)


@pytest.mark.parametrize(
    "plan", [table_1(), quick(table_1()), figure_1((0.1, 1 / 3) * 5), quick(figure_1((2.0,) * 10))], ids=repr
)
def test_the_papers_plans_come_back_from_a_file_as_they_were(plan, tmp_path):
    path = tmp_path / "experiment.toml"
    path.write_text(dump_plan(plan), "utf-8")
    assert load_plan(path) == plan


@pytest.mark.parametrize("is_quick", [False, True])
def test_only_a_quick_plan_says_that_it_is(is_quick):
    assert ("is_quick = true" in dump_plan(replace(table_1(), is_quick=is_quick))) is is_quick
    assert ("is_quick" in dump_plan(replace(table_1(), is_quick=is_quick))) is is_quick


@given(
    place=st.sampled_from(["top", "training", "arms"]),
    key=st.sampled_from([key.name for key in (*PLAN_KEYS, *TRAINING_KEYS, *ARM_KEYS)] + ["training", "arms", "other"]),
    value=st.recursive(
        st.booleans() | st.integers() | st.floats() | st.text() | st.dates(),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
        max_leaves=4,
    ),
)
def test_whatever_a_key_holds_is_taken_as_it_is_or_refused_in_words(place, key, value):
    document = {"top": {**SMALLEST, key: value}, "training": {**SMALLEST, "training": {key: value}}}
    document["arms"] = {"arms": [{}, {"acquisition": "random", key: value}]}
    try:
        plan = plan_from(document[place], "any")
    except DatasetError as error:
        assert key in str(error) or key == "arms"
        return
    assert plan_from(tomllib.loads(dump_plan(plan)), "other") == plan


# what holds where the file says nothing


def test_what_a_file_leaves_out_is_the_papers_and_the_protocols():
    expected = Plan("mine", "mnist", (Arm("std", acquisition="std"),), Experiment(training=PROTOCOL))
    assert plan_from(SMALLEST, "mine") == expected
    assert plan_from({**SMALLEST, "training": {"batch": 8}}, "mine").experiment.training == replace(PROTOCOL, batch=8)


def test_a_plan_is_named_after_its_file_unless_it_has_a_name(tmp_path):
    path = tmp_path / "costs at night.toml"
    path.write_text("[[arms]]\n")
    assert load_plan(path).name == "costs at night"
    path.write_text("name = 'days'\n[[arms]]\n")
    assert load_plan(path).name == "days"


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({}, "std"),
        ({"acquisition": "random"}, "random"),
        ({"beta": 0.3}, "std, β = 0.3, learned"),
        ({"acquisition": "bald", "beta": 1, "cost": "known"}, "bald, β = 1, known"),
        ({"cost": "plain"}, "std"),
        ({"alpha": 2, "diverse": True, "members": 3}, "std, α = 2, diverse, 3 members"),
        ({"budget": 12.5}, "std, learned, budget 12.5"),
        ({"beta": 0.3, "name": "mine"}, "mine"),
    ],
)
def test_an_arm_without_a_name_is_named_after_its_settings(settings, name):
    assert plan_from({"arms": [settings]}, "any").arms[0].name == name


def test_whole_numbers_stand_for_floats():
    plan = plan_from({"base_costs": [0, 2], "target": 1, "arms": [{"beta": 1}]}, "any")
    assert repr((plan.experiment.base_cost_K, plan.target, plan.arms[0].beta)) == "((0.0, 2.0), 1.0, 1.0)"


def test_a_file_of_an_earlier_version_that_starts_no_network_warm_means_the_same():
    arms = [{"beta": 1}]
    assert plan_from({"training": {"warm": False}, "arms": arms}, "any") == plan_from({"arms": arms}, "any")


def test_random_may_have_a_beta():
    assert plan_from({"arms": [{"acquisition": "random", "beta": 0.3}]}, "any").arms[0].weighs_cost


def test_every_field_of_a_plan_has_its_key():
    def names(kind, *apart):
        return {each.name for each in fields(kind)} - set(apart)

    shared = names(Experiment, "training", "base_cost_K") | {"base_costs"}
    assert {key.name for key in PLAN_KEYS} == names(Plan, "arms", "experiment") | shared
    assert {key.name for key in TRAINING_KEYS} == names(Training)
    assert {key.name for key in ARM_KEYS} == names(Arm)


# what is refused

ARM = "[[arms]]\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("pool_sise = 5", r"'pool_sise' is not known. Did you mean 'pool_size'\?"),
        (
            "[training]\nlerning_rate = 0.1",
            r"'lerning_rate' of \[training\] is not known. Did you mean 'learning_rate'",
        ),
        ("[[arm]]\n", r"'arm' is not known. Did you mean 'arms'\?"),
        ("[trainings]\n", r"Did you mean 'training'\?"),
        (ARM + "bta = 1", r"'bta' of arm 1 is not known. Did you mean 'beta'\?"),
        (
            ARM + "xyz = 1",
            "The known keys are name, acquisition, alpha, beta, rule, diverse, control_share, backbone, cost, "
            "members, budget",
        ),
        (ARM + "name = 'dear'\nrounds = 8", r"'rounds' of arm 1 \(dear\) is not known. It belongs to the top"),
        ("batch = 8", r"'batch' is not known. It belongs to \[training\]"),
        ("rounds = 0", "rounds = 0 should be a whole number from 1. Correct it, or remove it for the default: 48"),
        ("rounds = 4.0", "rounds = 4.0 should be a whole number from 1"),
        ("rounds = true", "rounds = true should be a whole number"),
        ("seed = -1", "seed = -1 should be a whole number from 0"),
        ("stack = 0", "stack = 0 should be a whole number from 1"),
        ("threads = 0", "threads = 0 should be a whole number from 1"),
        ("target = 0", "target = 0 should be a number above 0 to 1"),
        ("target = 90.0", "target = 90.0 should be a number above 0 to 1"),
        ("target = '0.9'", 'target = "0.9" should be a number'),
        ("base_costs = [1.0, -0.5]", r"base_costs = \[1.0, -0.5\] should be a list of numbers from 0"),
        ("base_costs = [nan]", "base_costs = .* should be a list of numbers"),
        ("base_costs = [inf]", "base_costs = .* should be a list of numbers"),
        ("base_costs = 3", "base_costs = 3 should be a list of numbers"),
        ("looked_at = [0]", r"looked_at = \[0\] should be a list of whole numbers from 1"),
        ("looked_at = [8, 60]", "looked_at names round 60, but the last is rounds = 48"),
        ("n = 20\npool_size = 10", "n = 20 crops are more than pool_size = 10"),
        ("pools = 'fresh'", 'pools = "fresh" should be one of disjoint, redraw'),
        ("name = ''", 'name = "" should be text of one line.*the name of the file'),
        (r'name = "two\nlines"', "name = .* should be text of one line"),
        ("data = 3", "data = 3 should be text"),
        ("data = 2026-01-01", 'data = "2026-01-01" should|data = .* should be text'),
        ("device = 'gpu'", 'device = "gpu" is not a device. Use auto, cpu'),
        ("is_quick = 1", "is_quick = 1 should be true or false"),
        ("training = 3", "training = 3 should be a table"),
        ("[training]\nwarm = true", r"'warm' of \[training\] is not known"),
        ("[training]\nwarm = 0", r"'warm' of \[training\] is not known"),
        ("[training]\nlearning_rate = 0.0", "learning_rate = 0.0 .* above 0 to 1"),
        ("[training]\nschedule = 'cosine'", "should be one of constant, one_cycle"),
        ("[training]\nmin_steps = 0\nepochs = 0", "train nothing"),
        (ARM + "acquisition = 'STD'", "should be one of bald, predictive_entropy, std, variation_ratio, random"),
        (ARM + "cost = 'unknown'", "should be one of known, learned, plain"),
        (ARM + "name = 'dear'\nbeta = -1", r"beta = -1 of arm 1 \(dear\) should be a number from 0 to 10"),
        (ARM + "beta = nan", "beta = .* of arm 1 should be a number"),
        (ARM + f"alpha = 1{'0' * 400}", "alpha = .* of arm 1 should be a number"),
        (ARM + "budget = 0", "budget = 0 of arm 1 should be a number above 0.*the default: none"),
        (ARM + "members = 0", "members = 0 of arm 1 should be a whole number from 1"),
        (ARM + "diverse = 'yes'", 'diverse = "yes" of arm 1 should be true or false'),
        (ARM + "name = 'a'\n" + ARM + "name = 'a'", "'a' and 'a', would share the folder 'a'. Give one"),
        (ARM + "name = 'β, 1'\n" + ARM + "name = 'Beta 1'", "'β, 1' and 'Beta 1', would share the folder 'beta-1'"),
        (ARM + ARM, "'std' and 'std', would share"),
    ],
)
def test_what_cannot_be_run_is_refused_with_file_key_value_and_remedy(text, words, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(text if "[[arm" in text else f"{text}\n{ARM}", "utf-8")
    with pytest.raises(DatasetError, match=f"{re.escape(str(path))}: .*(?:{words})"):
        load_plan(path)


@pytest.mark.parametrize(
    ("document", "words"),
    [({}, "There is no arm"), ({"arms": {"acquisition": "std"}}, "in two brackets"), ({"arms": [3]}, "list of tables")],
    ids=["none", "one bracket", "no table"],
)
def test_a_file_without_arms_is_refused(document, words):
    with pytest.raises(DatasetError, match=words):
        plan_from(document, "any")


def test_a_fault_in_the_toml_is_told_with_its_line(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("rounds = 8\nn = = 3\n")
    with pytest.raises(DatasetError, match=r"mine.toml is not valid TOML: .*line 2"):
        load_plan(path)


@pytest.mark.parametrize("content", [b"\xff", b"a = " + b"[" * 5000], ids=["no text", "too deep"])
def test_what_is_no_toml_at_all_is_refused(content, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=r"mine.toml is not valid TOML"):
        load_plan(path)


def test_a_file_that_is_not_there_is_refused_with_the_way_to_one(tmp_path):
    with pytest.raises(DatasetError, match=r"none.toml cannot be read: .*costal experiment --template"):
        load_plan(tmp_path / "none.toml")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_file_is_read_as_windows_writes_it(encoding, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_bytes("name = 'β'\r\nrounds = 8\r\n[[arms]]\r\n".encode(encoding))
    assert (load_plan(path).name, load_plan(path).rounds) == ("β", 8)


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (named(), "There is no arm"),
        (named(Arm("a", acquisition="std"), rounds=0), "rounds = 0 should be"),
        (named(Arm("a", acquisition="std"), target=float("nan")), "target = .* should be"),
        (named(Arm("a", acquisition="std", beta=-0.1)), r"beta = -0.1 of arm 1 \(a\) should be"),
        (named(Arm("", acquisition="std")), "name = .* of arm 1 should be text"),
        (named(Arm("a", acquisition="std"), Arm("A", acquisition="bald")), "share the folder 'a'"),
        (replace(named(Arm("a", acquisition="std")), data="\udcff"), "data = .* should be text"),
    ],
)
def test_a_plan_that_was_not_read_from_a_file_is_checked_alike(plan, words):
    with pytest.raises(DatasetError, match=words):
        check(plan)


# the template

TEMPLATE = template()
UNCOMMENTED = tomllib.loads(re.sub(r"^# (?=\w+ = )", "", TEMPLATE, flags=re.MULTILINE))
SAID = tomllib.loads(TEMPLATE)


def test_the_template_is_a_plan_that_ends_soon(tmp_path):
    path = tmp_path / "my.toml"
    path.write_text(TEMPLATE)
    plan = load_plan(path)
    assert (plan.data, len(plan.arms), plan.repeats, plan.rounds, plan.experiment.pool_size) == (
        "synthetic",
        3,
        2,
        8,
        100,
    )
    assert [arm.name for arm in plan.arms] == ["std", "std, β = 0.3, learned", "random"]
    assert plan.experiment.training == replace(PROTOCOL, min_steps=100)


def test_the_template_has_every_key_and_explains_it():
    own = UNCOMMENTED.keys() - {"training", "arms"}
    for keys, result in (
        (PLAN_KEYS, own),
        (TRAINING_KEYS, UNCOMMENTED["training"].keys()),
        (ARM_KEYS, UNCOMMENTED["arms"][0].keys()),
    ):
        assert set(result) == {key.name for key in keys}
    explained = re.findall(r"^# [^\n]+\.\n# [^\n]+ Default: [^\n]+\.\n(?:# )?(\w+) = ", TEMPLATE, re.MULTILINE)
    assert explained == [key.name for key in (*PLAN_KEYS, *TRAINING_KEYS, *ARM_KEYS)]


def test_the_template_runs_with_all_its_comments_taken_off_too():
    assert plan_from(UNCOMMENTED, "any").arms[0].name == "my arm"


def test_the_defaults_that_the_template_names_are_true():
    plan = plan_from(SMALLEST, "the name of the file")
    true = {
        **tomllib.loads(dump_plan(plan)),
        "is_quick": False,
        "recalls": False,
        "edges": [],
        "annotators": 1,
        "agreement": 0.45,
    }
    true["arms"][0]["retrain"] = "query"
    sections = zip(
        re.split(r"^\[+\w+\]+$", TEMPLATE, flags=re.MULTILINE), [true, true["training"], true["arms"][0]], strict=False
    )
    unsaid = {
        ("name", "the name of the file"),
        ("name", "a description of its settings"),
        ("budget", "none"),
        ("repeats", "as many as the others"),
        ("stop_cost", "none: a run ends after its rounds"),
        ("labels", "the folders"),
    }
    seen = 0
    for text, defaults in sections:
        for default, commented, key, value in re.findall(r"Default: (.+)\.\n(# )?(\w+) = (.+)$", text, re.MULTILINE):
            seen += 1
            if (key, default) not in unsaid:
                assert json.loads(default) == defaults[key]
                assert not commented or json.loads(value) == defaults[key]
    assert seen == len((*PLAN_KEYS, *TRAINING_KEYS, *ARM_KEYS))
    assert (plan.name, plan.arms[0].budget) == ("the name of the file", None)


def test_the_template_can_be_written_by_any_shell():
    assert TEMPLATE.isascii()
    assert max(map(len, TEMPLATE.splitlines())) <= 120


# differences

BEFORE = named(Arm("STD", acquisition="std", beta=0.2), Arm("random", acquisition="random"))


@pytest.mark.parametrize(
    ("after", "lines"),
    [
        (BEFORE, ()),
        (replace(BEFORE, experiment=replace(BEFORE.experiment, device="cuda")), ()),
        (replace(BEFORE, rounds=50), ("experiment.rounds: 48 -> 50",)),
        (
            replace(BEFORE, looked_at=(3,), is_quick=True),
            ("experiment.looked_at: [] -> [3]", "experiment.is_quick: false -> true"),
        ),
        (replace(BEFORE, data="mnist"), ('experiment.data: "synthetic" -> "mnist"',)),
        (replace(BEFORE, experiment=replace(BEFORE.experiment, seed=1)), ("experiment.seed: 0 -> 1",)),
        (
            replace(BEFORE, experiment=replace(BEFORE.experiment, training=replace(PROTOCOL, batch=32))),
            ("experiment.training.batch: 16 -> 32",),
        ),
        (
            named(Arm("STD", acquisition="std", beta=0.3), Arm("random", acquisition="random")),
            ("experiment.beta of arm STD: 0.2 -> 0.3",),
        ),
        (
            named(Arm("STD", acquisition="std", beta=0.2, budget=5.0), Arm("random", acquisition="random")),
            ("experiment.budget of arm STD: none -> 5.0",),
        ),
        (named(*BEFORE.arms[::-1]), ('experiment.arms: ["STD", "random"] -> ["random", "STD"]',)),
        (
            named(Arm("STD", acquisition="bald", beta=0.2)),
            ('experiment.arms: ["STD", "random"] -> ["STD"]', 'experiment.acquisition of arm STD: "std" -> "bald"'),
        ),
    ],
    ids=["nothing", "device", "rounds", "two", "data", "seed", "training", "beta", "budget", "order", "an arm less"],
)
def test_each_changed_key_is_one_line(after, lines):
    assert differences(BEFORE, after) == lines


@given(plans, plans)
def test_plans_differ_when_and_only_when_a_line_says_so(before, after):
    on_one_device = replace(after, experiment=replace(after.experiment, device=before.experiment.device))
    assert (differences(before, after) == ()) == (before == on_one_device)


# folders


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("STD", "std"),
        ("known, β = 0.1", "known-beta-0-1"),
        ("α=2", "alpha-2"),
        ("Ünï", "uni"),
        ("Größe", "grosse"),
        ("../up", "up"),
        ("CON", "arm-con"),
        ("com¹.", "arm-com1"),
        ("console", "console"),
    ],
)
def test_a_folder_is_named_after_its_arm(name, folder):
    assert slug(name) == folder


@given(lines)
def test_every_name_gives_a_folder_that_any_system_takes(name):
    folder = slug(name)
    assert set(folder) <= set(string.ascii_lowercase + string.digits + "-")
    assert 1 <= len(folder) <= 70
    assert folder == folder.strip("-")
    assert folder not in RESERVED


@pytest.mark.parametrize(
    ("first", "second"), [("随机 1", "学习 1"), ("!!!", "???"), ("x" * 99 + "1", "x" * 99 + "2")], ids=repr
)
def test_names_that_letters_cannot_tell_apart_have_folders_of_their_own(first, second):
    assert slug(first) != slug(second)


def test_names_that_differ_in_case_alone_share_a_folder():
    assert slug("Жук") == slug("жук")
    assert slug("STD") == slug("std")


def test_when_an_arm_learns_is_written_where_it_is_chosen_alone():
    plan = Plan("p", arms=(Arm("a"), Arm("b", retrain="answer")))
    written = dump_plan(plan)
    assert written.count("retrain") == 1
    assert plan_from(tomllib.loads(written), "p") == plan
