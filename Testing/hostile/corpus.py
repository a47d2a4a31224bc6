"""A corpus of nasty images, made by code (nothing is downloaded), and where each known hazard is tested.

`CASES` makes those that were not tested before; `test_corpus.py` despeckles every one of them and holds the answer
against the promise of its case. The others (test_corpus.py checks that each named test exists):

==================================  ===================================================================================
case                                test
==================================  ===================================================================================
0 bytes, misnamed, folder           logic/test_io_damaged.py::test_missing_empty_and_misnamed_files_and_folders_are_refused
truncated, each format              logic/test_io_damaged.py::test_a_truncated_file_is_never_read_with_wrong_pixels
truncated by one byte               logic/test_io_damaged.py::test_a_single_missing_byte_is_found
truncated DICOM                     logic/test_dicom.py::test_a_truncated_dicom_file_is_never_read_with_wrong_pixels
all zero, constant, low contrast    logic/test_denoiser.py::test_frames_without_content_are_returned_unchanged_and_reported
NaN and infinity                    logic/test_denoiser.py::test_values_that_are_not_finite_are_refused
NaN through every format            logic/test_io_damaged.py::test_negative_16_bit_values_and_nan_are_read_as_they_are
int16 negative                      logic/test_denoiser.py::test_16_bit_negative_values_keep_their_type_and_range
coloured overlays, text             logic/test_denoiser.py::test_coloured_overlays_keep_their_values_and_grey_stays_grey
RGBA                                logic/test_denoiser.py::test_alpha_is_kept
YBR, palette, RLE, JPEG             logic/test_dicom.py::test_pixels_equal_those_of_pydicom
MONOCHROME1                         logic/test_dicom.py::test_monochrome1_is_inverted_within_its_stored_bits
1 x 1, 15 x 17, 16 x 16 (network)   logic/test_reference_network.py::test_a_frame_of_any_size_keeps_its_size_and_is_finite
4D cine                             logic/test_denoiser.py::test_a_4d_cine_of_volumes_is_processed_slice_by_slice
long cine in bounded memory         endtoend/test_command_line.py::test_two_thousand_frames_need_little_more_memory_than_the_cine_itself
oblique, left-handed                logic/test_denoiser.py::test_output_keeps_the_oblique_direction_of_its_input
geometry through every format       endtoend/test_command_line.py::test_geometry_comes_through_every_format_that_holds_it
what a format cannot hold           endtoend/test_command_line.py::test_writing_a_volume_slice_to_png_says_what_is_lost
zero spacing, singular direction    logic/test_io_damaged.py::test_an_odd_nrrd_header_gives_a_clear_sentence
multi-region, no region, not cm     logic/test_dicom.py::test_any_other_region_leaves_the_image_uncalibrated_and_says_why
outside of the sector               logic/test_denoiser.py::test_outside_the_sector_nothing_changes
wrong slice axis                    logic/test_denoiser.py::test_a_cine_goes_frame_by_frame_and_a_volume_along_the_chosen_axis
clipping is counted                 logic/test_denoiser.py::test_clipped_values_are_counted
unicode, spaces, markup in names    endtoend/test_command_line.py::test_names_are_shown_as_they_are
names that are too long             endtoend/test_command_line.py::test_a_name_that_is_too_long_is_one_sentence
names that are no text              logic/test_io_write.py::test_a_name_that_is_no_text_gives_printable_sentences_and_leaves_nothing
picture bombs                       logic/test_io_damaged.py::test_a_decompression_bomb_is_refused
headers that ask for all memory     logic/test_io_damaged.py::test_a_header_that_asks_for_more_than_the_memory_is_refused
pickles in NPY                      logic/test_io_damaged.py::test_a_npy_file_that_holds_a_pickle_is_never_loaded
pickles as weights                  logic/test_checkpoint.py::test_a_pickle_inside_a_checkpoint_is_not_run
partial weights                     logic/test_checkpoint.py::test_missing_and_extra_tensors_are_counted_and_the_first_named
weights and card differ             logic/test_weights.py::test_a_changed_file_is_refused_with_what_differs
DICOM keeps patient and source      logic/test_dicom_export.py::test_a_derived_clip_keeps_what_is_known_and_says_what_was_done
scene closed, cancel (3D Slicer)    slicer/test_panel_scene.py::test_closing_the_scene_while_running_is_survived
packages of Slicer are kept         slicer/test_installation.py::test_a_repair_leaves_all_other_packages_alone
==================================  ===================================================================================
"""  # noqa: E501

