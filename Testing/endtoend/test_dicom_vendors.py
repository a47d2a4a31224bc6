"""What scanners of many makers send, from file to file: read, despeckled, written as a derived series, validated.

The objects of the first list are real and come with pydicom. The others are made here in the way that makers describe
in their conformance statements: their encodings, screen layouts, regions, timing and private elements.
"""

import io
import shutil
import subprocess
from dataclasses import dataclass, field

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import (
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
    UltrasoundImageStorage,
)

from Speckle2SelfLogic.cli import main
from Testing.logic.dicom_files import a_dicom_file, a_region, bundled
from Testing.logic.dicom_standard import violations

ROWS, COLUMNS, FRAMES = 48, 64, 3
REAL = ("ExplVR_BigEnd.dcm", "examples_palette.dcm", "examples_ybr_color.dcm")  # GE, Philips, SonoSite


@dataclass(frozen=True)
class Scanner:
    """One maker's way to store ultrasound."""

    maker: str
    model: str
    syntax: str = ""
    frames: int = FRAMES
    is_colour: bool = True
    elements: dict = field(default_factory=dict)
    private: tuple = ()
    tissue: tuple = (8, 4, 55, 43)


SCANNERS = (
    Scanner("GE Vingmed Ultrasound", "Vivid E95", JPEGBaseline8Bit, elements={"FrameTime": 20.0, "HeartRate": 62},
            private=(0x7FE1, "GEMS_Ultrasound_MovieGroup_001", "LO", "Cardiac")),
    Scanner("Philips Medical Systems", "EPIQ 7C", JPEGLosslessSV1, elements={"FrameTimeVector": [0, 20, 30]},
            private=(0x200D, "Philips US Imaging DD 001", "LO", "Vasc Car")),
    Scanner("SIEMENS", "ACUSON S2000", RLELossless, elements={"FrameTime": 33.3, "CineRate": 30},
            private=(0x0019, "SIEMENS MEDICAL", "LO", "Carotid")),
    Scanner("TOSHIBA_MEC_US", "TUS-A500", frames=1, elements={"PlanarConfiguration": 1}),
    Scanner("SAMSUNG MEDISON CO., LTD.", "RS85", JPEG2000Lossless, frames=1, elements={"BurnedInAnnotation": "YES"}),
    Scanner("Mindray", "Resona 7", is_colour=False, elements={"FrameTime": 40.0, "RecommendedDisplayFrameRate": 25}),
    Scanner("Esaote", "MyLab9", JPEGLSLossless, is_colour=False, elements={"CineRate": 25}, tissue=(0, 0, 63, 47)),
    Scanner("Hitachi Aloka Medical,Ltd.", "ARIETTA 70", RLELossless, frames=1, is_colour=False),
)  # fmt: skip


def pixels_of(scanner):
    """Speckled tissue within the region, lettering outside: (frames, rows, columns, samples) without axes of one."""
    rng = np.random.default_rng(5)
    left, top, right, bottom = scanner.tissue
    grey = np.zeros((scanner.frames, ROWS, COLUMNS))
    grey[:, 1:3, 2:20:2] = 230
    speckle = np.clip(80 + 40 * np.log(rng.exponential(1, (scanner.frames, bottom - top, right - left)) + 1e-3), 5, 250)
    grey[:, top:bottom, left:right] = speckle
    made = np.repeat(grey[..., None], 3, -1) if scanner.is_colour else grey
    return np.uint8(made if scanner.frames > 1 else made[0])


def written(scanner, path):
    """Write the object of a scanner; returns its pixels as an independent reader decodes them."""
    pixels = pixels_of(scanner)
    left, top, right, bottom = scanner.tissue
    tissue = a_region(
        RegionLocationMinX0=left, RegionLocationMinY0=top, RegionLocationMaxX1=right, RegionLocationMaxY1=bottom,
        RegionFlags=0,
    )  # fmt: skip
    elements = {
        "Manufacturer": scanner.maker, "ManufacturerModelName": scanner.model, "PatientID": "0",
        "SequenceOfUltrasoundRegions": [tissue], "InstanceNumber": 1, "SeriesNumber": 1,
    }  # fmt: skip
    if scanner.frames == 1:
        elements["SOPClassUID"] = UltrasoundImageStorage
    else:
        elements["FrameIncrementPointer"] = 0x00181065 if "FrameTimeVector" in scanner.elements else 0x00181063
    if scanner.is_colour:
        elements |= {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0}
    stored = np.moveaxis(pixels, -1, -3).copy() if scanner.elements.get("PlanarConfiguration") else pixels
    a_dicom_file(path, pixels, scanner.frames if scanner.frames > 1 else None, **elements | scanner.elements)
    dataset = pydicom.dcmread(path)
    dataset.PixelData = stored.tobytes()
    if scanner.private:
        group, creator, kind, value = scanner.private
        dataset.private_block(group, creator, create=True).add_new(1, kind, value)
    dataset.save_as(path)
    if scanner.syntax:
        compress(path, scanner, pixels)
    return pydicom.dcmread(path).pixel_array  # colours as RGB


