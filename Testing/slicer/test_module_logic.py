"""The module's logic on real MRML. What needs `slicer-core` is skipped where it is not installed (conftest.py)."""

import importlib
import io
import re
import subprocess
import sys
import unittest
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import SimpleITK

from Speckle2SelfLogic.errors import SettingsError, UnsupportedImageError
from Speckle2SelfLogic.weights import DEFAULT_MODEL
from Testing.slicer.cines import Inverse
from Testing.slicer.pairs import ijk_to_ras_of, pixels_of

ROOT = Path(__file__).parents[2]
OBLIQUE_IJK_TO_RAS = np.array(
    [[0.0, -0.18, 0.72, 12.5], [0.3, 0.0, 0.0, -40.25], [0.0, 0.24, 0.54, 7.0], [0.0, 0.0, 0.0, 1.0]]
)


class Broken(Inverse):
    def despeckle(self, frames_nyx):
        message = f"no result for {len(frames_nyx)} frames"
        raise RuntimeError(message)


def speckle(dtype=np.uint8, shape=(3, 24, 20)):
    return np.random.default_rng(0).integers(1, 255, shape).astype(dtype)


@pytest.fixture
def add_volume(a_scene):
    import slicer

    return slicer.util.addVolumeFromArray


@pytest.fixture
def a_volume(add_volume):
    volume = add_volume(speckle(), OBLIQUE_IJK_TO_RAS, "Carotid")
    volume.GetDisplayNode().SetAutoWindowLevel(False)
    volume.GetDisplayNode().SetWindowLevel(120, 75)
    volume.SetAttribute("DICOM.instanceUIDs", "1.2.3 1.2.4")
    return volume


@pytest.fixture
def an_rgb_volume(add_volume):
    grey = speckle()[..., None].repeat(3, axis=3)
    return add_volume(grey, OBLIQUE_IJK_TO_RAS, "Screen", "vtkMRMLVectorVolumeNode")


@pytest.mark.usefixtures("a_slicer_app")
def test_the_self_test_of_the_module_passes():
    module = importlib.import_module("Speckle2SelfSlicer")
    module.Speckle2SelfSlicerTest().runTest()


@pytest.mark.usefixtures("a_slicer_app")
def test_every_self_test_also_passes_alone_as_slicer_runs_them():
    module = importlib.import_module("Speckle2SelfSlicer")
    loaded = unittest.defaultTestLoader.loadTestsFromTestCase(module.Speckle2SelfSlicerTest)
    result = unittest.TextTestRunner(stream=io.StringIO()).run(loaded)
    assert result.wasSuccessful(), [*result.failures, *result.errors]
    assert result.testsRun == 5


@pytest.mark.usefixtures("a_slicer_app")
def test_the_module_describes_itself():
    parent = SimpleNamespace()
    importlib.import_module("Speckle2SelfSlicer").Speckle2SelfSlicer(parent)
    assert (parent.title, parent.categories) == ("Speckle2Self", ["Ultrasound"])
    assert "Research use only. Not for diagnosis." in parent.helpText
    assert "Li, N. Navab, Z. Jiang" in parent.acknowledgementText


def test_output_keeps_oblique_geometry_parent_transform_and_window_level(a_logic, a_scene, a_volume):
    transform = a_scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "Probe")
    a_volume.SetAndObserveTransformNodeID(transform.GetID())
    output = a_logic.process(a_volume, method=Inverse())
    np.testing.assert_array_equal(ijk_to_ras_of(output), ijk_to_ras_of(a_volume))
    assert output.GetTransformNodeID() == transform.GetID()
    display = output.GetDisplayNode()
    assert (display.GetWindow(), display.GetLevel(), display.GetAutoWindowLevel()) == (120, 75, 0)
    np.testing.assert_array_equal(pixels_of(output), 255 - speckle())


def test_an_automatic_window_level_is_kept_as_it_is_shown(a_logic, a_volume):
    a_volume.GetDisplayNode().SetAutoWindowLevel(True)
    shown = (a_volume.GetDisplayNode().GetWindow(), a_volume.GetDisplayNode().GetLevel())
    output = a_logic.process(a_volume, method="median")
    assert (output.GetDisplayNode().GetWindow(), output.GetDisplayNode().GetLevel()) == shown
    assert pixels_of(output).max() < pixels_of(a_volume).max()  # automatic levels would have changed


def test_colour_table_is_kept(a_logic, a_scene, a_volume):
    table = a_scene.AddNewNodeByClass("vtkMRMLColorTableNode", "Warm")
    a_volume.GetDisplayNode().SetAndObserveColorNodeID(table.GetID())
    assert a_logic.process(a_volume, method=Inverse()).GetDisplayNode().GetColorNodeID() == table.GetID()


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64])
def test_output_keeps_the_data_type(a_logic, add_volume, dtype):
    volume = add_volume(speckle(dtype), name="Typed")
    output = a_logic.process(volume, method=Inverse())
    assert output.GetImageData().GetScalarType() == volume.GetImageData().GetScalarType()
    assert pixels_of(output).dtype == dtype
    assert (pixels_of(output) != pixels_of(volume)).any()