from __future__ import annotations

import shutil
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK
from PIL import Image
from pydicom.data import get_testdata_file
from pydicom.filereader import read_file_meta_info
from pydicom.uid import DeflatedExplicitVRLittleEndian

OBLIQUE_LEFT_HANDED = (0.0, 0.6, 0.8, 1.0, 0.0, 0.0, 0.0, 0.8, -0.6)


@dataclass(frozen=True)
class Case:
    """One image and what is promised for it."""

    suffix: str
    write: Callable[[Path], object]
    refused_with: str = ""
    """Words of the sentence; empty if the image is despeckled."""
    frames: int | None = None
    """Frames to despeckle, to save time; all if left out."""


def speckle(*shape: int, dtype: str = "uint8", seed: int = 0) -> np.ndarray:
    """Rayleigh speckle over the range of a pixel type."""
    values = np.clip(np.random.default_rng(seed).rayleigh(0.25, shape), 0, 1)
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return values.astype(kind)
    limits = np.iinfo(kind)
    return (limits.min + values * (float(limits.max) - limits.min)).astype(kind)


def volume(pixels: np.ndarray, spacing=(0.1, 0.2, 0.3), direction=None) -> SimpleITK.Image:
    """An image with geometry; the last axis of the array is the first of the geometry."""
    image = SimpleITK.GetImageFromArray(pixels)
    image.SetSpacing(spacing[: image.GetDimension()])
    image.SetOrigin((-12.5, 3.25, 88.0)[: image.GetDimension()])
    if direction is not None:
        image.SetDirection(direction)
    return image


def written(pixels: np.ndarray, **geometry) -> Callable[[Path], object]:
    """Return a function that writes an image through SimpleITK."""
    return lambda path: SimpleITK.WriteImage(volume(pixels, **geometry), str(path))


def text(header: str, content: bytes = bytes(64)) -> Callable[[Path], object]:
    """Return a function that writes a header and bytes behind it."""
    return lambda path: path.write_bytes(header.encode() + content)


def pictures(mode: str) -> Callable[[Path], object]:
    """Return a function that writes a picture of another mode than grey."""
    return lambda path: Image.fromarray(speckle(24, 20)).convert(mode).save(path)


def dicom(change: Callable[[pydicom.Dataset], object], **options) -> Callable[[Path], object]:
    """Return a function that writes a changed copy of pydicom's small colour ultrasound still."""

    def write(path: Path) -> None:
        dataset = pydicom.dcmread(get_testdata_file("examples_rgb_color.dcm", download=False))
        change(dataset)
        dataset.save_as(path, enforce_file_format=False, **options)

    return write


def bundled(name: str) -> Callable[[Path], object]:
    """Return a function that copies a file that comes with pydicom."""
    return lambda path: shutil.copyfile(get_testdata_file(name, download=False), path)


def a_deflated_bomb(path: Path) -> None:
    """A DICOM file of some kilobytes that unpacks to 100 MB of an element nobody asked for."""
    dataset = pydicom.dcmread(get_testdata_file("examples_rgb_color.dcm", download=False))
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.save_as(path, implicit_vr=False, little_endian=True)
    start = 132 + 12 + int(read_file_meta_info(path).FileMetaInformationGroupLength)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    head = struct.pack("<HH2sHI", 0x0009, 0x1010, b"OB", 0, 100_000_000)
    body = packer.compress(head) + b"".join(packer.compress(bytes(1_000_000)) for _ in range(100)) + packer.flush()
    content = path.read_bytes()[:start]
    path.write_bytes(content + body)


NRRD = "NRRD0004\ntype: uint8\ndimension: 2\nsizes: 8 8\nencoding: raw\n"
MHA = "ObjectType = Image\nNDims = 2\nDimSize = 8 8\nElementType = MET_UCHAR\n"

