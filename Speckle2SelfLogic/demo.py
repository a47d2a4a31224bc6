"""The demonstration: a real ultrasound clip and a simulated carotid with known truth, despeckled and compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from Speckle2SelfLogic.comparison import all_methods, compare_methods, grey_values, single_frame, software_line
from Speckle2SelfLogic.denoiser import Denoiser
from Speckle2SelfLogic.errors import ImageFileError
from Speckle2SelfLogic.image import UltrasoundImage
from Speckle2SelfLogic.intensity import GreyRange
from Speckle2SelfLogic.io import read_image, write_image
from Speckle2SelfLogic.metrics import FIGURES
from Speckle2SelfLogic.report import ComparisonCase, save_side_by_side, write_report
from Speckle2SelfLogic.simulation import simulate

CLIP = "examples_ybr_color.dcm"
"""A multi-frame ultrasound clip (SonoSite, heart, 30 frames) that pydicom ships."""


def real_clip() -> UltrasoundImage:
    """Read the ultrasound clip that comes with pydicom."""
    from pydicom.data import get_testdata_file

    path = get_testdata_file(CLIP, download=False)
    if path is None:
        message = f"pydicom's example clip '{CLIP}' is not installed; reinstall pydicom."
        raise ImageFileError(message)
    return read_image(str(path))


def run_demo(folder: Path, *, device: str = "auto", tell: object = None) -> Path:
    """Write despeckled volumes, PNGs and a report into a folder (replacing those of an earlier run).

    Returns
    -------
    pathlib.Path
        The report.
    """
    say = tell if callable(tell) else (lambda _: None)
    folder.mkdir(parents=True, exist_ok=True)
    methods = all_methods(device=device)
    denoiser = Denoiser(methods[0])

    say("despeckling the real ultrasound clip")
    clip = real_clip()
    clean_clip = denoiser.run(clip).image
    write_image(clean_clip, folder / "heart-clip-despeckled.nrrd")
    write_image(clean_clip, folder / "heart-clip-despeckled.dcm")

    say("simulating and despeckling a carotid artery")
    carotid = simulate("carotid", frames=8, size_yx=(384, 384), seed=11)
    clean_carotid = denoiser.run(carotid.speckled).image
    for name, image in (
        ("carotid-speckled", carotid.speckled),
        ("carotid-truth", carotid.truth),
        ("carotid-despeckled", clean_carotid),
        ("carotid-lumen", carotid.lumen),
    ):
        write_image(image, folder / f"{name}.nrrd")

    cases = []
    for title, description, image, truth, lumen in (
        ("Heart, real ultrasound", _CLIP_TEXT, clip, None, None),
        ("Carotid artery, simulated", _CAROTID_TEXT, carotid.speckled, carotid.truth, carotid.lumen),
    ):
        cases.append(
            compare_methods(
                single_frame(image),
                methods,
                title=title,
                description=description,
                truth=None if truth is None else single_frame(truth),
                lumen=None if lumen is None else single_frame(lumen).pixels.astype(bool),
                tell=say,
            )
        )
    _save_pictures(folder, cases)
    say("writing the report")
    report = folder / "report.html"
    write_report(
        cases,
        report,
        title="Speckle2Self demonstration",
        figure_infos=FIGURES,
        software=software_line(),
        animation={"Original": _grey_clip(clip), "Despeckled": _grey_clip(clean_clip)},
    )
    return report


_CLIP_TEXT = "One frame of a 30-frame clip of the heart (SonoSite) that pydicom ships. No clean image of it exists."
_CAROTID_TEXT = "Simulated transverse carotid artery. The truth is known exactly, so PSNR and SSIM can be measured."


def _grey_clip(image: UltrasoundImage) -> list[np.ndarray[tuple[int, ...], np.dtype[np.float64]]]:
    grey_range = GreyRange.of(image.pixels)
    return [grey_values(single_frame(image, number), grey_range) for number in range(image.pixels.shape[0])]


def _save_pictures(folder: Path, cases: list[ComparisonCase]) -> None:
    for name, case in zip(("heart", "carotid"), cases, strict=True):
        frames, titles = [case.input_yx, case.results[0].frame_yx], ["input", case.results[0].title]
        if case.truth_yx is not None:
            frames.append(case.truth_yx)
            titles.append("truth")
        save_side_by_side(frames, titles, folder / f"{name}.png", lowest=case.lowest, highest=case.highest)
        everything = [case.input_yx, *(result.frame_yx for result in case.results)]
        captions = ["input", *(result.title for result in case.results)]
        path = folder / f"{name}-all-methods.png"
        save_side_by_side(everything, captions, path, lowest=case.lowest, highest=case.highest, columns=4)
