import numpy as np
import pytest
import SimpleITK

from Speckle2SelfLogic.errors import ImageFileError, UnsupportedImageError
from Speckle2SelfLogic.image import UltrasoundImage
from Speckle2SelfLogic.io import read_image, write_image
from Speckle2SelfLogic.segment_batch import plan_labels
from Speckle2SelfLogic.segmentation_files import check_labels_writable, read_labels, write_labels

NAMES = ("Lumen", "Wall")
TURNED = (0.8, -0.6, 0.6, 0.8)


@pytest.fixture
def a_label_frame():
    labels = np.zeros((5, 6), np.uint8)
    labels[1:4, 1:5], labels[2, 2:4] = 2, 1
    return UltrasoundImage(labels, "YX", (0.1, 0.2), (3.0, -4.0), TURNED)


@pytest.fixture
def a_label_cine(a_label_frame):
    return UltrasoundImage(np.stack([a_label_frame.pixels, a_label_frame.pixels[::-1]]), "TYX", (0.1, 0.2, 0.04))


def test_a_seg_nrrd_of_a_cine_comes_back_as_a_cine_with_names(a_label_cine, tmp_path):
    write_labels(a_label_cine, tmp_path / "a.seg.nrrd", NAMES)
    back = read_labels(tmp_path / "a.seg.nrrd")
    assert back.names == NAMES
    assert back.labels.axes == "TYX"
    assert back.labels.same_geometry(a_label_cine, 1e-9)
    np.testing.assert_array_equal(back.labels.pixels, a_label_cine.pixels)


def test_a_frame_becomes_one_slice_that_lies_in_the_plane_of_the_frame(a_label_frame, tmp_path):
    write_labels(a_label_frame, tmp_path / "a.seg.nrrd", NAMES)
    volume = SimpleITK.ReadImage(str(tmp_path / "a.seg.nrrd"))
    frame = SimpleITK.GetImageFromArray(a_label_frame.pixels)
    frame.SetSpacing(a_label_frame.spacing_mm)
    frame.SetOrigin(a_label_frame.origin_mm)
    frame.SetDirection(a_label_frame.direction)
    expected = frame.TransformIndexToPhysicalPoint((4, 3))
    assert volume.TransformIndexToPhysicalPoint((4, 3, 0)) == pytest.approx((*expected, 0.0))
    assert volume.GetMetaData("Segment1_Name") == "Wall"
    assert volume.GetMetaData("Segment1_LabelValue") == "2"


def test_slicer_reads_the_segments_of_a_seg_nrrd(a_label_frame, tmp_path):
    slicer = pytest.importorskip("slicer", reason="needs slicer-core")
    write_labels(a_label_frame, tmp_path / "a.seg.nrrd", NAMES)
    scene = slicer.vtkMRMLScene()
    logic = slicer.vtkSlicerSegmentationsModuleLogic()
    logic.SetMRMLScene(scene)
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    storage = scene.AddNewNodeByClass("vtkMRMLSegmentationStorageNode")
    storage.SetFileName(str(tmp_path / "a.seg.nrrd"))
    assert storage.ReadData(node)
    segmentation = node.GetSegmentation()
    names = [segmentation.GetNthSegment(number).GetName() for number in range(segmentation.GetNumberOfSegments())]
    assert names == list(NAMES)


@pytest.mark.parametrize("name", ["a.nrrd", "a.mha", "a.nii.gz", "a.png", "a.npy"])
def test_labels_come_back_exactly_from_every_format(a_label_frame, name, tmp_path, recwarn):
    write_labels(a_label_frame, tmp_path / name, NAMES)
    recwarn.clear()  # a picture says that it cannot hold the geometry
    np.testing.assert_array_equal(np.squeeze(read_labels(tmp_path / name).labels.pixels), a_label_frame.pixels)


def test_layers_of_a_seg_nrrd_become_one_label_image_in_the_order_of_its_header(tmp_path):
    first, second = np.zeros((2, 1, 4, 4), np.uint8)
    first[0, :3], second[0, 2:] = 1, 5
    layers = SimpleITK.GetImageFromArray(np.stack([first, second], -1), isVector=True)
    for key, text in {
        "Segment0_Name": "outer", "Segment0_Layer": "0", "Segment0_LabelValue": "1",
        "Segment1_Name": "inner", "Segment1_Layer": "1", "Segment1_LabelValue": "5",
    }.items():  # fmt: skip
        layers.SetMetaData(key, text)
    SimpleITK.WriteImage(layers, str(tmp_path / "layers.seg.nrrd"))
    text = (tmp_path / "layers.seg.nrrd").read_bytes()
    (tmp_path / "layers.seg.nrrd").write_bytes(text.replace(b"kinds: vector", b"kinds: list"))
    back = read_labels(tmp_path / "layers.seg.nrrd")
    assert back.names == ("outer", "inner")
    assert back.labels.axes == "ZYX"
    np.testing.assert_array_equal(back.labels.pixels[0, :, 0], [1, 1, 2, 2])


def test_a_format_that_would_change_labels_is_refused(a_label_frame, tmp_path):
    with pytest.raises(ImageFileError, match="cannot hold labels"):
        check_labels_writable(a_label_frame, tmp_path / "a.jpg")


def test_a_dicom_segmentation_needs_a_dicom_image(a_label_frame, tmp_path):
    with pytest.raises(ImageFileError):
        write_labels(a_label_frame, tmp_path / "a.dcm", NAMES)
    assert list(tmp_path.iterdir()) == []


def test_a_cine_of_volumes_does_not_fit_a_seg_nrrd(tmp_path):
    labels = UltrasoundImage(np.zeros((2, 2, 3, 3), np.uint8), "TZYX")
    with pytest.raises(ImageFileError, match="holds 3 axes"):
        check_labels_writable(labels, tmp_path / "a.seg.nrrd")


def test_a_grey_image_is_no_label_image(tmp_path):
    write_image(UltrasoundImage(np.full((3, 3), 0.5, np.float32), "YX"), tmp_path / "a.nrrd")
    with pytest.raises(UnsupportedImageError, match="whole numbers"):
        read_labels(tmp_path / "a.nrrd")


def test_a_folder_is_planned_with_the_ending_that_is_asked_for(a_label_frame, tmp_path, recwarn):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    for name in ("a.png", "deep/b.nii.gz", "c.seg.nrrd"):
        write_labels(a_label_frame, tmp_path / "in" / name, NAMES)
    recwarn.clear()
    planned = plan_labels(tmp_path / "in", tmp_path / "out", suffix=".seg.nrrd")
    assert [file.target.relative_to(tmp_path / "out").as_posix() for file in planned] == [
        "a.seg.nrrd",
        "deep/b.seg.nrrd",
    ]


def test_an_output_that_exists_is_kept(a_label_frame, tmp_path):
    write_image(a_label_frame, tmp_path / "a.nrrd")
    write_image(a_label_frame, tmp_path / "b.nrrd")
    with pytest.raises(ImageFileError, match="exists already"):
        plan_labels(tmp_path / "a.nrrd", tmp_path / "b.nrrd")
    assert read_image(tmp_path / "b.nrrd").pixels.shape == (5, 6)
