"""Makes the mouse wheel scroll a dock; it changes the value of a field only after a click into the field."""

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import QAbstractSlider, QAbstractSpinBox, QComboBox, QScrollBar, QWidget


class WheelGuard(QObject):
    """Keeps wheel events from spin boxes, combo boxes and sliders without focus; the area around them scrolls."""

    def guard(self, widget: QWidget) -> None:
        """Guard all such fields of a widget; a second call changes nothing."""
        for each in widget.findChildren(QWidget):
            if isinstance(each, (QAbstractSpinBox, QComboBox, QAbstractSlider)) and not isinstance(each, QScrollBar):
                each.setFocusPolicy(Qt.FocusPolicy.StrongFocus)  # by clicks and Tab, not by the wheel itself
                each.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Pass a wheel event to the parent of a widget without focus."""
        if event is None or event.type() != QEvent.Type.Wheel or not isinstance(watched, QWidget):
            return False
        if watched.hasFocus():
            return False
        event.ignore()
        return True
