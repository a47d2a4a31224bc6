"""The sample cine: what ships is what the simulator makes, and Slicer can fetch and load it."""

import hashlib
import sys
import types
import urllib.request

import numpy as np
import pytest
from PIL import Image

from Testing.slicer import sample_cine

# fmt: off
KNOWN_TO_SLICER_5_8 = {
    "category", "sampleName", "uris", "fileNames", "nodeNames", "customDownloader", "thumbnailFileName",
    "loadFileTypes", "loadFiles", "loadFileProperties", "checksums", "loadFileType",
}
# fmt: on


@pytest.fixture
def sample_data(the_module):
    from Speckle2SelfSlicerLib import sample_data

    return sample_data


@pytest.fixture
def slicers_sample_data(monkeypatch):
    """Slicer's module "Sample Data" as of 5.12; takes down what is registered."""
    module = types.ModuleType("SampleData")
    module.sources, module.categories = [], []

    class SampleDataLogic:
        @staticmethod
        def registerCustomSampleDataCategory(category, title):  # noqa: N802
            module.categories.append((category, title))

        @staticmethod
        def registerCustomSampleDataSource(**described):  # noqa: N802
            assert set(described) <= KNOWN_TO_SLICER_5_8
            module.sources.append(described)

    module.SampleDataLogic = SampleDataLogic
    monkeypatch.setitem(sys.modules, "SampleData", module)
    return module


def pixels_of(volume):
    import slicer.util

    return slicer.util.arrayFromVolume(volume)


def read(scene, path):
    """Read a file as Slicer's reader of type "SequenceFile" does."""
    import slicer

    scene.sequences_logic = slicer.vtkSlicerSequencesLogic()
    scene.sequences_logic.SetMRMLScene(scene)
    return scene.sequences_logic.AddSequence(str(path))


def test_the_cine_that_ships_is_what_the_command_makes(a_scene):
    sequence, made = read(a_scene, sample_cine.CINE), sample_cine.cine()
    shipped = np.concatenate([pixels_of(sequence.GetNthDataNode(number)) for number in range(16)])
    difference = np.abs(shipped.astype(int) - made.pixels)
    assert shipped.shape == made.pixels.shape == (16, 256, 256)
    assert difference.max() <= 1  # another processor may round a value differently
    assert np.count_nonzero(difference) < 1e-4 * difference.size


def test_its_frames_are_slices_with_the_geometry_that_slicer_gives_to_ultrasound(a_scene):
    import slicer.util
    import vtk

    sequence = read(a_scene, sample_cine.CINE)
    matrix = vtk.vtkMatrix4x4()
    for number in range(sequence.GetNumberOfDataNodes()):
        frame = sequence.GetNthDataNode(number)
        frame.GetIJKToRASMatrix(matrix)
        assert frame.GetClassName() == "vtkMRMLScalarVolumeNode"
        assert frame.GetImageData().GetDimensions() == (256, 256, 1)
        np.testing.assert_allclose(slicer.util.arrayFromVTKMatrix(matrix), np.diag((-40 / 256, -40 / 256, 1, 1)))


def test_it_plays_one_heart_beat_in_seconds(a_scene):
    sequence = read(a_scene, sample_cine.CINE)
    assert (sequence.GetIndexName(), sequence.GetIndexUnit()) == ("time", "s")
    times = [float(sequence.GetNthIndexValue(number)) for number in range(sequence.GetNumberOfDataNodes())]
    np.testing.assert_allclose(times, np.arange(16) * 0.05)


def test_encoding_keeps_unequal_sizes_and_spacings(a_scene, tmp_path):
    from dataclasses import replace

    import slicer.util
    import vtk

    made = sample_cine.cine()
    small = replace(made, pixels=np.arange(30, dtype=np.uint8).reshape(2, 3, 5), spacing_mm=(0.5, 0.25, 1.0))
    (tmp_path / "small.seq.nrrd").write_bytes(sample_cine.encode(small))
    sequence = read(a_scene, tmp_path / "small.seq.nrrd")
    matrix = vtk.vtkMatrix4x4()
    sequence.GetNthDataNode(1).GetIJKToRASMatrix(matrix)
    np.testing.assert_array_equal(slicer.util.arrayFromVTKMatrix(matrix), np.diag((-0.5, -0.25, 1, 1)))
    np.testing.assert_array_equal(pixels_of(sequence.GetNthDataNode(1))[0], small.pixels[1])
    assert sample_cine.encode(small) == sample_cine.encode(small)


def test_it_is_small_and_says_that_it_is_no_patient():
    content = sample_cine.CINE.read_bytes()
    assert len(content) < 1e6
    assert b"simulated carotid artery" in content[:300]
    assert b"no patient" in content[:300]


def test_what_is_registered_can_be_fetched_checked_and_loaded(a_scene, sample_data, slicers_sample_data, tmp_path):
    sample_data.register_sample_data()
    (source,) = slicers_sample_data.sources
    cached = tmp_path / source["fileNames"]
    urllib.request.urlretrieve(source["uris"], cached)  # noqa: S310 - what Slicer does
    assert source["checksums"] == f"SHA256:{hashlib.sha256(cached.read_bytes()).hexdigest()}"
    assert source["loadFileTypes"] == "SequenceFile"
    assert read(a_scene, cached).GetNumberOfDataNodes() == 16
    assert slicers_sample_data.categories == [(source["category"], "Speckle2Self")]


def test_a_path_with_spaces_and_umlauts_can_be_fetched(sample_data, tmp_path):
    folder = tmp_path / "Ärzte & Co #1"
    folder.mkdir()
    (folder / "cine 100%.nrrd").write_bytes(b"content")
    with urllib.request.urlopen(sample_data.uri_of(folder / "cine 100%.nrrd")) as opened:  # noqa: S310
        assert opened.read() == b"content"


def test_it_is_registered_in_a_slicer_that_knows_no_categories(sample_data, slicers_sample_data):
    del slicers_sample_data.SampleDataLogic.registerCustomSampleDataCategory
    sample_data.register_sample_data()
    assert [source["sampleName"] for source in slicers_sample_data.sources] == ["SimulatedCarotid"]


def test_a_slicer_without_the_module_sample_data_starts_as_well(sample_data, monkeypatch):
    monkeypatch.setitem(sys.modules, "SampleData", None)
    sample_data.register_sample_data()


def test_the_thumbnail_shows_the_first_frame(sample_data, slicers_sample_data):
    sample_data.register_sample_data()
    with Image.open(slicers_sample_data.sources[0]["thumbnailFileName"]) as picture:
        assert (picture.format, picture.size) == ("PNG", (260, 280))
        shown, made = np.asarray(picture, float), np.asarray(sample_cine.thumbnail(sample_cine.cine()), float)
    assert np.abs(shown - made).mean() < 1


def test_the_module_registers_it_once_slicer_has_started(the_module):
    import inspect

    assert 'connect("startupCompleted()", register_sample_data)' in inspect.getsource(the_module.Speckle2SelfSlicer)
