"""An application with slice views, and comparisons in it."""

from pathlib import Path

import pytest

from Testing.slicer.offscreen import SliceApplication
from Testing.slicer.pairs import add_pair, matrix_of, speckle

MODULE_FOLDER = Path(__file__).parents[3] / "Speckle2SelfSlicer"


@pytest.fixture
def the_library(a_scene, monkeypatch):
    """Make `Speckle2SelfSlicerLib` importable, without the module's own file."""
    monkeypatch.syspath_prepend(MODULE_FOLDER)


@pytest.fixture
def an_application(a_scene):
    application = SliceApplication(a_scene)
    yield application
    application.close()


@pytest.fixture
def a_pair(an_application):
    return add_pair(speckle())


@pytest.fixture
def compare(the_library, an_application, a_pair):
    """Make a comparison, of `a_pair` unless another one is given."""
    from Speckle2SelfSlicerLib.compare import Comparison

    def make(pair=a_pair, slice_axis="z"):
        return Comparison(*pair, an_application.logic, an_application.layout_node, slice_axis)

    return make


@pytest.fixture
def modes(the_library):
    from Speckle2SelfSlicerLib.compare import CompareMode

    return CompareMode


@pytest.fixture
def volumes_in(an_application):
    """Give background, foreground and label volume of a view."""

    def volumes(name):
        return tuple(an_application.composite(name).GetNthLayerVolume(layer) for layer in range(3))

    return volumes


@pytest.fixture
def everything(an_application, volumes_in):
    """Give all that `restore` has to bring back in the user's views."""

    def state():
        layout_node = an_application.layout_node
        found = {
            "layout": layout_node.GetViewArrangement(),
            "maximized": [
                layout_node.GetMaximizedViewNode(number)
                for number in range(layout_node.GetNumberOfMaximizedViewNodes())
            ],
        }
        for name in ("Red", "Green", "Yellow"):
            composite, node = an_application.composite(name), an_application.slice_node(name)
            found[name] = (
                volumes_in(name),
                (composite.GetForegroundOpacity(), composite.GetLabelOpacity()),
                (composite.GetLinkedControl(), composite.GetHotLinkedControl()),
                matrix_of(node.GetSliceToRAS()).round(9).tolist(),
                (node.GetFieldOfView(), node.GetXYZOrigin(), node.GetOrientation()),
            )
        return found

    return state
