"""The experiment file: a plan as TOML that a person can write, checked key by key."""

import re
import tomllib
import unicodedata
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import tomli_w

from costal.errors import DatasetError
from costal.labels.exchange.filenames import RESERVED
from costal.paper.plan import PROTOCOL, Arm, Experiment, Plan
from costal.settings import Key, Tables, key_of, keys_of, shown, table_of
from costal.types import Training

MOST_SIGNS = 60
_LATER = ("is_quick", "recalls", "edges", "annotators", "agreement")
"""Keys written only if set, so that files of older plans stay as they were."""
DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d+)?")
PLAN_KEYS = keys_of(Plan) + keys_of(Experiment)
TRAINING_KEYS = keys_of(Training, PROTOCOL)
ARM_KEYS = tuple(sorted(keys_of(Arm), key=lambda key: key.name != "name"))
FILE = Tables(DatasetError, PLAN_KEYS, {"training": TRAINING_KEYS}, {"arms": ("arm", ARM_KEYS)})

HEADING = """\
# An experiment of napari-costal. It runs as it is, in a couple of minutes: costal experiment FILE.toml --out FOLDER
# Commented lines show the defaults. Change what you like; every key is checked before anything runs.
"""
SMALL: dict[str, object] = {
    "name": "a first look", "data": "synthetic", "rounds": 8, "repeats": 2, "pool_size": 100, "passes": 20,
    "committee_every": 8, "looked_at": [4], "target": 0.8,
}  # fmt: skip
SMALL_TRAINING: dict[str, object] = {"min_steps": 100}
SMALL_ARMS: tuple[dict[str, object], ...] = (
    {"acquisition": "std"},
    {"acquisition": "std", "beta": 0.3},
    {"acquisition": "random"},
)


