from costal.labels.project import LabelClass
from costal.workbench.class_guide import ClassExamples
from napari_costal.label_crops.class_guide import LEAST_PX, GuideView


def row(number):
    return ClassExamples(LabelClass(number, f"class {number}", str(number), "#336699"), ())


def test_a_class_that_is_added_while_the_guide_is_in_sight_takes_its_room(qtbot):
    view = GuideView()
    qtbot.addWidget(view)
    view.resize(400, 400)
    view.show()
    view.fill([row(1)], None)
    one_px = view._page.sizeHint().height()
    view.fill([row(1), row(2), row(3)], None)
    assert view._page.sizeHint().height() > 2 * one_px > 0
    qtbot.waitUntil(lambda: view._scroll.height() > LEAST_PX, timeout=2000)
