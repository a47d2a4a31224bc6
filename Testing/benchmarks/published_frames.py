"""Score methods on the published in-vivo carotid frames beside the published outputs.

    python Testing/benchmarks/published_frames.py FOLDER [METHOD ...]

FOLDER holds ``Input_01.gif``, ``Input_06.gif`` and any ``NAME_01.gif``, ``NAME_06.gif`` of other methods (three frames
of 256 x 256 each), as shown on the project page of Li, Navab and Jiang (2025). They are their authors' property and not
part of this software. METHOD is a model, weight file or filter; left out: the default model.

Every output is brought to the mean of its input first, since homogeneity rises with darkening. Medians over six frames.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageSequence
from rich.console import Console
from rich.table import Table

from Speckle2SelfLogic.denoiser import Denoiser
from Speckle2SelfLogic.image import UltrasoundImage
from Speckle2SelfLogic.methods import load_method
from Speckle2SelfLogic.metrics import (
    black_share,
    edge_rise_width_px,
    gcnr,
    glcm_homogeneity,
    local_brightness_bias,
    residual_structure_correlation,
    snr,
    with_mean_of,
)
from Speckle2SelfLogic.weights import DEFAULT_MODEL

Frame = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

LUMEN_CENTRES_YX = {1: ((98, 159), (98, 138), (100, 105)), 6: ((92, 198), (94, 194), (97, 166))}
RANGE = 255.0


def read_frames(path: Path) -> list[Frame]:
    """Return the frames of a GIF as grey 0..255."""
    with Image.open(path) as animation:
        return [np.asarray(frame.convert("L"), np.float64) for frame in ImageSequence.Iterator(animation)]


def box(shape: tuple[int, ...], cy: int, cx: int, half_height: int, half_width: int) -> Mask:
    """Return a rectangular region."""
    mask = np.zeros(shape, bool)
    mask[max(cy - half_height, 0) : cy + half_height, max(cx - half_width, 0) : cx + half_width] = True
    return mask


def figures(input_yx: Frame, output_yx: Frame, cy: int, cx: int) -> dict[str, float | None]:
    """Measure one output: lumen, tissue below the vessel, strap muscle above it, far wall."""
    matched = np.clip(with_mean_of(output_yx, input_yx), 0, RANGE)
    lumen, below = box(matched.shape, cy, cx, 7, 9), box(matched.shape, cy + 54, cx, 12, 10)
    muscle = box(matched.shape, 34, 128, 9, 50)
    profile = matched[cy - 2 : cy + 46, cx - 5 : cx + 5].mean(1)
    return {
        "homogeneity": glcm_homogeneity(output_yx, input_yx, data_range=RANGE),
        "gCNR below": gcnr(matched, lumen, below),
        "gCNR muscle": gcnr(matched, lumen, muscle),
        "SNR below": snr(matched, below),
        "SNR muscle": snr(matched, muscle),
        "far wall (px)": edge_rise_width_px(profile),
        "local bias": local_brightness_bias(input_yx, matched, data_range=RANGE),
        "residual": residual_structure_correlation(input_yx, matched),
        "black share": black_share(input_yx, matched, data_range=RANGE),
    }


def main() -> None:
    """Print one row for each published and each given method."""
    parser = argparse.ArgumentParser(description="Score methods on the published carotid frames.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("methods", nargs="*", default=[DEFAULT_MODEL])
    arguments = parser.parse_args()
    inputs = {clip: read_frames(arguments.folder / f"Input_{clip:02d}.gif") for clip in LUMEN_CENTRES_YX}
    outputs = {
        path.name.removesuffix("_01.gif"): {
            c: read_frames(arguments.folder / f"{path.name[:-7]}_{c:02d}.gif") for c in inputs
        }
        for path in sorted(arguments.folder.glob("*_01.gif"))
    }
    for name in arguments.methods:
        denoiser = Denoiser(load_method(name))
        outputs[f"{name}, run here"] = {
            clip: [denoiser.run(UltrasoundImage(frame.astype(np.uint8))).image.pixels.astype(float) for frame in frames]
            for clip, frames in inputs.items()
        }
    table: Table | None = None
    for name, clips in outputs.items():
        rows = [
            figures(source, output, *centre)
            for clip, frames in clips.items()
            for source, output, centre in zip(inputs[clip], frames, LUMEN_CENTRES_YX[clip], strict=True)
        ]
        table = table or Table("method", *rows[0])
        medians = [np.median([v for v in (row[key] for row in rows) if v is not None]) for key in rows[0]]
        table.add_row(name, *(f"{value:.3f}" for value in medians))
    Console(width=160).print(table)


if __name__ == "__main__":
    main()
