"""Folders as people have them."""

import numpy as np
import pytest
from PIL import Image

from Speckle2SelfLogic.errors import SettingsError, UnsupportedImageError
from Speckle2SelfLogic.image import Calibration, UltrasoundImage
from Speckle2SelfLogic.io import read_image, write_image
from Speckle2SelfLogic.segmentation_files import write_labels
from Testing.logic.dicom_files import CINE, a_dicom_file
from Testing.training.segmentation_data import disc_frame, set_plan
from Training.segmentation.frames import check_sizes, list_frames
from Training.segmentation.layouts import find_pairs
from Training.segmentation.masks import read_masks

LUMEN = {"lumen": (1,)}


@pytest.fixture
def a_cine():
    frames, masks = zip(*(disc_frame(seed) for seed in range(3)), strict=True)
    known = Calibration(is_calibrated=True, reason="test")
    cine = UltrasoundImage(np.stack(frames), "TYX", (0.1, 0.2, 0.04), calibration=known)
    return cine, cine.with_pixels(np.stack(masks).astype(np.uint8), "masks")


def folders(tmp_path):
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    return tmp_path / "images", tmp_path / "masks"


@pytest.mark.parametrize("ending", [".nrrd", ".nii.gz", ".mha", ".seg.nrrd"])
def test_a_cine_and_its_mask_become_frames_with_labels_and_spacing(a_cine, ending, tmp_path):
    images, masks = folders(tmp_path)
    write_image(a_cine[0], images / "P1_cine.nrrd")
    write_labels(a_cine[1], masks / f"P1_cine{ending}", ("Lumen",))
    frames = list_frames(set_plan(tmp_path), tmp_path / "work")
    check_sizes(frames)
    assert [frame.name for frame in frames] == ["P1_cine.nrrd#0", "P1_cine.nrrd#1", "P1_cine.nrrd#2"]
    assert {frame.subject for frame in frames} == {"discs/P1"}
    assert frames[0].spacing_mm_yx() == pytest.approx((0.2, 0.1))
    for number, frame in enumerate(frames):
        np.testing.assert_array_equal(frame.labels(), a_cine[1].pixels[number])


def test_masks_beside_their_images_are_known_by_the_suffix(tmp_path):
    folder, _ = folders(tmp_path)
    frame, mask = disc_frame(1)
    Image.fromarray(frame).save(folder / "P1_a.png")
    Image.fromarray(np.uint8(mask)).save(folder / "P1_a_mask.png")
    assert find_pairs(set_plan(tmp_path, layout="suffix")) == [(folder / "P1_a.png", folder / "P1_a_mask.png")]


def test_masks_in_their_own_folder_may_have_the_suffix_and_another_ending(tmp_path):
    images, masks = folders(tmp_path)
    frame, mask = disc_frame(1)
    (images / "deep").mkdir()
    (masks / "deep").mkdir()
    Image.fromarray(frame).save(images / "deep" / "P1_a.jpg")
    write_image(UltrasoundImage(np.uint8(mask), "YX"), masks / "deep" / "P1_a_mask.nii.gz")
    assert find_pairs(set_plan(tmp_path)) == [(images / "deep" / "P1_a.jpg", masks / "deep" / "P1_a_mask.nii.gz")]


def test_an_image_without_a_mask_is_named(tmp_path):
    images, masks = folders(tmp_path)
    for name in ("P1_a.png", "P1_b.png"):
        Image.fromarray(disc_frame(1)[0]).save(images / name)
    Image.fromarray(disc_frame(1)[0]).save(masks / "P1_a.png")
    with pytest.raises(SettingsError, match=r"1 of 2 images of 'discs' have no mask .*P1_b\.png"):
        find_pairs(set_plan(tmp_path))


def test_an_image_with_two_masks_is_named(tmp_path):
    images, masks = folders(tmp_path)
    for path in (images / "P1_a.png", masks / "P1_a.png", masks / "P1_a_mask.png"):
        Image.fromarray(disc_frame(1)[0]).save(path)
    with pytest.raises(SettingsError, match="has two masks"):
        find_pairs(set_plan(tmp_path))


def test_a_folder_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(SettingsError, match="does not exist"):
        find_pairs(set_plan(tmp_path / "nowhere"))


def test_a_mask_of_another_size_is_named(tmp_path):
    images, masks = folders(tmp_path)
    Image.fromarray(disc_frame(1)[0]).save(images / "P1_a.png")
    Image.fromarray(np.ones((5, 5), np.uint8)).save(masks / "P1_a.png")
    with pytest.raises(SettingsError, match=r"mask of 'P1_a\.png' has 5 x 5 pixels, its image 40 x 44"):
        check_sizes(list_frames(set_plan(tmp_path), tmp_path))


def test_values_of_a_mask_become_labels_in_the_order_of_the_plan(tmp_path):
    Image.fromarray(np.array([[0, 7, 9, 20]], np.uint8)).save(tmp_path / "m.png")
    labels = read_masks(tmp_path / "m.png", {"lumen": (9, 20), "wall": (7,)}, 1)
    np.testing.assert_array_equal(labels, [[[0, 2, 1, 1]]])


