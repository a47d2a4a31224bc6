"""Masks in files, measured from the command line."""

import csv
import json
import sys

import numpy as np
import pytest
import SimpleITK
from PIL import Image

from Speckle2SelfLogic.cli import main
from Speckle2SelfLogic.dicom_seg import write_segmentation
from Speckle2SelfLogic.dicom_sr import read_measurements
from Speckle2SelfLogic.image import UltrasoundImage
from Speckle2SelfLogic.io import write_image
from Speckle2SelfLogic.segmentation_files import write_labels
from Testing.logic.dicom_files import a_dicom_file, a_region


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the command in this process; returns exit status, standard output and standard error."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["speckle2self", "measure", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        captured = capsys.readouterr()
        return int(stop.value.code or 0), captured.out, captured.err

    return call


def rings(radii, wall_px=6):
    """Labels (T, Y, X): 1 within each radius, 2 around it."""
    y, x = np.mgrid[:80, :90]
    distance = np.hypot(y - 40.3, x - 44.6)
    return np.stack([np.uint8(distance < r) + 2 * np.uint8((distance >= r) & (distance < r + wall_px)) for r in radii])


@pytest.fixture
def a_label_image(tmp_path):
    """A transverse vessel of 4 mm with a wall of 0.6 mm."""
    path = tmp_path / "labels.nrrd"
    write_image(UltrasoundImage(rings([20])[0], spacing_mm=(0.1, 0.1)), path)
    return path


def test_a_label_image_is_measured_in_millimetres(run, a_label_image):
    status, output, errors = run(a_label_image, "--json")
    assert status == 0
    assert "Error" not in errors
    report = json.loads(output)
    figures = report["frames"][0]["measures"]
    assert figures["equivalent_diameter"]["value"] == pytest.approx(4.0, abs=0.02)
    assert figures["equivalent_diameter"]["unit"] == "mm"
    assert figures["mean_wall"]["value"] == pytest.approx(0.6, abs=0.02)
    assert report["calibrated"] is True
    assert "Research use only" in report["use"]


def test_the_table_shows_figures_with_uncertainty_and_the_notice(run, a_label_image):
    status, output, errors = run(a_label_image)
    assert status == 0
    assert "equivalent diameter" in output
    assert "±" in output
    assert "Research use only" in errors


def test_a_picture_is_measured_in_pixels_unless_an_image_tells_the_spacing(run, tmp_path):
    mask, wall, image = tmp_path / "mask.png", tmp_path / "wall.png", tmp_path / "image.mha"
    labels = rings([20])[0]
    Image.fromarray(np.uint8(labels == 1) * 255).save(mask)
    Image.fromarray(np.uint8(labels == 2) * 255).save(wall)
    write_image(UltrasoundImage(labels * 100, spacing_mm=(0.1, 0.1)), image)
    report = json.loads(run(mask, "--wall", wall, "--json")[1])
    assert report["frames"][0]["measures"]["area"]["unit"] == "px2"
    assert report["frames"][0]["measures"]["mean_wall"]["value"] == pytest.approx(6, abs=0.2)
    assert any("in pixels" in note for note in report["notes"])
    report = json.loads(run(mask, "--image", image, "--json")[1])
    assert report["frames"][0]["measures"]["area"]["value"] == pytest.approx(np.pi * 4, rel=0.01)


def test_a_cine_gives_one_row_for_each_frame_and_the_distension(run, tmp_path):
    path, table = tmp_path / "cine.nrrd", tmp_path / "table.csv"
    write_image(UltrasoundImage(rings([20, 21, 22, 21, 20]), axes="TYX", spacing_mm=(0.1, 0.1, 1.0)), path)
    status, output, _ = run(path, "--csv", table, "--frame-interval-ms", 40, "--json")
    assert status == 0
    rows = list(csv.DictReader(table.read_text(encoding="utf-8").splitlines()))
    assert [float(row["time_s"]) for row in rows] == pytest.approx([0, 0.04, 0.08, 0.12, 0.16])
    assert [float(row["equivalent_diameter_mm"]) for row in rows] == pytest.approx([4, 4.2, 4.4, 4.2, 4], abs=0.02)
    assert float(rows[0]["area_uncertainty_mm2"]) > 0
    cine = json.loads(output)["cine"]
    assert cine["distension"]["value"] == pytest.approx(0.4, abs=0.03)
    assert cine["relative_distension"]["unit"] == "%"
    status, _, errors = run(path, "--csv", table)
    assert status == 1
    assert "exists already" in errors
    assert run(path, "--csv", table, "--overwrite")[0] == 0