def load_plan(path: Path) -> Plan:
    """Return the plan of an experiment file, named after the file unless it has a name of its own.

    Raises
    ------
    DatasetError
        When it cannot be read, is not TOML, or cannot be run; names the key, its value and the remedy.
    """
    try:
        content = path.read_bytes()
        # PowerShell redirects into UTF-16, and editors on Windows put a mark before UTF-8.
        is_utf_16 = content.startswith((b"\xff\xfe", b"\xfe\xff"))
        document = tomllib.loads(content.decode("utf-16" if is_utf_16 else "utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{path} is not valid TOML: {error}. Correct the file.") from error
    except OSError as error:
        raise DatasetError(
            f"{path} cannot be read: {error.strerror}. Write one with 'costal experiment --template > my.toml'."
        ) from error
    try:
        return plan_from(document, path.stem)
    except DatasetError as error:
        raise DatasetError(f"{path}: {error}") from error


def plan_from(document: Mapping[str, Any], name: str) -> Plan:
    """Return the plan in a document, named `name` unless it has a name of its own.

    Raises
    ------
    DatasetError
        When it has an unknown key or cannot be run; names the key, its value and the remedy.
    """
    own = FILE.read(_without_warm({"name": name, **document}))
    shared = {key.attribute: own.pop(key.attribute) for key in keys_of(Experiment) if key.attribute in own}
    experiment = Experiment(training=replace(PROTOCOL, **own.pop("training")), **shared)
    plan = Plan(arms=tuple(map(_arm, own.pop("arms"))), experiment=experiment, **own)
    fault = next(_contradictions(plan), None)
    if fault:
        raise DatasetError(fault)
    return plan


def _without_warm(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a document without a key that earlier versions wrote with one value only."""
    training = document.get("training")
    if not isinstance(training, Mapping) or training.get("warm") is not False:
        return document
    return {**document, "training": {key: value for key, value in training.items() if key != "warm"}}


def dump_plan(plan: Plan) -> str:
    """Return the plan as the text of an experiment file with every key; `load_plan` gives an equal one."""
    usual = {key.name: key.default for key in PLAN_KEYS}
    document = {
        key: value for key, value in _document(plan).items() if key not in _LATER or value not in (usual[key], [], ())
    }
    return tomli_w.dumps(document)


def check(plan: Plan) -> None:
    """Raise DatasetError when a plan is not valid as a file; names the key, its value and the remedy."""
    plan_from(_document(plan), plan.name)


def template() -> str:
    """Return an experiment file that runs as it is, every key explained; in ASCII, for any shell encoding."""
    first, *others = SMALL_ARMS
    parts = [HEADING, *(_explained(key, SMALL) for key in PLAN_KEYS)]
    parts += ["[training]", *(_explained(key, SMALL_TRAINING) for key in TRAINING_KEYS)]
    parts += ["# Each [[arms]] is one of the settings that the experiment compares.\n[[arms]]"]
    parts += [_explained(key, first) for key in ARM_KEYS]
    parts += ["[[arms]]\n" + "\n".join(f"{key} = {shown(value)}" for key, value in arm.items()) for arm in others]
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def differences(before: Plan, after: Plan) -> tuple[str, ...]:
    """Return a line for each key that changed, such as ``experiment.beta of arm STD: 0.2 -> 0.3``.

    The device is not compared: a run may continue elsewhere.
    """
    old, new = _document(before), _document(after)
    old_arms, new_arms = ({arm["name"]: arm for arm in each["arms"]} for each in (old, new))
    lines = _changes([key for key in PLAN_KEYS if key.name != "device"], old, new, "experiment.")
    lines += _changes(TRAINING_KEYS, old["training"], new["training"], "experiment.training.")
    if list(old_arms) != list(new_arms):
        lines.append(f"experiment.arms: {shown(list(old_arms))} -> {shown(list(new_arms))}")
    for name in [each for each in old_arms if each in new_arms]:
        lines += _changes(ARM_KEYS, old_arms[name], new_arms[name], "experiment.", f" of arm {name}")
    return tuple(lines)


def slug(name: str) -> str:
    """Return an arm's name as a folder name for any system: 1 to 70 small ASCII letters, digits and dashes.

    Names that differ only in case or punctuation may share one. Greek letters are spelt out; a checksum replaces other
    lost letters and those beyond the limit.
    """
    bare = (letter for letter in unicodedata.normalize("NFKD", name) if not unicodedata.combining(letter))
    spelt = "".join(map(_spelt, bare)).casefold()
    folder = re.sub("[^a-z0-9]+", "-", spelt).strip("-")
    if not folder or len(folder) > MOST_SIGNS or any(each.isalnum() and not each.isascii() for each in spelt):
        folder = f"{folder[:MOST_SIGNS]}-{zlib.crc32(spelt.encode('utf-8', 'surrogatepass')):08x}".strip("-")
    return f"arm-{folder}" if RESERVED.fullmatch(folder) else folder


def _spelt(letter: str) -> str:
    """Return a Greek letter by its name, any other as it is."""
    greek = re.fullmatch(r"GREEK (?:SMALL|CAPITAL) LETTER (?:.* )?(\w+)", unicodedata.name(letter, ""))
    return greek[1] if greek else letter


def _document(plan: Plan) -> dict[str, Any]:
    """Return the plan as the tables of a file, with every key except None."""
    arms = [_arm_table(arm) for arm in plan.arms]
    own = table_of(plan) | table_of(plan.experiment)
    return {**own, "training": table_of(plan.experiment.training), "arms": arms}


def _arm_table(arm: Arm) -> dict[str, Any]:
    """Return an arm as its table; when it learns is written only if set, so older files stay as they were."""
    usual = key_of(Arm, "retrain").default
    return {key: value for key, value in table_of(arm).items() if key != "retrain" or value != usual}


def _arm(settings: Mapping[str, Any]) -> Arm:
    """Return an arm, named after its settings unless it has a name of its own."""
    arm = Arm(**{"name": "", **settings})
    return arm if arm.name else replace(arm, name=_description(arm))


def _description(arm: Arm) -> str:
    """Return a name for an arm without one: its settings that differ from the plain arm's."""
    parts = (
        (arm.acquisition, True),
        (f"α = {arm.alpha:g}", arm.alpha != 1),
        (f"β = {arm.beta:g}", arm.beta > 0),
        (arm.rule.replace("_", " "), arm.rule != "paper"),
        (arm.cost, arm.weighs_cost),
        ("diverse", arm.diverse),
        (f"controls {arm.control_share:g}", arm.control_share > 0),
        (f"{arm.members} members", arm.members > 1),
        (f"budget {arm.budget or 0:g}", arm.budget is not None),
        (f"up to {arm.stop_cost or 0:g}", arm.stop_cost is not None),
        ("learns after each answer", arm.retrain == "answer"),
    )
    return ", ".join(words for words, is_said in parts if is_said)


def _contradictions(plan: Plan) -> Iterator[str]:
    """Yield each contradiction between valid keys, with the remedy."""
    shared, training, last = plan.experiment, plan.experiment.training, max(plan.looked_at, default=0)
    if not plan.arms:
        yield "There is no arm to run. Write a line [[arms]] and below it, for example, acquisition = 'std'."
    if shared.n > shared.pool_size:
        yield f"n = {shared.n} crops are more than pool_size = {shared.pool_size}. Lower n or raise pool_size."
    if last > plan.rounds:
        yield f"looked_at names round {last}, but the last is rounds = {plan.rounds}. Remove it, or raise rounds."
    if training.min_steps == training.epochs == 0:
        yield "min_steps = 0 and epochs = 0 of [training] train nothing. Raise one of them."
    if plan.edges and plan.labels is None:
        yield "edges divides the numbers in labels, but labels is not set. Set labels to a file, or remove edges."
    if any(low >= high for low, high in pairwise(plan.edges)):
        yield f"The numbers of edges = {shown(plan.edges)} must rise. Sort them."
    if not DEVICE.fullmatch(shared.device):
        yield f"device = {shown(shared.device)} is not a device. Use auto, cpu, mps, cuda or cuda:1."
    folders: dict[str, str] = {}
    for arm in plan.arms:
        folder = slug(arm.name)
        if folder in folders:
            both = f"'{folders[folder]}' and '{arm.name}'"
            yield f"Two arms, {both}, would share the folder '{folder}'. Give one of them another name."
        folders[folder] = arm.name


def _explained(key: Key, chosen: Mapping[str, object]) -> str:
    """Return a key as the template has it: below its meaning, set where it is chosen, else commented out."""
    default = key.default_in_words
    example = shown(key.setting.example) if key.setting.absent else default
    line = f"{key.name} = {shown(chosen[key.name])}" if key.name in chosen else f"# {key.name} = {example}"
    takes = key.expected[0].upper() + key.expected[1:]
    return f"# {key.setting.meaning}\n# {takes}. Default: {default}.\n{line}"


def _changes(
    keys: Sequence[Key], old: Mapping[str, Any], new: Mapping[str, Any], before: str, of: str = ""
) -> list[str]:
    """Return a line for each key whose values differ."""
    pairs = [(f"{before}{key.name}{of}", old.get(key.name), new.get(key.name)) for key in keys]
    return [f"{key}: {shown(was)} -> {shown(now)}" for key, was, now in pairs if was != now]
