"""Files of raw data: generic arrays, Clarius, BK, and what their makers made of the same frame."""

import struct
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from Speckle2SelfLogic.errors import ImageFileError, SettingsError, UnsupportedImageError
from Speckle2SelfLogic.raw.acquisition import Processing, grey_beams
from Speckle2SelfLogic.raw.files import read_raw
from Speckle2SelfLogic.raw.scan_geometry import FrameGrid, SectorScan, scan_convert
from Speckle2SelfLogic.raw.signals import Domain

SHARED = Path(__file__).parents[3] / "shared" / "data"
GREY = np.arange(2 * 6 * 4, dtype=np.uint8).reshape(2, 6, 4)
needs_real_data = pytest.mark.skipif(not SHARED.is_dir(), reason="the real frames of development are not here")
SAMPLES = np.arange(2 * 6 * 4, dtype=np.int16).reshape(2, 6, 4)
CLARIUS_TEXT = """# raw data parameters

frames: {frames}
frame rate: 20 Hz
size: {{samples per line: {samples}, number of lines: {lines}, sample size: {size} bytes}}
type: {kind}
compression: {compression}
sampling rate: 15 MHz
delay samples: 16
lines:
  - {{rx element: 0, tx element: 0.9, angle: 0}}
"""


def a_clarius_pair(folder, kind="B pre-scan", samples=GREY, size=1, compression="none"):
    frames, depth, lines = samples.shape[:3]
    content = struct.pack("<5I", 1, frames, lines, depth, size)
    for frame in samples:
        content += struct.pack("<Q", 77) + np.ascontiguousarray(frame.swapaxes(0, 1)).tobytes()
    (folder / "a.raw").write_bytes(content)
    text = {"frames": frames, "samples": depth, "lines": lines, "kind": kind, "size": size, "compression": compression}
    (folder / "a.yml").write_text(CLARIUS_TEXT.format(**text))
    return folder / "a.raw"


@pytest.mark.parametrize("suffix", [".npy", ".nrrd", ".mha"])
@pytest.mark.parametrize("domain", [Domain.ENVELOPE, Domain.RF])
def test_arrays_of_real_numbers_are_frames_of_samples_and_lines(tmp_path, suffix, domain):
    for values, shape in ((SAMPLES, (2, 6, 4)), (SAMPLES[0], (1, 6, 4))):
        path = tmp_path / f"a{suffix}"
        if suffix == ".npy":
            np.save(path, values)
        else:
            SimpleITK.WriteImage(SimpleITK.GetImageFromArray(values), str(path))
        recording = read_raw(path, domain, sampling_mhz=20.0)
        np.testing.assert_array_equal(recording.samples_nsl, values.reshape(shape))
        assert (recording.sampling_mhz, recording.first_sample) == (20.0, 0.0)


@pytest.mark.parametrize("suffix", [".npy", ".nrrd", ".mha"])
def test_iq_may_be_complex_or_pairs(tmp_path, suffix):
    pairs = np.random.default_rng(0).integers(-100, 100, (6, 4, 2)).astype(np.int16)
    expected = pairs[..., 0] + 1j * pairs[..., 1]
    path = tmp_path / f"a{suffix}"
    if suffix == ".npy":
        np.save(path, expected)
        np.testing.assert_array_equal(read_raw(path, Domain.IQ).samples_nsl[0], expected)
        np.save(path, pairs)
    else:
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(pairs, isVector=True), str(path))
    np.testing.assert_array_equal(read_raw(path, Domain.IQ).samples_nsl[0], expected)


def test_clarius_frames_come_with_rate_delay_and_interval(tmp_path):
    recording = read_raw(a_clarius_pair(tmp_path), Domain.LOG_ENVELOPE)
    np.testing.assert_array_equal(recording.samples_nsl, GREY)
    assert (recording.sampling_mhz, recording.first_sample, recording.frame_interval_ms) == (15.0, 16.0, 50.0)
    rf = read_raw(a_clarius_pair(tmp_path, "rf", SAMPLES - 20, 2), Domain.RF)
    np.testing.assert_array_equal(rf.samples_nsl, SAMPLES - 20)
    pairs = np.stack([SAMPLES, -SAMPLES], axis=-1)
    iq = read_raw(a_clarius_pair(tmp_path, "iq", pairs, 4), Domain.IQ)
    np.testing.assert_array_equal(iq.samples_nsl, SAMPLES * (1 - 1j))