CASES = {
    "u16-full-range": Case(".nrrd", written(speckle(24, 20, dtype="uint16"))),
    "int16-full-range": Case(".mha", written(speckle(24, 20, dtype="int16"))),
    "int32": Case(".nrrd", written(speckle(24, 20, dtype="int32"))),
    "double": Case(".nrrd", written(speckle(24, 20, dtype="float64"))),
    "rgb": Case(".png", pictures("RGB")),
    "rgba": Case(".png", pictures("RGBA")),
    "1-bit": Case(".png", pictures("1")),
    "palette-picture": Case(".png", pictures("P")),
    "1x1": Case(".nrrd", written(speckle(1, 1))),
    "1xN": Case(".nrrd", written(speckle(1, 40))),
    "Nx1": Case(".png", lambda path: Image.fromarray(speckle(40, 1)).save(path)),
    "15x15": Case(".nrrd", written(speckle(15, 15))),
    "16x16": Case(".nrrd", written(speckle(16, 16))),
    "17x33": Case(".nii.gz", written(speckle(17, 33))),
    "500x333": Case(".nrrd", written(speckle(500, 333))),
    "4d-cine": Case(".nrrd", lambda path: SimpleITK.WriteImage(a_moving_volume(), str(path))),
    "10000-frames": Case(".npy", lambda path: np.save(path, np.tile(speckle(84, 80), (10_000, 1, 1))), frames=50),
    "anisotropic-1-to-20": Case(".nrrd", written(speckle(5, 24, 20), spacing=(0.05, 0.05, 1.0))),
    "oblique-left-handed": Case(".mha", written(speckle(5, 24, 20), direction=OBLIQUE_LEFT_HANDED)),
    "one-slice": Case(".nii", written(speckle(1, 24, 20))),
    "negative-spacing": Case(
        ".nrrd", text(NRRD.replace("raw", "raw\nspacings: -1.5 1.5") + "\n", speckle(8, 8).tobytes())
    ),
    "zero-spacing-mha": Case(".mha", text(MHA + "ElementSpacing = 0 1\nElementDataFile = LOCAL\n"), "spacing"),
    "big-endian-nrrd": Case(
        ".nrrd",
        text(
            "NRRD0004\ntype: uint16\ndimension: 2\nsizes: 12 10\nendian: big\nencoding: raw\n\n",
            speckle(10, 12, dtype="uint16").astype(">u2").tobytes(),
        ),
    ),
    "big-endian-dicom": Case(".dcm", bundled("MR_small_bigendian.dcm")),
    "burned-in-text": Case(".dcm", dicom(lambda dataset: setattr(dataset, "BurnedInAnnotation", "YES"))),
    "no-frame-size": Case(".dcm", dicom(lambda dataset: delattr(dataset, "Rows")), "without an image"),
    "a-billion-frames": Case(".dcm", dicom(lambda dataset: setattr(dataset, "NumberOfFrames", "1000000000")), "frames"),
    "deflated-bomb": Case(".dcm", a_deflated_bomb, "decompression bomb"),
    "data-file-outside-nhdr": Case(".nhdr", text(NRRD + "data file: ../secret.raw\n\n"), "outside of its own folder"),
    "data-file-absolute-nhdr": Case(".nhdr", text(NRRD + "data file: /etc/passwd\n\n"), "outside of its own folder"),
    "data-list-outside-nhdr": Case(
        ".nhdr", text(NRRD + "data file: LIST\n../secret.raw\n", b""), "outside of its own folder"
    ),
    "data-pattern-outside-nhdr": Case(
        ".nhdr", text(NRRD + "data file: ../../s%d.raw 1 1 1\n\n", b""), "outside of its own folder"
    ),
    "data-file-outside-mhd": Case(".mhd", text(MHA + "ElementDataFile = ../secret.raw\n"), "outside of its own folder"),
    "data-file-absolute-mhd": Case(".mhd", text(MHA + "ElementDataFile = /etc/passwd\n"), "outside of its own folder"),
    "data-list-outside-mhd": Case(
        ".mhd", text(MHA + "ElementDataFile = LIST\n../secret.raw\n", b""), "outside of its own folder"
    ),
    "escape-sequence-in-header": Case(".mhd", text(MHA + "ElementDataFile = \x1b[2Jx.raw\n"), "\\x1b[2Jx.raw"),
}


def a_moving_volume() -> SimpleITK.Image:
    """Two volumes of four slices, one behind the other in time."""
    return SimpleITK.JoinSeries([volume(speckle(4, 18, 20, seed=seed)) for seed in range(2)], 0.0, 40.0)