def test_input_is_never_changed_and_every_run_makes_a_new_volume(a_logic, a_scene, a_volume):
    first = a_logic.process(a_volume, method=Inverse())
    second = a_logic.process(a_volume, method=Inverse())
    assert len({a_volume, first, second}) == 3
    assert first.GetName() == "Carotid (Speckle2Self)"
    assert second.GetName() not in (first.GetName(), a_volume.GetName())
    assert a_scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 3
    np.testing.assert_array_equal(pixels_of(a_volume), speckle())
    assert a_volume.GetAttribute("Speckle2Self.Method") is None


def test_a_given_output_volume_is_filled(a_logic, a_scene, a_volume):
    target = a_scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Mine")
    assert a_logic.process(a_volume, target, Inverse()) is target
    assert target.GetName() == "Mine"
    np.testing.assert_array_equal(ijk_to_ras_of(target), ijk_to_ras_of(a_volume))
    np.testing.assert_array_equal(pixels_of(target), 255 - speckle())


def test_overwriting_the_input_or_mixing_grey_and_rgb_is_refused(a_logic, a_volume, an_rgb_volume):
    with pytest.raises(SettingsError, match="would overwrite its source 'Carotid'"):
        a_logic.process(a_volume, a_volume, Inverse())
    with pytest.raises(SettingsError, match="'Screen' is a vtkMRMLVectorVolumeNode and cannot take"):
        a_logic.process(a_volume, an_rgb_volume, Inverse())
    np.testing.assert_array_equal(pixels_of(a_volume), speckle())


def test_rgb_stays_rgb(a_logic, an_rgb_volume):
    output = a_logic.process(an_rgb_volume, method=Inverse())
    assert output.GetClassName() == "vtkMRMLVectorVolumeNode"
    np.testing.assert_allclose(pixels_of(output).astype(int), 255 - pixels_of(an_rgb_volume).astype(int), atol=1)


def test_strength_zero_is_the_input_bit_for_bit_and_half_is_half_way(a_logic, a_volume):
    np.testing.assert_array_equal(pixels_of(a_logic.process(a_volume, method=Inverse(), strength=0)), speckle())
    half = pixels_of(a_logic.process(a_volume, method=Inverse(), strength=0.5))
    np.testing.assert_allclose(half, 127.5, atol=0.5)
    with pytest.raises(SettingsError, match="between 0 and 1"):
        a_logic.process(a_volume, method=Inverse(), strength=2)


def test_a_classical_filter_runs_by_name(a_logic, a_volume):
    output = a_logic.process(a_volume, method="median")
    assert pixels_of(output).std() < 0.5 * speckle().std()
    assert output.GetAttribute("Speckle2Self.Method") == "median"


def test_the_output_says_how_it_was_made_and_does_not_pass_for_the_dicom_source(a_logic, a_volume):
    output = a_logic.process(a_volume, method=Inverse(), strength=0.8)
    assert output.GetAttribute("Speckle2Self.Method") == "inverse"
    assert output.GetAttribute("Speckle2Self.Strength") == "0.8"
    assert re.match(r"3 of 3 slices despeckled in \d+\.\d s\.", output.GetAttribute("Speckle2Self.Summary"))
    assert output.GetAttribute("DICOM.instanceUIDs") is None


def test_slices_that_were_left_alone_are_named(a_logic, add_volume):
    pixels = speckle()
    pixels[1] = 90
    output = a_logic.process(add_volume(pixels, name="Gap"), method=Inverse())
    summary = output.GetAttribute("Speckle2Self.Summary")
    assert summary.startswith("2 of 3 slices")
    assert "1 left unchanged, the first (slice 1): flat" in summary


def test_a_failing_method_leaves_no_volume_behind(a_logic, a_scene, a_volume):
    with pytest.raises(RuntimeError, match="no result for 1 frames"):
        a_logic.process(a_volume, method=Broken())
    assert a_scene.GetNumberOfNodesByClass("vtkMRMLVolumeNode") == 1


def test_volumes_that_cannot_be_despeckled_are_named(a_logic, a_scene, add_volume):
    from Speckle2SelfSlicerLib.volumes import why_unsupported

    label_map = add_volume(speckle(), name="Mask", nodeClassName="vtkMRMLLabelMapVolumeNode")
    empty = a_scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Empty")
    two = add_volume(speckle(shape=(2, 9, 9, 2)), name="Flow", nodeClassName="vtkMRMLVectorVolumeNode")
    assert why_unsupported(None) == "Choose an ultrasound volume first."
    with pytest.raises(UnsupportedImageError, match="Choose an ultrasound volume first"):
        a_logic.process(None, empty)
    for volume, part in (
        (label_map, "choose a scalar or RGB"),
        (empty, "has no pixels yet"),
        (two, "has 2 components"),
    ):
        assert part in why_unsupported(volume)
        with pytest.raises(UnsupportedImageError, match=part):
            a_logic.process(volume, method=Inverse())