def test_a_mask_without_any_of_the_values_says_which_it_has(tmp_path):
    Image.fromarray(np.array([[0, 255]], np.uint8)).save(tmp_path / "m.png")
    with pytest.raises(SettingsError, match="it has 0, 255"):
        read_masks(tmp_path / "m.png", LUMEN, 1)


def test_a_mask_of_a_frame_does_not_fit_a_cine(tmp_path):
    Image.fromarray(np.array([[0, 1]], np.uint8)).save(tmp_path / "m.png")
    with pytest.raises(SettingsError, match="has 1 frames, but its image has 4"):
        read_masks(tmp_path / "m.png", LUMEN, 4)


def test_a_smoothed_mask_is_refused(tmp_path):
    write_image(UltrasoundImage(np.array([[0.0, 0.5]], np.float32), "YX"), tmp_path / "m.nrrd")
    with pytest.raises(UnsupportedImageError, match="no whole numbers"):
        read_masks(tmp_path / "m.nrrd", LUMEN, 1)


def test_a_segment_counts_by_its_name_wherever_the_file_names_it(a_cine, tmp_path):
    write_labels(a_cine[1], tmp_path / "m.seg.nrrd", ("LUMEN",))
    labels = read_masks(tmp_path / "m.seg.nrrd", {"wall": (9,), "lumen": (5,)}, 3)
    np.testing.assert_array_equal(labels == 2, a_cine[1].pixels == 1)


PERSON = dict.fromkeys(
    ("PatientID", "PatientBirthDate", "PatientSex", "StudyID", "AccessionNumber", "StudyDate", "StudyTime"), ""
) | {"ReferringPhysicianName": "", "SeriesNumber": 1, "InstanceNumber": 1, "Manufacturer": ""}


def test_the_segmentation_of_a_dicom_cine_is_read_as_it_was_written(tmp_path):
    pytest.importorskip("highdicom", reason="needs highdicom")
    a_dicom_file(tmp_path / "us.dcm", CINE, len(CINE), **PERSON)
    image = read_image(tmp_path / "us.dcm")
    mask = np.zeros(CINE.shape, np.uint8)
    mask[1, 1:, 1:3], mask[4, 0, :2] = 1, 2
    write_labels(image.with_pixels(mask, "drawn"), tmp_path / "seg.dcm", ("Lumen", "Wall"))
    labels = read_masks(tmp_path / "seg.dcm", {"wall": (9,), "lumen": (9,)}, len(CINE))
    np.testing.assert_array_equal(labels, np.array([0, 2, 1])[mask])


def a_dicom_segmentation(tmp_path, mask, kind):
    """Labels of one ultrasound frame as highdicom writes them."""
    highdicom = pytest.importorskip("highdicom", reason="needs highdicom")
    import pydicom
    from pydicom.sr.codedict import codes
    from pydicom.uid import UltrasoundImageStorage

    image = pydicom.dcmread(
        a_dicom_file(tmp_path / "us.dcm", np.zeros(mask.shape, np.uint8), SOPClassUID=UltrasoundImageStorage, **PERSON)
    )
    artery = {"segmented_property_category": codes.SCT.AnatomicalStructure, "algorithm_type": "MANUAL"}
    segments = [
        highdicom.seg.SegmentDescription(
            segment_number=number, segment_label=name, segmented_property_type=codes.SCT.Artery, **artery
        )
        for number, name in ((1, "Wall"), (2, "Lumen"))
    ]
    made = highdicom.seg.Segmentation(
        source_images=[image], pixel_array=mask[None], segmentation_type=kind, segment_descriptions=segments,
        series_instance_uid=highdicom.UID(), series_number=2, sop_instance_uid=highdicom.UID(), instance_number=1,
        manufacturer="test", manufacturer_model_name="test", software_versions="1", device_serial_number="1",
    )  # fmt: skip
    made.save_as(tmp_path / "seg.dcm")
    return tmp_path / "seg.dcm"


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
def test_a_dicom_segmentation_of_a_frame_is_read_by_the_names_of_its_segments(kind, tmp_path):
    mask = np.array([[0, 1, 1, 0], [0, 2, 2, 0], [0, 1, 1, 0]], np.uint8)
    labels = read_masks(a_dicom_segmentation(tmp_path, mask, kind), {"lumen": (7,), "wall": (8,)}, 1)
    np.testing.assert_array_equal(labels[0], np.array([0, 2, 1])[mask])


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_a_frame_of_a_dicom_segmentation_goes_where_it_says_that_it_was_drawn(tmp_path):
    import pydicom

    mask = np.array([[0, 2, 2, 0]] * 4, np.uint8)
    path = a_dicom_segmentation(tmp_path, mask, "LABELMAP")
    content = pydicom.dcmread(path)
    source = content.PerFrameFunctionalGroupsSequence[0].DerivationImageSequence[0].SourceImageSequence[0]
    source.ReferencedFrameNumber = 3
    content.save_as(path)
    labels = read_masks(path, {"lumen": (2,)}, 4)
    assert [bool(frame.any()) for frame in labels] == [False, False, True, False]
