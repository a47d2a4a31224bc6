"""Fabricated frames and settings so small that a training takes a second."""

import numpy as np
from PIL import Image
from scipy import ndimage

from Training.bundle import open_workflow, run_workflow

NETWORK = {"_target_": "Speckle2SelfLogic.networks.despeckler.Despeckler", "channels": [4, 4, 8], "middle_blocks": 1}


def speckled_frame(seed, shape_yx=(40, 48)):
    """A smooth scene times exponential noise, compressed: grey 8 bit."""
    return np.uint8(_grey(seed, shape_yx, noise=True) * 255)


def true_frame(seed, shape_yx=(40, 48)):
    return np.uint16(_grey(seed, shape_yx, noise=False) * 65535)


def _grey(seed, shape_yx, noise):
    rng = np.random.default_rng(seed)
    scene = ndimage.gaussian_filter(rng.random(shape_yx), 6)
    scene = (scene - scene.min()) / np.ptp(scene)
    factor = ndimage.gaussian_filter(rng.exponential(size=shape_yx), 0.7) if noise else 1.0
    return np.clip(0.2 + 0.6 * scene * np.sqrt(factor), 0, 1)


def write_frames(folder, count, shape_yx=(40, 48), first=0):
    """A user's folder: speckled frames and nothing else."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(first, first + count):
        Image.fromarray(speckled_frame(number, shape_yx)).save(folder / f"{number}.png")
    return folder


def write_items(folder, count=4, shape_yx=(40, 48)):
    """Items as `Training.datasets.reading.simulated_items` lists them."""
    folder.mkdir(parents=True, exist_ok=True)
    items = []
    for number in range(count):
        frames = {"speckled": speckled_frame(number, shape_yx), "truth": true_frame(number, shape_yx)}
        frames["second"] = speckled_frame(number, shape_yx)[:, ::-1]
        item = {key: str(folder / f"{number}_{key}.png") for key in frames}
        for key, frame in frames.items():
            Image.fromarray(np.ascontiguousarray(frame)).save(item[key])
        items.append(item)
    return items


def tiny_settings(items, run, **changes):
    """Settings of a training of three epochs with two steps each."""
    return {
        "network_def": NETWORK,
        "train#dataset#data": items,
        "validate#dataset#data": items[:2],
        "output_dir": str(run),
        "epochs": 3,
        "epoch_length": 2,
        "val_interval": 1,
        "batch": 2,
        "crop_px": 32,
        "precision": "float32",
        "device": "$torch.device('cpu')",
        **changes,
    }


def trained(configs, settings, before=None):
    """Run the bundle; `before` is given the trainer."""
    workflow = open_workflow(configs, **settings)
    if before is not None:
        before(workflow.parser.get_parsed_content("train#trainer"))
    run_workflow(workflow)
    return workflow


def average_of(workflow):
    return workflow.parser.get_parsed_content("average").ema_model.state_dict()
