"""The meaning and limits of a setting, declared once at its field; files of settings are read and written by it."""

import difflib
import json
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from functools import cache
from types import NoneType
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin

from costal.errors import CostalError

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

NUMBERS = {int: "whole number", float: "number"}
COLOUR = re.compile("#[0-9a-fA-F]{6}")
MOST_SIGNS = 80
"""The longest value within a sentence."""
LARGEST = 10_000
"""The largest crop size, n and T: a larger one is a typing error."""


@dataclass(frozen=True, slots=True)
class Setting:
    """The meaning and limits of a field, as in ``n: Annotated[int, Setting("Crops in a query.", ge=1)]``.

    A number, or each of a list, lies from `ge`, or above `gt`, to `le`, in `unit`; a text passes `fits`, which
    `expected` says in words. `key` is the name in a file, if it differs from the field's. `absent` says what applies
    without it if no value of a file can; `example` is then a value.
    """

    meaning: str
    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    unit: str = ""
    expected: str = ""
    fits: Callable[[str], bool] | None = None
    key: str = ""
    absent: str = ""
    example: Any = ""


@dataclass(frozen=True, slots=True)
class Key:
    """A setting by its name in a file: the `attribute` that holds it, its type, and the default (MISSING: none)."""

    name: str
    attribute: str
    kind: Any
    setting: Setting
    default: Any = field(compare=False)

    @property
    def expected(self) -> str:
        """The values that it takes, in words."""
        if self.setting.expected:
            return self.setting.expected
        if get_origin(self.kind) is Literal:
            return f"one of {', '.join(get_args(self.kind))}"
        if get_origin(self.kind) is tuple:
            return f"a list of {NUMBERS[get_args(self.kind)[0]]}s{self._range}"
        return {bool: "true or false", str: "text"}.get(self.kind) or f"a {NUMBERS[self.kind]}{self._range}"

    @property
    def default_in_words(self) -> str:
        """The default in words, "" if a file must have the key."""
        return self.setting.absent or ("" if self.default is MISSING else shown(self.default))

    @property
    def _range(self) -> str:
        own = self.setting
        least = f" above {own.gt:g}" if own.gt is not None else f" from {own.ge:g}" if own.ge is not None else ""
        most = f" to {own.le:g}" if own.le is not None else ""
        return least + most + (f" {own.unit}" if own.unit else "")


def line(meaning: str, absent: str = "", example: str = "") -> Setting:
    """Return a setting that is text of one line."""
    return Setting(meaning, fits=is_a_line, expected="text of one line", absent=absent, example=example)


def is_a_line(text: str) -> bool:
    """Return whether a text is not empty, in one line, that can be written to a file."""
    return bool(text.strip()) and not {unicodedata.category(sign) for sign in text} & {"Cc", "Cs", "Zl", "Zp"}


def is_a_colour(text: str) -> bool:
    """Return whether a text is a colour as #rrggbb."""
    return COLOUR.fullmatch(text) is not None


def rgb_of(colour: str) -> tuple[int, int, int]:
    """Return red, green and blue, 0 to 255, of a colour as #rrggbb."""
    red, green, blue = bytes.fromhex(colour[1:])
    return red, green, blue


def shown(value: object) -> str:
    """Return a value as TOML writes it, in one line; "none" where there is none."""
    return "none" if value is None else json.dumps(value, ensure_ascii=False, default=str)


def shortened(text: str) -> str:
    """Return a text for a sentence: a long one is cut."""
    return text if len(text) <= MOST_SIGNS else f"{text[:MOST_SIGNS]} …"


@cache
def keys_of(owner: type, defaults: object = None) -> tuple[Key, ...]:
    """Return the settings among the fields of a dataclass, with their defaults, or the values of `defaults`."""
    keys = []
    for each in fields(owner):
        if get_origin(each.type) is not Annotated:
            continue
        bare, setting = get_args(each.type)
        default = each.default if each.default_factory is MISSING else each.default_factory()
        default = default if defaults is None else getattr(defaults, each.name)
        kind = next((member for member in get_args(bare) if NoneType in get_args(bare)), bare)
        keys.append(Key(setting.key or each.name, each.name, kind, setting, default))
    return tuple(keys)


def key_of(kind: type, name: str) -> Key:
    """Return one setting of a dataclass."""
    return next(each for each in keys_of(kind) if each.attribute == name)


def table_of(value: Any) -> dict[str, Any]:
    """Return the settings of a dataclass as the table of a file; None is left out."""
    kind: type = type(value)
    entries = {key.name: getattr(value, key.attribute) for key in keys_of(kind)}
    return {name: entry for name, entry in entries.items() if entry is not None}