@pytest.mark.usefixtures("the_module")
def test_an_image_of_a_volume_has_the_geometry_that_simpleitk_reads_from_its_file(a_volume, tmp_path):
    from Speckle2SelfSlicerLib.volumes import image_from_volume

    storage = a_volume.CreateDefaultStorageNode()
    storage.SetFileName(str(tmp_path / "carotid.nrrd"))
    assert storage.WriteData(a_volume)
    read = SimpleITK.ReadImage(str(tmp_path / "carotid.nrrd"))
    image = image_from_volume(a_volume)
    assert image.axes == "ZYX"
    np.testing.assert_allclose(image.spacing_mm, read.GetSpacing())
    np.testing.assert_allclose(image.origin_mm, read.GetOrigin())
    np.testing.assert_allclose(image.direction, read.GetDirection(), atol=1e-12)
    np.testing.assert_array_equal(image.pixels, SimpleITK.GetArrayFromImage(read))
    assert image.calibration.is_calibrated


@pytest.mark.usefixtures("the_module")
def test_an_image_does_not_share_memory_with_its_volume_and_1_mm_pixels_count_as_uncalibrated(add_volume):
    from Speckle2SelfSlicerLib.volumes import image_from_volume

    volume = add_volume(speckle(), name="Plain")
    image = image_from_volume(volume)
    pixels_of(volume)[:] = 0
    np.testing.assert_array_equal(image.pixels, speckle())
    assert not image.calibration.is_calibrated


@pytest.mark.usefixtures("a_logic")
def test_methods_start_with_the_default_model_and_hold_the_filters():
    from Speckle2SelfSlicerLib.methods import method_titles

    titles = method_titles()
    assert next(iter(titles)) == DEFAULT_MODEL
    assert titles["median"] == "Median"


@pytest.mark.usefixtures("a_logic")
def test_a_damaged_card_of_the_user_does_not_take_the_methods_away(tmp_path, monkeypatch, caplog):
    from Speckle2SelfSlicerLib.methods import method_titles

    (tmp_path / "mine.json").write_text("{")
    monkeypatch.setenv("SPECKLE2SELF_MODELS", str(tmp_path))
    assert {DEFAULT_MODEL, "median"} <= set(method_titles())
    assert "mine.json" in caplog.text


def test_without_torch_a_network_is_refused_with_the_way_out(a_logic, a_volume, monkeypatch, tmp_path):
    monkeypatch.setenv("SPECKLE2SELF_CACHE", str(tmp_path))  # with a prepared graph another runtime would do
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(SettingsError, match=r"needs PyTorch.*extension 'PyTorch'.*'median'"):
        a_logic.process(a_volume)


def test_the_core_is_found_from_the_source_tree_without_an_installed_one():
    script = (
        "import importlib.util, sys; sys.path.append(sys.argv[1]);"
        "from Speckle2SelfSlicerLib.core_path import make_core_importable as make; make(); make();"
        "print(importlib.util.find_spec('Speckle2SelfLogic').origin, len(sys.path) - len(set(sys.path)), sep='\\n')"
    )
    command = [sys.executable, "-I", "-S", "-c", script, str(ROOT / "Speckle2SelfSlicer")]
    origin, repeated = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert Path(origin) == ROOT / "Speckle2SelfLogic" / "__init__.py"
    assert repeated == "0"


def test_listing_the_methods_does_not_import_torch():
    script = (
        "import sys; sys.path += sys.argv[1:]; from Speckle2SelfSlicerLib.methods import method_titles;"
        "assert method_titles(); print('torch' in sys.modules)"
    )
    command = [sys.executable, "-c", script, str(ROOT / "Speckle2SelfSlicer"), str(ROOT)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "False"


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"inputVolume": "volume"}, "The input must be a vtkMRMLVolumeNode, but is 'volume'"),
        ({"outputVolume": 5}, "The output must be a vtkMRMLVolumeNode, but is 5"),
        ({"region": "box"}, "The region must be a vtkMRMLNode, but is 'box'"),
        ({"strength": None}, "The strength must be a number between 0 and 1, but is None"),
        ({"method": 7}, "The method must be a name, a path, or an object that despeckles, but is 7"),
        ({"method": "x" * 300}, "There is no method, model or weight file 'xxx"),
        ({"method": Path("no/such/file.pt")}, "There is no method, model or weight file 'no"),
        ({"device": "tpu", "method": DEFAULT_MODEL}, "There is no device 'tpu'"),
        ({"sliceAxis": "k"}, "The slice axis must be one of"),
    ],
)
def test_wrong_arguments_are_named(a_logic, a_volume, wrong, sentence):
    with pytest.raises(SettingsError, match=re.escape(sentence)):
        a_logic.process(**{"inputVolume": a_volume, **wrong})


def test_a_closed_logic_says_so(the_module, a_volume):
    logic = the_module.Speckle2SelfSlicerLogic()
    logic.close()
    with pytest.raises(SettingsError, match="This logic was closed"):
        logic.process(a_volume, method=Inverse())