def test_a_volume_of_cross_sections_has_its_area_stenosis(run, tmp_path):
    path = tmp_path / "stack.nrrd"
    labels = rings([24, 24, 22, 12, 18, 20])
    labels[2] = 0
    write_image(UltrasoundImage(labels, axes="ZYX", spacing_mm=(0.1, 0.1, 1.0)), path)
    status, output, _ = run(path, "--reference-frames", "first", "--json")
    stack = json.loads(output)["stack"]
    assert status == 0
    assert "1 frames without lumen count for no area stenosis" in json.loads(output)["notes"]
    assert stack["area_stenosis"]["value"] == pytest.approx(75, abs=0.5)
    assert stack["area_stenosis"]["uncertainty"] > 0
    assert stack["minimum_area"]["value"] == pytest.approx(np.pi * 1.44, rel=0.01)
    assert (stack["minimum_frame"], stack["reference_frames"], stack["frames_without_lumen"]) == (3, [0, 1], [2])
    named = json.loads(run(path, "--reference-frames", "4-5", "--json")[1])["stack"]
    assert named["area_stenosis"]["value"] == pytest.approx(100 * (1 - 144 / 362), abs=1)  # median of 18^2 and 20^2
    numbers = tmp_path / "numbers.json"
    numbers.write_text(output)
    assert "area stenosis" in {each.name for each in read_measurements(numbers)}  # for the structured report
    shown = run(path, "--reference-frames", "first")[1]
    assert "area stenosis" in shown
    assert "75" in shown


def test_without_a_named_reference_there_is_no_area_stenosis_but_the_reason(run, tmp_path):
    stack, cine = tmp_path / "stack.nrrd", tmp_path / "cine.nrrd"
    write_image(UltrasoundImage(rings([24, 12]), axes="ZYX", spacing_mm=(0.1, 0.1, 1.0)), stack)
    write_image(UltrasoundImage(rings([24, 12]), axes="TYX", spacing_mm=(0.1, 0.1, 1.0)), cine)
    figure = json.loads(run(stack, "--json")[1])["stack"]["area_stenosis"]
    assert figure["value"] is None
    assert "name them: first, last, or frames such as 20-24" in figure["reason"]
    assert json.loads(run(cine, "--json")[1])["stack"] is None  # the same place at two times, unless said otherwise
    swept = json.loads(run(cine, "--reference-frames", "0", "--json")[1])["stack"]
    assert swept["area_stenosis"]["value"] == pytest.approx(75, abs=0.5)
    for arguments, sentence in (
        (("--reference-frames", "2"), "frames 2 to 2 do not exist; name frames in 0 to 1"),
        (("--reference-frames", "left"), "must be first, last, or frames"),
        (("--reference-frames", "0", "--view", "longitudinal"), "Reference frames are for transverse views"),
    ):
        status, output, errors = run(stack, *arguments)
        assert (status, output) == (1, "")
        assert sentence in " ".join(errors.split())


def test_a_longitudinal_vessel_has_its_far_wall_and_stenosis(run, tmp_path):
    y, x = np.mgrid[:120, :240]
    half = 22 - 8 * np.exp(-(((x - 120) / 25) ** 2))
    distance = np.abs(y - 60.2) - half
    path = tmp_path / "labels.nrrd"
    labels = np.uint8(distance < 0) + 2 * np.uint8((distance >= 0) & (distance < 7))
    write_image(UltrasoundImage(labels, spacing_mm=(0.1, 0.1)), path)
    report = json.loads(run(path, "--view", "longitudinal", "--json")[1])
    figures = report["frames"][0]["measures"]
    assert figures["nascet_stenosis"]["value"] == pytest.approx(100 * 8 / 22, abs=2.5)
    assert figures["mean_imt"]["value"] == pytest.approx(0.7, abs=0.03)
    assert figures["imt_length"]["value"] > 10


def test_segments_of_a_seg_nrrd_are_found_by_their_names(run, tmp_path):
    path = tmp_path / "vessel.seg.nrrd"
    labels = UltrasoundImage(rings([20]), axes="ZYX", spacing_mm=(0.1, 0.1, 1.0))
    write_labels(labels, path, ["Lumen", "Vessel wall"])
    figures = json.loads(run(path, "--json")[1])["frames"][0]["measures"]
    assert figures["area"]["value"] == pytest.approx(np.pi * 4, rel=0.01)
    assert figures["mean_wall"]["value"] == pytest.approx(0.6, abs=0.02)
    other = json.loads(run(path, "--lumen-segment", "vessel WALL", "--json")[1])["frames"][0]
    assert other["measures"]["equivalent_diameter"]["value"] == pytest.approx(5.2, abs=0.03)  # its hole is filled
    status, _, errors = run(path, "--lumen-segment", "plaque")
    assert status == 1
    assert "Lumen, Vessel wall" in errors


def test_what_is_wrong_with_a_mask_is_one_sentence(run, tmp_path, a_label_image):
    empty, other = tmp_path / "empty.nrrd", tmp_path / "other.nrrd"
    SimpleITK.WriteImage(SimpleITK.Image(20, 30, SimpleITK.sitkUInt8), empty)
    write_image(UltrasoundImage(np.ones((20, 30), np.uint8)), other)
    for arguments, sentence in (
        ((empty,), "is empty: no pixel"),
        ((a_label_image, "--wall", other), "1 frames of 20 x 30"),
        ((a_label_image, "--view", "oblique"), "'transverse' or 'longitudinal'"),
        ((a_label_image, "--frame-interval-ms", "0"), "above 0 ms"),
        ((tmp_path / "missing.nrrd",), "missing.nrrd"),
    ):
        status, output, errors = run(*arguments)
        assert (status, output) == (1, "")
        assert errors.startswith("Error: ")
        assert sentence in " ".join(errors.split())
        assert "Traceback" not in errors


