"""The mouse wheel over a dock scrolls the dock: it changes a value only where the user has clicked into it."""

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import QAbstractSlider, QAbstractSpinBox, QComboBox, QScrollBar, QWidget


class WheelGuard(QObject):
    """Keeps the wheel from spin boxes, combo boxes and sliders that have no focus; what is around them scrolls."""

    def guard(self, widget: QWidget) -> None:
        """Guard all that are within a widget now; to do it again changes nothing."""
        for each in widget.findChildren(QWidget):
            if isinstance(each, (QAbstractSpinBox, QComboBox, QAbstractSlider)) and not isinstance(each, QScrollBar):
                each.setFocusPolicy(Qt.FocusPolicy.StrongFocus)  # by clicks and Tab, not by the wheel itself
                each.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Pass a wheel event on to what is around a widget without focus."""
        if event is None or event.type() != QEvent.Type.Wheel or not isinstance(watched, QWidget):
            return False
        if watched.hasFocus():
            return False
        event.ignore()
        return True
