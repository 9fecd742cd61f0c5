"""Makes fields of a form from settings: each setting gives range, choices, default and tool tip."""

from dataclasses import MISSING
from typing import Any, Literal, get_args, get_origin

from magicgui.widgets import CheckBox, ComboBox, FloatSpinBox, LineEdit, SpinBox

from costal.settings import key_of

LARGEST_NUMBER = 2**31 - 1
"""The bounds of a setting without bounds: those of Qt."""


def setting_field(kind: type, name: str, label: str, **options: Any) -> Any:
    """Return the magicgui field of one setting of a dataclass; `options` override the setting."""
    key = key_of(kind, name)
    value = {} if key.default is MISSING else {"value": key.default}
    options = value | {"tooltip": key.setting.meaning} | options
    if "choices" in options:
        return ComboBox(label=label, **options)
    if get_origin(key.kind) is Literal:
        return ComboBox(label=label, choices=list(get_args(key.kind)), **options)
    if key.kind is bool:
        return CheckBox(text=label, **options)
    if key.kind is str:
        return LineEdit(label=label, **options)
    most = key.setting.le if key.setting.le is not None else LARGEST_NUMBER
    box = SpinBox if key.kind is int else FloatSpinBox
    return box(label=label, **{"min": key.kind(key.setting.ge or 0), "max": key.kind(most)} | options)
