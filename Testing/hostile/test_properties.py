"""Properties that hold for any image: geometry, pixel type, order of frames, and one answer whatever the way to it."""

import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from Speckle2SelfLogic.cli import main
from Speckle2SelfLogic.denoiser import Denoiser, DenoiseSettings
from Speckle2SelfLogic.image import UltrasoundImage
from Speckle2SelfLogic.io import read_image, write_image
from Speckle2SelfLogic.methods import load_method

FEW = settings(max_examples=25, deadline=None)
FEW_IN_ONE_FOLDER = settings(FEW, suppress_health_check=[HealthCheck.function_scoped_fixture])
DTYPES = ("uint8", "int16", "uint16", "int32", "float32", "float64")
MEDIAN = load_method("median")


def rotations():
    """Orthonormal matrices, left-handed ones among them, from the QR decomposition of any matrix."""
    entries = npst.arrays(np.float64, (3, 3), elements=st.floats(-1, 1, width=32))
    return entries.map(lambda matrix: np.linalg.qr(matrix + 2 * np.eye(3))[0] @ np.diag([1, 1, -1]))


@st.composite
def ultrasound_images(draw, axes=("YX", "ZYX", "TYX"), dtypes=DTYPES):
    """Images of any pixel type, axes, spacing (to 1:20 and beyond), origin and direction, with any finite pixels."""
    chosen = draw(st.sampled_from(axes))
    shape = (*[draw(st.integers(1, 4)) for _ in chosen[:-2]], draw(st.integers(1, 17)), draw(st.integers(1, 17)))
    dtype = np.dtype(draw(st.sampled_from(dtypes)))
    elements = st.floats(-1e6, 1e6, width=32) if dtype.kind == "f" else None
    count = len(chosen)
    direction = draw(rotations()) if count == 3 else np.eye(2)
    return UltrasoundImage(
        draw(npst.arrays(dtype, shape, elements=elements)),
        chosen,
        spacing_mm=tuple(draw(st.floats(0.01, 20)) for _ in range(count)),
        origin_mm=tuple(draw(st.floats(-500, 500)) for _ in range(count)),
        direction=tuple(direction.ravel()),
    )


@FEW
@given(ultrasound_images())
def test_geometry_shape_and_pixel_type_come_out_as_they_went_in(image):
    clean = Denoiser(MEDIAN).run(image).image
    assert clean.same_geometry(image)
    assert clean.pixels.shape == image.pixels.shape
    assert clean.pixels.dtype == image.pixels.dtype
    assert np.isfinite(clean.pixels).all()
    assert image.pixels.min() <= clean.pixels.min() <= clean.pixels.max() <= image.pixels.max()


@FEW_IN_ONE_FOLDER
@given(image=ultrasound_images(axes=("ZYX",)), suffix=st.sampled_from([".nrrd", ".mha"]))
def test_geometry_and_pixels_come_back_from_a_file(tmp_path, image, suffix):
    write_image(image, tmp_path / f"a{suffix}")
    again = read_image(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(again.pixels, image.pixels)
    assert again.pixels.dtype == image.pixels.dtype
    np.testing.assert_allclose(again.spacing_mm, image.spacing_mm, rtol=1e-12)
    np.testing.assert_allclose(again.origin_mm, image.origin_mm, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(again.direction, image.direction, rtol=0, atol=1e-12)


@FEW
@given(ultrasound_images(axes=("TYX",)), st.randoms(use_true_random=False))
def test_frames_in_another_order_come_out_in_that_order(image, random):
    order = list(range(len(image.pixels)))
    random.shuffle(order)
    shuffled = image.with_pixels(image.pixels[order], "")
    context = Denoiser(MEDIAN).context_of(image)
    expected = Denoiser(MEDIAN).run(image, context=context).image.pixels[order]
    np.testing.assert_array_equal(Denoiser(MEDIAN).run(shuffled, context=context).image.pixels, expected)


@FEW
@given(ultrasound_images(axes=("TYX", "ZYX")), st.integers(1, 5))
@example(UltrasoundImage(np.arange(60, dtype=np.uint8).reshape(3, 4, 5) * 4, "TYX"), 2)
def test_frames_at_once_give_what_frames_one_by_one_give(image, batch_frames):
    one_by_one = Denoiser(MEDIAN, DenoiseSettings(batch_frames=1)).run(image).image.pixels
    at_once = Denoiser(MEDIAN, DenoiseSettings(batch_frames=batch_frames)).run(image).image.pixels
    np.testing.assert_array_equal(at_once, one_by_one)


def test_the_network_gives_frames_at_once_what_it_gives_them_one_by_one():
    frames = np.random.default_rng(3).rayleigh(0.2, (5, 33, 40)).clip(0, 1).astype(np.float32)
    network = load_method(device="cpu", runtime="torch")
    one_by_one = np.concatenate([network.despeckle(frame[None]) for frame in frames])
    np.testing.assert_allclose(network.despeckle(frames), one_by_one, rtol=0, atol=2e-6)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
def test_command_line_python_and_slicer_give_one_answer(tmp_path, monkeypatch, a_logic, a_scene, dtype):
    import slicer
    import slicer.util

    assert a_scene is slicer.mrmlScene
    image = UltrasoundImage(
        (np.random.default_rng(5).rayleigh(60, (3, 24, 20)).clip(0, 255)).astype(dtype),
        "ZYX",
        spacing_mm=(0.7, 0.2, 0.1),
    )
    write_image(image, tmp_path / "in.nrrd")
    arguments = [
        "speckle2self",
        "denoise",
        tmp_path / "in.nrrd",
        tmp_path / "out.nrrd",
        "-m",
        "median",
        "--strength",
        "0.7",
    ]
    monkeypatch.setattr(sys, "argv", list(map(str, arguments)))
    with pytest.raises(SystemExit):
        main()
    of_python = Denoiser(MEDIAN, DenoiseSettings(strength=0.7)).run(image).image.pixels
    np.testing.assert_array_equal(read_image(tmp_path / "out.nrrd").pixels, of_python)
    volume = slicer.util.addVolumeFromArray(image.pixels, name="Carotid")
    clean = a_logic.process(volume, method="median", strength=0.7)
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(clean), of_python)