def compress(path, scanner, pixels):
    """Encode a file in place as its scanner does."""
    if scanner.syntax == JPEGLosslessSV1:
        gdcm = pytest.importorskip("gdcm", reason="needs python-gdcm")
        reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
        reader.SetFileName(str(path))
        assert reader.Read()
        change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGLosslessProcess14_1))
        change.SetInput(reader.GetImage())
        assert change.Change()
        writer.SetFileName(str(path))
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        assert writer.Write()
        return
    dataset = pydicom.dcmread(path)
    if scanner.syntax in (RLELossless, JPEGLSLossless):
        dataset.compress(scanner.syntax, generate_instance_uid=False)
    else:
        frames = pixels if scanner.frames > 1 else pixels[None]
        dataset.PixelData = encapsulate([picture(frame, scanner.syntax) for frame in frames])
        dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
        dataset.PhotometricInterpretation = "YBR_FULL_422" if scanner.syntax == JPEGBaseline8Bit else "YBR_RCT"
        dataset.file_meta.TransferSyntaxUID = scanner.syntax
        if scanner.syntax == JPEGBaseline8Bit:
            dataset.LossyImageCompression, dataset.LossyImageCompressionMethod = "01", "ISO_10918_1"
            dataset.LossyImageCompressionRatio = 8
    dataset.save_as(path)


def picture(frame, syntax):
    """Encode a frame as JPEG baseline with halved colour, or as a lossless JPEG 2000 codestream."""
    buffer = io.BytesIO()
    if syntax == JPEGBaseline8Bit:
        Image.fromarray(frame).save(buffer, "JPEG", quality=90, subsampling="4:2:2")
    else:
        Image.fromarray(frame).save(buffer, "JPEG2000", irreversible=False, mct=1, no_jp2=True)
    return buffer.getvalue()


def denoise(monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["speckle2self", "denoise", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


def check_valid(path):
    assert violations(path) == []
    if shutil.which("dciodvfy"):
        checked = subprocess.run(["dciodvfy", "-new", path], capture_output=True, check=False)
        lines = (checked.stdout + checked.stderr).decode("latin-1").splitlines()
        assert [line for line in lines if line.startswith("Error") and "SonoSite Private Data" not in line] == []


@pytest.mark.parametrize("scanner", SCANNERS, ids=lambda scanner: scanner.maker)
def test_the_series_of_a_scanner_is_despeckled_into_a_valid_one(scanner, tmp_path, monkeypatch):
    decoded = written(scanner, tmp_path / "in.dcm")
    before = (tmp_path / "in.dcm").read_bytes()
    for name, options in (("same", ["--strength", "0"]), ("out", [])):
        assert denoise(monkeypatch, tmp_path / "in.dcm", tmp_path / f"{name}.dcm", "-m", "median", *options) == 0
        check_valid(tmp_path / f"{name}.dcm")
    assert (tmp_path / "in.dcm").read_bytes() == before
    source, same, out = (pydicom.dcmread(tmp_path / f"{name}.dcm") for name in ("in", "same", "out"))
    tolerance = 1 if scanner.syntax == JPEGBaseline8Bit else 0  # decoders of JPEG may round in another way
    np.testing.assert_allclose(same.pixel_array.astype(int), decoded, atol=tolerance)
    assert np.any(out.pixel_array != same.pixel_array)
    assert (out.Manufacturer, out.ManufacturerModelName) == (scanner.maker, scanner.model)
    assert out.SequenceOfUltrasoundRegions == source.SequenceOfUltrasoundRegions
    assert out.SeriesInstanceUID != source.SeriesInstanceUID
    if scanner.private:
        group, creator, _, value = scanner.private
        assert out.private_block(group, creator)[1].value == value
    for keyword in ("FrameTime", "FrameTimeVector", "HeartRate", "RecommendedDisplayFrameRate"):
        if keyword in source:
            assert out[keyword].value == source[keyword].value


@pytest.mark.parametrize("name", REAL)
def test_a_real_object_is_despeckled_into_a_valid_series(name, tmp_path, monkeypatch):
    assert denoise(monkeypatch, bundled(name), tmp_path / "out.dcm", "-m", "median", "--frames", "0:1") == 0
    check_valid(tmp_path / "out.dcm")
    assert pydicom.dcmread(tmp_path / "out.dcm").Manufacturer == pydicom.dcmread(bundled(name)).Manufacturer
