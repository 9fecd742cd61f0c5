"""The experiment file: a plan as TOML that a person can write, checked key by key."""

import difflib
import json
import re
import tomllib
import unicodedata
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import tomli_w

from costal.errors import DatasetError
from costal.labels.exchange.filenames import RESERVED
from costal.paper.plan import PROTOCOL, Arm, Experiment, Plan
from costal.paper.plan_keys import ARM_KEYS, PLAN_KEYS, TRAINING_KEYS, Key
from costal.types import Training

MOST_SIGNS = 60
DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d+)?")
TABLES = ("training", "arms")
PLACES = {"the top of the file": PLAN_KEYS, "[training]": TRAINING_KEYS, "[[arms]]": ARM_KEYS}
SHARED = {each.name for each in fields(Experiment)} & {key.name for key in PLAN_KEYS}

HEADING = """\
# An experiment of napari-costal. It runs as it is, in a couple of minutes: costal experiment FILE.toml --out FOLDER
# What is commented out shows the default. Change what you like; every key is checked before anything runs.
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
        When it cannot be read, is no TOML, or holds what cannot be run; names the key, its value and the remedy.
    """
    try:
        content = path.read_bytes()
        # PowerShell redirects into UTF-16, and editors on Windows put a mark before UTF-8.
        is_utf_16 = content.startswith((b"\xff\xfe", b"\xfe\xff"))
        document = tomllib.loads(content.decode("utf-16" if is_utf_16 else "utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{path} is no TOML: {error}. Correct it there.") from error
    except OSError as error:
        raise DatasetError(
            f"{path} cannot be read: {error.strerror}. Write one by 'costal experiment --template > my.toml'."
        ) from error
    try:
        return plan_from(document, path.stem)
    except DatasetError as error:
        raise DatasetError(f"{path}: {error}") from error


def plan_from(document: Mapping[str, Any], name: str) -> Plan:
    """Return the plan that a document says, named `name` unless it has a name of its own.

    Raises
    ------
    DatasetError
        When it holds what is unknown or cannot be run; names the key, its value and the remedy.
    """
    top, defaults = {"name": name, **document}, _defaults()
    training, arms = top.pop("training", {}), top.pop("arms", [])
    if not isinstance(training, Mapping):
        raise DatasetError(f"training = {_shown(training)} should be a table. Write its keys below a line [training].")
    if not isinstance(arms, Sequence) or not all(isinstance(arm, Mapping) for arm in arms):
        raise DatasetError("'arms' should be a list of tables. Write [[arms]], in two brackets, above each arm.")
    if training.get("warm") is False:  # earlier versions wrote it, and took nothing else
        training = {key: value for key, value in training.items() if key != "warm"}
    own = _settings(top, PLAN_KEYS, defaults, "")
    plan = Plan(
        arms=tuple(_arm(arm, number, defaults["arms"][0]) for number, arm in enumerate(arms, 1)),
        experiment=Experiment(
            training=Training(**_settings(training, TRAINING_KEYS, defaults["training"], " of [training]")),
            base_cost_K=own.pop("base_costs"),
            **{key: own.pop(key) for key in SHARED},
        ),
        **own,
    )
    fault = next(_contradictions(plan), None)
    if fault:
        raise DatasetError(fault)
    return plan


def dump_plan(plan: Plan) -> str:
    """Return the plan as the text of an experiment file, every key said; `load_plan` gives an equal one."""
    document = _document(plan)
    if not plan.is_quick:
        del document["is_quick"]
    return tomli_w.dumps(document)


def check(plan: Plan) -> None:
    """Raise DatasetError when a plan holds what its file could not; names the key, its value and the remedy."""
    plan_from(_document(plan), plan.name)


def template() -> str:
    """Return an experiment file that runs as it is, every key explained; in ASCII, whatever a shell writes it as."""
    defaults, (first, *others) = _defaults(), SMALL_ARMS
    parts = [HEADING, *(_explained(key, SMALL, defaults) for key in PLAN_KEYS)]
    parts += ["[training]", *(_explained(key, SMALL_TRAINING, defaults["training"]) for key in TRAINING_KEYS)]
    parts += ["# Each [[arms]] is one setting under comparison.\n[[arms]]"]
    parts += [_explained(key, first, defaults["arms"][0]) for key in ARM_KEYS]
    parts += ["[[arms]]\n" + "\n".join(f"{key} = {_shown(value)}" for key, value in arm.items()) for arm in others]
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def differences(before: Plan, after: Plan) -> tuple[str, ...]:
    """Return a line for each key that changed, such as ``experiment.beta of arm STD: 0.2 -> 0.3``.

    The device is none: a run may go on elsewhere.
    """
    old, new = _document(before), _document(after)
    old_arms, new_arms = ({arm["name"]: arm for arm in each["arms"]} for each in (old, new))
    lines = _changes([key for key in PLAN_KEYS if key.name != "device"], old, new, "experiment.")
    lines += _changes(TRAINING_KEYS, old["training"], new["training"], "experiment.training.")
    if list(old_arms) != list(new_arms):
        lines.append(f"experiment.arms: {_shown(list(old_arms))} -> {_shown(list(new_arms))}")
    for name in [each for each in old_arms if each in new_arms]:
        lines += _changes(ARM_KEYS, old_arms[name], new_arms[name], "experiment.", f" of arm {name}")
    return tuple(lines)


def slug(name: str) -> str:
    """Return an arm's name as that of a folder on any system: 1 to 70 small ASCII letters, digits and dashes.

    Names that differ in case or in signs alone may share one. Where letters are lost (not Greek ones, which are
    spelt), or too many, a checksum stands for them.
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
    """Return the plan as the tables of a file, every key said but a budget that there is not."""
    everything = {**asdict(plan), **asdict(plan.experiment), "base_costs": plan.experiment.base_cost_K}
    document = {key.name: everything[key.name] for key in PLAN_KEYS}
    arms = [{key: value for key, value in arm.items() if value is not None} for arm in everything["arms"]]
    return {**document, "training": everything["training"], "arms": arms}


def _defaults() -> dict[str, Any]:
    """Return what holds where a file says nothing, as the tables of a file."""
    return _document(Plan("", "mnist", (Arm("", "std"),), Experiment(training=PROTOCOL)))


def _arm(table: Mapping[str, Any], number: int, defaults: Mapping[str, Any]) -> Arm:
    """Return an arm, named after its settings unless it has a name of its own."""
    of = f" of arm {number}" + (f" ({table['name']})" if isinstance(table.get("name"), str) else "")
    arm = Arm(**_settings(table, ARM_KEYS, defaults, of))
    return arm if arm.name else replace(arm, name=_description(arm))


def _description(arm: Arm) -> str:
    """Return the name of an arm that has none: what it is, where it is not the plain one."""
    said = (
        (arm.acquisition, True),
        (f"α = {arm.alpha:g}", arm.alpha != 1),
        (f"β = {arm.beta:g}", arm.beta > 0),
        (arm.cost, arm.weighs_cost),
        ("diverse", arm.diverse),
        (f"controls {arm.control_share:g}", arm.control_share > 0),
        (f"{arm.members} members", arm.members > 1),
        (f"budget {arm.budget or 0:g}", arm.budget is not None),
    )
    return ", ".join(words for words, is_said in said if is_said)


def _settings(table: Mapping[str, Any], keys: Sequence[Key], defaults: Mapping[str, Any], of: str) -> dict[str, Any]:
    """Return the values of a table of the file, checked, with the defaults of what it does not say."""
    known = {key.name: key for key in keys}
    for name, value in table.items():
        if name not in known:
            raise DatasetError(f"'{name}'{of} is not known. {_nearest(name, [*known] if of else [*known, *TABLES])}")
        if not known[name].takes(value):
            default = known[name].absent or _shown(defaults[name])
            raise DatasetError(
                f"{name} = {_shown(value)}{of} should be {known[name].expected}. Correct it, or take it out for the "
                f"default: {default}."
            )
    own = {name: known[name].converted(value) for name, value in table.items()}
    return {**{name: value for name, value in defaults.items() if name in known}, **own}


def _nearest(name: str, known: Sequence[str]) -> str:
    """Return the sentence that tells where an unknown key belongs, or which one it may have meant."""
    for place, keys in PLACES.items():
        if name in [key.name for key in keys]:
            return f"It belongs to {place}: move it there."
    close = difflib.get_close_matches(name, known, 1)
    return f"Did you mean '{close[0]}'?" if close else f"Known are {', '.join(known)}."


def _contradictions(plan: Plan) -> Iterator[str]:
    """Yield what cannot be run though each key fits, with the remedy."""
    shared, training, last = plan.experiment, plan.experiment.training, max(plan.looked_at, default=0)
    if not plan.arms:
        yield "There is no arm to run. Write a line [[arms]] and below it, say, acquisition = 'std'."
    if shared.n > shared.pool_size:
        yield f"n = {shared.n} crops cannot be asked of pool_size = {shared.pool_size}. Lower n or raise pool_size."
    if last > plan.rounds:
        yield f"looked_at names round {last}, and the last is rounds = {plan.rounds}. Take it out, or raise rounds."
    if training.min_steps == training.epochs == 0:
        yield "min_steps = 0 and epochs = 0 of [training] train nothing. Raise one of them."
    if not DEVICE.fullmatch(shared.device):
        yield f"device = {_shown(shared.device)} is none. Use auto, cpu, mps, cuda or cuda:1."
    folders: dict[str, str] = {}
    for arm in plan.arms:
        folder = slug(arm.name)
        if folder in folders:
            both = f"'{folders[folder]}' and '{arm.name}'"
            yield f"Two arms, {both}, would share the folder '{folder}'. Give one of them another name."
        folders[folder] = arm.name


def _explained(key: Key, chosen: Mapping[str, object], defaults: Mapping[str, object]) -> str:
    """Return a key as the template has it: below its meaning, set where it is chosen, else commented out."""
    default = key.absent or _shown(defaults[key.name])
    example = key.example if key.absent else defaults[key.name]
    line = f"{key.name} = {_shown(chosen[key.name])}" if key.name in chosen else f"# {key.name} = {_shown(example)}"
    takes = key.expected[0].upper() + key.expected[1:]
    return f"# {key.meaning}\n# {takes}. Default: {default}.\n{line}"


def _changes(
    keys: Sequence[Key], old: Mapping[str, Any], new: Mapping[str, Any], before: str, of: str = ""
) -> list[str]:
    """Return a line for each key whose values differ."""
    pairs = [(f"{before}{key.name}{of}", old.get(key.name), new.get(key.name)) for key in keys]
    return [f"{key}: {_shown(was)} -> {_shown(now)}" for key, was, now in pairs if was != now]


def _shown(value: object) -> str:
    """Return a value as TOML writes it, in one line; "none" where there is none."""
    return "none" if value is None else json.dumps(value, ensure_ascii=False, default=str)
