"""Tiny folders for the tests of the evidence: simulated sets, real frames, plans and stored rows."""

import json

import numpy as np
import yaml
from PIL import Image

from Training.evidence.rows import Measured, Row, output_path, rows_path, write_output, write_rows, write_whole


def scene(seed, size_px=64):
    """A bright disc on grey under multiplicative speckle: (speckled, truth), grey 0..1."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size_px, :size_px]
    truth = np.where(np.hypot(y - size_px / 2, x - size_px / 2) < size_px / 5, 0.6, 0.25)
    return np.clip(truth * rng.rayleigh(0.5, truth.shape), 0, 1), truth


def write_simulated(folder, name="S-I", count=2, split="test"):
    place = folder / name / split
    place.mkdir(parents=True)
    for number in range(count):
        speckled, truth = scene(number)
        Image.fromarray(np.uint8(speckled * 255 + 0.5)).save(place / f"{number:04d}_speckled.png")
        Image.fromarray(np.uint8(speckled * 255 + 0.5)).save(place / f"{number:04d}_second.png")
        Image.fromarray(np.uint16(truth * 65535 + 0.5)).save(place / f"{number:04d}_truth.png")
    return folder


def write_real(folder, count=2):
    folder.mkdir()
    for number in range(count):
        Image.fromarray(np.uint8(scene(100 + number)[0] * 255)).save(folder / f"frame{number}.png")
    return folder


def write_plan(path, data, methods, **rest):
    path.write_text(yaml.safe_dump({"data": data, "methods": methods, **rest}))
    return path


def store(folder, values, *, kind="simulated", ours="ours", **of_data):
    """Store rows: {set: {method: {figure: [value of each frame]}}}; outputs are pictures of 48 x 48."""
    names = list(dict.fromkeys(method for methods in values.values() for method in methods))
    for data, methods in values.items():
        for method, figures in methods.items():
            count = len(next(iter(figures.values())))
            rows = tuple(
                Row(f"{n:04d}", f"sum{n}", {f: v[n] for f, v in figures.items()}, 1, 0.5, 0.25) for n in range(count)
            )
            write_rows(rows_path(folder, data, method), Measured(data, method, {"kind": "filter"}, rows))
            for n in range(count):
                write_output(output_path(folder, data, method, f"{n:04d}"), scene(n, 48)[0])
    plan = {
        "command": "python -m Training.evidence measure plan.yaml --out FOLDER",
        "software": "software 1",
        "perceptual": "LPIPS 1",
        "yardstick": "nlm",
        "data": [{"name": data, "kind": kind, "pictures": 1, **of_data} for data in values],
        "methods": [
            {
                "name": name,
                "kind": "filter",
                "learned_from": "nothing",
                "is_ours": name == ours,
                "in_pictures": True,
                "parameters": {},
            }
            for name in names
            if name not in ("Input", "Truth")
        ],
    }
    write_whole(folder / "plan.json", json.dumps(plan))
    return folder