def test_parts_and_borders_are_noted(run, tmp_path):
    mask = rings([20])[0] == 1
    mask[0:4, 80:90] = True
    mask[38:42, 40:] = True  # runs to the right border
    path = tmp_path / "mask.png"
    Image.fromarray(np.uint8(mask)).save(path)
    status, _, errors = run(path)
    assert status == 0
    assert "2 separate parts" in errors
    assert "touches the border" in errors


def test_a_wall_that_covers_the_lumen_in_a_layer_of_its_own_takes_nothing_from_it(run, tmp_path):
    lumen = rings([20]) == 1
    layers = np.stack([lumen, rings([20]) > 0], -1).astype(np.uint8)
    path = tmp_path / "layers.seg.nrrd"
    volume = SimpleITK.GetImageFromArray(layers, isVector=True)
    volume.SetSpacing((0.1, 0.1, 1.0))
    for key in ("0_Name:lumen", "0_Layer:0", "0_LabelValue:1", "1_Name:wall", "1_Layer:1", "1_LabelValue:1"):
        volume.SetMetaData(*f"Segment{key}".split(":"))
    SimpleITK.WriteImage(volume, path)
    path.write_bytes(path.read_bytes().replace(b"kinds: vector", b"kinds: list"))  # as 3D Slicer writes them
    figures = json.loads(run(path, "--json")[1])["frames"][0]["measures"]
    assert figures["area"]["value"] == pytest.approx(np.pi * 4, rel=0.01)
    assert figures["mean_wall"]["value"] == pytest.approx(0.6, abs=0.02)


def test_a_dicom_segmentation_is_measured_on_the_frames_that_it_names(run, tmp_path):
    pytest.importorskip("highdicom")
    labels = rings([20, 21, 22, 21, 20])
    labels[1] = 0
    region = a_region(RegionLocationMaxX1=89, RegionLocationMaxY1=79, PhysicalDeltaX=0.01, PhysicalDeltaY=0.01)
    elements = {"FrameTimeVector": [0, 10, 30, 20, 20], "SequenceOfUltrasoundRegions": [region]}
    cine = a_dicom_file(tmp_path / "cine.dcm", labels * 50, frames=5, **elements)
    write_segmentation(labels, cine, tmp_path / "seg.dcm", names=("lumen", "wall"))
    report = json.loads(run(tmp_path / "seg.dcm", "--image", cine, "--json")[1])
    diameters = [frame["measures"]["equivalent_diameter"]["value"] for frame in report["frames"]]
    assert diameters == [pytest.approx(4.0, abs=0.02), None, *(pytest.approx(d, abs=0.02) for d in (4.4, 4.2, 4.0))]
    assert report["frames"][0]["measures"]["mean_wall"]["value"] == pytest.approx(0.6, abs=0.02)
    assert [frame["time_s"] for frame in report["frames"]] == pytest.approx([0, 0.01, 0.04, 0.06, 0.08])
    alone = json.loads(run(tmp_path / "seg.dcm", "--json")[1])
    assert len(alone["frames"]) == 5
    assert "DICOM segmentation of a cine tells no pixel size" in alone["notes"][0]
    short = a_dicom_file(tmp_path / "short.dcm", labels[:2] * 50, frames=2)
    status, _, errors = run(tmp_path / "seg.dcm", "--image", short)
    assert (status, "marks frame 5, but its image has 2" in " ".join(errors.split())) == (1, True)


def test_a_mask_and_an_image_with_other_pixel_sizes_are_not_measured(run, tmp_path, a_label_image):
    image = tmp_path / "image.nrrd"
    write_image(UltrasoundImage(np.zeros((80, 90), np.uint8), spacing_mm=(0.1, 0.2)), image)
    status, output, errors = run(a_label_image, "--image", image)
    assert (status, output) == (1, "")
    assert "are 0.1 x 0.1 mm (x, y), but those" in " ".join(errors.split())


def test_other_labels_than_usual_are_named_and_can_be_chosen(run, tmp_path):
    path = tmp_path / "labels.nrrd"
    write_image(UltrasoundImage(np.array([0, 5, 7], np.uint8)[rings([20])[0]], spacing_mm=(0.1, 0.1)), path)
    status, _, errors = run(path)
    assert (status, "its labels are [5, 7]" in " ".join(errors.split())) == (1, True)
    figures = json.loads(run(path, "--lumen-segment", 5, "--wall-segment", 7, "--json")[1])["frames"][0]["measures"]
    assert figures["mean_wall"]["value"] == pytest.approx(0.6, abs=0.02)
