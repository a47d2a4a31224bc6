"""The demonstration: a real ultrasound clip and a simulated carotid with known truth, despeckled and compared."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from Speckle2SelfLogic.comparison import Tell, all_methods, compare_methods, grey_values, single_frame, software_line
from Speckle2SelfLogic.denoiser import Denoiser
from Speckle2SelfLogic.errors import ImageFileError
from Speckle2SelfLogic.frames import grey_range_of
from Speckle2SelfLogic.image import UltrasoundImage
from Speckle2SelfLogic.io import read_image, write_image
from Speckle2SelfLogic.metrics import FIGURES
from Speckle2SelfLogic.outputs import make_folder
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


def run_demo(folder: Path, *, device: str = "auto", tell: Tell = lambda _: None) -> Path:
    """Write despeckled volumes, PNGs and a report into a folder (replacing those of an earlier run).

    Parameters
    ----------
    tell
        Called with what is being done.

    Returns
    -------
    pathlib.Path
        The report.
    """
    methods = all_methods(device=device)
    make_folder(folder)
    denoiser = Denoiser(methods[0])

    tell("despeckling the real ultrasound clip")
    clip = real_clip()
    clean_clip = denoiser.run(clip).image
    tell("simulating and despeckling a carotid artery")
    carotid = simulate("carotid", frames=8, size_yx=(384, 384), seed=11)
    for name, image in (
        ("heart-clip-despeckled.nrrd", clean_clip),
        ("heart-clip-despeckled.dcm", clean_clip),
        ("carotid-speckled.nrrd", carotid.speckled),
        ("carotid-truth.nrrd", carotid.truth),
        ("carotid-lumen.nrrd", carotid.lumen),
        ("carotid-despeckled.nrrd", denoiser.run(carotid.speckled).image),
    ):
        write_image(image, folder / name)

    heart = compare_methods(clip, methods, title="Heart, real ultrasound", description=_CLIP_TEXT, tell=tell)
    simulated = compare_methods(
        carotid.speckled,
        methods,
        title="Carotid artery, simulated",
        description=_CAROTID_TEXT,
        truth=single_frame(carotid.truth),
        lumen=single_frame(carotid.lumen).pixels.astype(bool),
        tell=tell,
    )
    _save_pictures(folder, {"heart": heart, "carotid": simulated})
    tell("writing the report")
    report = folder / "report.html"
    write_report(
        [heart, simulated],
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
    grey_range = grey_range_of(image)
    return [grey_values(single_frame(image, number), grey_range) for number in range(image.pixels.shape[0])]


def _save_pictures(folder: Path, cases: Mapping[str, ComparisonCase]) -> None:
    for name, case in cases.items():
        frames, titles = [case.input_yx, case.results[0].frame_yx], ["input", case.results[0].title]
        if case.truth_yx is not None:
            frames.append(case.truth_yx)
            titles.append("truth")
        everything = [case.input_yx, *(result.frame_yx for result in case.results)]
        captions = ["input", *(result.title for result in case.results)]
        for ending, pictures, texts in (("", frames, titles), ("-all-methods", everything, captions)):
            save_side_by_side(
                pictures,
                texts,
                folder / f"{name}{ending}.png",
                lowest=case.lowest,
                highest=case.highest,
                spacing_mm_yx=case.spacing_mm_yx,
                columns=min(len(pictures), 4),
            )
