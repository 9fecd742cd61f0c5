"""The keys while a crop is being labelled: those of the classes first, then those of the tools."""

from collections.abc import Callable, Mapping
from functools import partial
from html import escape

from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import QWidget

from costal.labels.project import LabelClass
from napari_costal.ui.tools import TOOLS

ALWAYS = {name: tool.key for name, tool in TOOLS.items() if tool.is_fixed}
USUAL = (("Ctrl+Z", "undo"), ("Ctrl+Y", "redo"), ("Ctrl+Shift+Z", "redo"))


class LabellingKeys:
    """The keys of the active classes and tools; they work in a whole window while they are bound."""

    def __init__(self, tool_keys: Mapping[str, str]) -> None:
        self._tool_keys = dict(tool_keys)
        self.classes: tuple[LabelClass, ...] = ()
        self.tools = [name for name in TOOLS if name in (*self._tool_keys, *ALWAYS)]
        self.shortcuts: list[QShortcut] = []

    @property
    def are_bound(self) -> bool:
        """Whether keys are bound."""
        return bool(self.shortcuts)

    def bind(
        self,
        window: QWidget,
        give: Callable[[int], None],
        use: Callable[[str], None],
        stroke: Callable[[Callable[[], None]], None],
    ) -> None:
        """Bind the keys in a window; Qt also sends it the keys of a floating dock.

        `give` takes the id of a class, `use` the name of a tool; `stroke` runs one of these for a key press.
        """
        acts: dict[str, Callable[[], None]] = {each.key: partial(give, each.id) for each in self.classes if each.key}
        acts |= {key: partial(use, name) for name, key in self._tool_keys.items() if self._is_free(key)}
        acts |= {keys: partial(use, name) for keys, name in USUAL if name in self._tool_keys}
        acts |= {key: partial(use, name) for name, key in ALWAYS.items()}
        for keys, act in acts.items():
            shortcut = QShortcut(QKeySequence(keys), window)
            shortcut.setAutoRepeat(False)
            shortcut.activated.connect(partial(stroke, act))
            self.shortcuts.append(shortcut)

    def unbind(self) -> None:
        """Give the keys back to the window."""
        self.enable(False)
        for shortcut in self.shortcuts:
            shortcut.deleteLater()
        self.shortcuts = []

    def enable(self, enabled: bool) -> None:
        """Enable or disable the bound keys."""
        for shortcut in self.shortcuts:
            shortcut.setEnabled(enabled)

    def _is_free(self, key: str) -> bool:
        """Return whether a tool may have a key: the key of a class takes precedence."""
        return bool(key) and key.upper() not in {each.key.upper() for each in self.classes}

    def key_of(self, name: str) -> str:
        """Return the key of a tool, "" if it has none."""
        key = ALWAYS.get(name) or self._tool_keys.get(name, "")
        return key if self._is_free(key) else ""

    def sheet(self) -> str:
        """Return the table of keys, classes first, as HTML."""
        classes = [(each.key, each.name) for each in self.classes if each.key]
        tools = [(self.key_of(name), f"{TOOLS[name].word.lower()}: {TOOLS[name].does}") for name in self.tools]
        rows = "".join(
            f"<tr><td><b>{key}</b>&nbsp;&nbsp;</td><td>{escape(does)}</td></tr>" for key, does in classes + tools
        )
        return f"<table>{rows}</table>"


def labelled_with(text: str, key: str, between: str) -> str:
    """Return the text of a button with its key, unless both are the same."""
    return between.format(text=text, key=key) if key not in ("", text) else text