def test_clarius_files_that_do_not_fit_are_one_sentence(tmp_path):
    path = a_clarius_pair(tmp_path)
    with pytest.raises(SettingsError, match="holds log-envelope and not rf"):
        read_raw(path, Domain.RF)
    with pytest.raises(SettingsError, match="was sampled at 15 MHz, not at 20"):
        read_raw(path, Domain.LOG_ENVELOPE, 20.0)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(ImageFileError, match="truncated: its header needs 84 bytes, but 83"):
        read_raw(path, Domain.LOG_ENVELOPE)
    path.write_bytes(struct.pack("<5I", 1, 2, 5, 6, 1) + whole[20:])
    with pytest.raises(ImageFileError, match="they do not match"):
        read_raw(path, Domain.LOG_ENVELOPE)
    with pytest.raises(UnsupportedImageError, match="is compressed"):
        read_raw(a_clarius_pair(tmp_path, compression="lzo"), Domain.LOG_ENVELOPE)
    with pytest.raises(UnsupportedImageError, match="of the kind 'colour'"):
        read_raw(a_clarius_pair(tmp_path, "colour"), Domain.LOG_ENVELOPE)
    (tmp_path / "a.yml").write_text("type: rf\n")
    with pytest.raises(ImageFileError, match="does not tell number of lines, samples per line, sampling rate"):
        read_raw(path, Domain.RF)
    (tmp_path / "a.yml").unlink()
    with pytest.raises(ImageFileError, match=r"needs the file 'a.yml' beside it"):
        read_raw(path, Domain.LOG_ENVELOPE)


def test_other_files_are_one_sentence(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((2, 3, 4, 5)))
    with pytest.raises(UnsupportedImageError, match=r"must be \(samples, lines\)"):
        read_raw(tmp_path / "a.npy", Domain.RF)
    with pytest.raises(UnsupportedImageError, match="IQ must be complex"):
        read_raw(tmp_path / "a.npy", Domain.IQ)
    np.save(tmp_path / "a.npy", np.array([["a", "b"]]))
    with pytest.raises(UnsupportedImageError, match="numbers are needed"):
        read_raw(tmp_path / "a.npy", Domain.RF)
    np.save(tmp_path / "a.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(ImageFileError, match="other things than plain numbers"):
        read_raw(tmp_path / "a.npy", Domain.RF)
    (tmp_path / "a.png").write_bytes(b"x")
    with pytest.raises(ImageFileError, match="no file of raw data"):
        read_raw(tmp_path / "a.png", Domain.RF)
    with pytest.raises(ImageFileError, match=r"b\.npy"):
        read_raw(tmp_path / "b.npy", Domain.RF)


@needs_real_data
def test_a_real_clarius_frame_equals_its_copy_in_nrrd():
    folder = SHARED / "carotid_clarius_raw"
    recording = read_raw(folder / "carotid_env.raw", Domain.LOG_ENVELOPE)
    copy = read_raw(folder / "carotid_env.nrrd", Domain.LOG_ENVELOPE)
    np.testing.assert_array_equal(recording.samples_nsl, copy.samples_nsl)
    assert recording.step_mm("") == pytest.approx(0.0513, abs=1e-4)


@needs_real_data
def test_real_bk_iq_has_the_envelope_and_the_picture_that_others_made_of_it():
    folder = SHARED / "rf_iq"
    recording = read_raw(folder / "BkCurvilinearRfData.igs.mhd", Domain.IQ, sampling_mhz=26.796)
    envelope = read_raw(folder / "bk_prostate_phantom_envelope_linear.nrrd", Domain.ENVELOPE)
    np.testing.assert_allclose(np.abs(recording.samples_nsl), envelope.samples_nsl, atol=0.01)
    with pytest.raises(SettingsError, match="holds iq and not rf"):
        read_raw(folder / "BkCurvilinearRfData.igs.mhd", Domain.RF)
    # PlusToolkit: radius 10 to 60 mm, 140 degrees, 0.15 mm, the probe's middle at column 300 and row 53
    picture = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(folder / "BkCurvilinearScanConvertedData.igs.mha")))
    grid = FrameGrid(picture.shape, 0.15, (-300 * 0.15, -53 * 0.15))
    grey = grey_beams(recording, Processing(60))[0]
    ours = scan_convert(grey, SectorScan(140, 10), grid, 0.0, recording.step_mm(""))
    both = (ours > 0) & (picture > 0)
    assert both.mean() > 0.95 * (picture > 0).mean()
    assert np.corrcoef(ours[both], picture[both])[0, 1] > 0.9
