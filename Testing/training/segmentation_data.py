"""Fabricated frames with masks: a dark disc in bright speckle, so small that a network trains in a second."""

import numpy as np
from PIL import Image

from Training.segmentation.plan import DataPlan, MethodPlan, Plan


def disc_frame(seed, shape_yx=(40, 44)):
    """Return a frame, grey 8 bit, and its mask."""
    rng = np.random.default_rng(seed)
    y, x = np.indices(shape_yx)
    centre = rng.uniform(0.4, 0.6, 2) * shape_yx
    mask = np.hypot(y - centre[0], x - centre[1]) < rng.uniform(8, 11)
    grey = np.where(mask, 0.1, 0.7) * np.sqrt(rng.exponential(size=shape_yx))
    return np.uint8(np.clip(grey, 0, 1) * 255), mask


def write_set(folder, subjects=4, each=2, value=1):
    """A folder of images and a folder of masks, files named P0_0.png, P0_1.png, P1_0.png, ..."""
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for person in range(subjects):
        for number in range(each):
            frame, mask = disc_frame(10 * person + number)
            Image.fromarray(frame).save(folder / "images" / f"P{person}_{number}.png")
            Image.fromarray(np.uint8(mask * value)).save(folder / "masks" / f"P{person}_{number}.png")
    return folder


def set_plan(folder, name="discs", **changes):
    settings = {"subject": r"(P\d+)_", "labels": {"lumen": (1,)}}
    return DataPlan(**{"name": name, "images": folder / "images", "masks": folder / "masks", **settings, **changes})


def small_plan(*data, **changes):
    methods = (MethodPlan("original"), MethodPlan("median", "median"))
    budget = {"methods": methods, "side_px": 32, "steps": 2, "batch": 2, "folds": 2, "few_shot": ()}
    return Plan(data=data, **{**budget, **changes})