def in_common(source: Any, kind: type) -> dict[str, Any]:
    """Return the values of the fields that a dataclass shares with another."""
    return {each.name: getattr(source, each.name) for each in fields(source) if each.name in kind.__dataclass_fields__}  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class Tables:
    """The settings of a file: at its top, in its tables, and in its lists of tables, each with the word for an entry.

    An invalid value raises a `refusal` that names the key, its value, its place and the remedy.
    """

    refusal: type[CostalError]
    top: tuple[Key, ...]
    tables: Mapping[str, tuple[Key, ...]]
    lists: Mapping[str, tuple[str, tuple[Key, ...]]]

    def read(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Return a document's values by field: settings of its top, a dict for each table, a list for each list."""
        inner: dict[str, Any] = {name: {} for name in self.tables} | dict.fromkeys(self.lists, ()) | dict(document)
        own = {name: inner.pop(name) for name in (*self.tables, *self.lists)}
        values = self._values(self.top, inner, "", (*self.tables, *self.lists))
        for name, keys in self.tables.items():
            if not isinstance(own[name], Mapping):
                raise self.refusal(
                    f"{name} = {shown(own[name])} should be a table. Write its keys below a line [{name}]."
                )
            values[name] = self._values(keys, own[name], f" of [{name}]")
        for name, (word, keys) in self.lists.items():
            entries = own[name]
            if not isinstance(entries, Sequence) or not all(isinstance(entry, Mapping) for entry in entries):
                raise self.refusal(
                    f"'{name}' should be a list of tables. Write [[{name}]], in two brackets, above each {word}."
                )
            values[name] = [
                self._values(keys, entry, f" of {word} {number}{_named(entry)}")
                for number, entry in enumerate(entries, 1)
            ]
        return values

    def _values(
        self, keys: tuple[Key, ...], table: Mapping[str, Any], of: str, more: Sequence[str] = ()
    ) -> dict[str, Any]:
        """Return the values of a table, by field; `of` names the table in a sentence."""
        from pydantic import ValidationError

        try:
            values = _model(keys).model_validate(dict(table))
        except ValidationError as error:
            raise self.refusal(self._sentence(keys, table, of, more, error)) from error
        return {key.attribute: getattr(values, key.name) for key in keys if key.name in values.model_fields_set}

    def _sentence(
        self, keys: tuple[Key, ...], table: Mapping[str, Any], of: str, more: Sequence[str], error: "ValidationError"
    ) -> str:
        fault = min(error.errors(include_url=False), key=lambda each: each["type"] != "extra_forbidden")
        name, known = str(fault["loc"][0]), {key.name: key for key in keys}
        if name not in known:
            return f"'{name}'{of} is not known. {self._nearest(name, [*known, *more])}"
        if fault["type"] == "missing":
            return f"'{name}'{of} is missing. Add it: {known[name].expected}."
        default = known[name].default_in_words
        remedy = f"Correct it, or remove it for the default: {default}." if default else "Correct it."
        return f"{name} = {shortened(shown(table[name]))}{of} should be {known[name].expected}. {remedy}"

    def _nearest(self, name: str, known: Sequence[str]) -> str:
        """Return the sentence that says where an unknown key belongs, or which key was probably meant."""
        places = {"the top of the file": self.top} | {f"[{each}]": keys for each, keys in self.tables.items()}
        places |= {f"[[{each}]]": keys for each, (_, keys) in self.lists.items()}
        for place, keys in places.items():
            if name in [key.name for key in keys]:
                return f"It belongs to {place}: move it there."
        close = difflib.get_close_matches(name, known, 1)
        return f"Did you mean '{close[0]}'?" if close else f"The known keys are {', '.join(known)}."


def _named(entry: Mapping[str, Any]) -> str:
    name = entry.get("name")
    return f" ({shortened(name)})" if isinstance(name, str) and is_a_line(name) else ""


@cache
def _model(keys: tuple[Key, ...]) -> type["BaseModel"]:
    """Return the pydantic model of a table: nothing unknown, nothing converted but whole numbers to floats."""
    from pydantic import ConfigDict, create_model

    config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
    entries: dict[str, Any] = {key.name: (_checked(key), None if key.default_in_words else ...) for key in keys}
    return create_model("Table", __config__=config, **entries)


def _checked(key: Key) -> Any:
    """Return the type of a setting as pydantic checks it."""
    from pydantic import AfterValidator, Field

    own = key.setting
    limits = Field(ge=own.ge, gt=own.gt, le=own.le)
    if get_origin(key.kind) is tuple:
        (each, _) = get_args(key.kind)
        return Annotated[tuple[Annotated[each, limits], ...], Field(strict=False)]  # type: ignore[valid-type]
    if own.fits is None:
        return Annotated[key.kind, limits]

    def fitting(text: str) -> str:
        if not (own.fits and own.fits(text)):
            raise ValueError
        return text

    return Annotated[key.kind, AfterValidator(fitting)]
