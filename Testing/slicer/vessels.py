"""Simulated vessels of known size: masks, volumes, cines, and segmentations of them on real MRML."""

import numpy as np

from Testing.slicer.cines import add_cine
from Testing.slicer.pairs import add
from Testing.slicer.segments import add_segmentation

SHAPE_YX = (64, 72)
STEP_MM = 0.25
UPRIGHT = np.diag((-STEP_MM, -STEP_MM, 1.0, 1.0))
RADII_PX = (12.0, 14.0, 16.0, 14.0)
WALL_PX = 4.0


def ring(radius_px, wall_px=WALL_PX, shape_yx=SHAPE_YX, centre_yx=(32.3, 36.2)):
    """A round lumen (1) with a wall (2) as labels (Y, X)."""
    y, x = np.indices(shape_yx)
    distance = np.hypot(y - centre_yx[0], x - centre_yx[1])
    return np.where(distance < radius_px, 1, np.where(distance < radius_px + wall_px, 2, 0)).astype(np.uint8)


def tube(height_px=20, wall_px=3, shape_yx=SHAPE_YX, top=18):
    """A vessel along the rows: lumen (1) and the far wall (2) below it, as labels (Y, X)."""
    labels = np.zeros(shape_yx, np.uint8)
    labels[top : top + height_px] = 1
    labels[top + height_px : top + height_px + wall_px] = 2
    return labels


def picture(labels, seed=0):
    """Speckle 0..255 (any shape): a dark lumen, a bright wall, tissue."""
    speckle = np.random.default_rng(seed).rayleigh(1.0, labels.shape)
    return (np.choose(labels, (70.0, 8.0, 110.0)) * speckle).clip(0, 255).astype(np.uint8)


def smooth_picture(labels):
    """The same without speckle."""
    return np.choose(labels, (90, 10, 200)).astype(np.uint8)


def add_stack(labels_zyx, matrix=UPRIGHT, name="Carotid"):
    """Add a volume of a vessel and a segmentation with lumen and wall."""
    volume = add(picture(labels_zyx), matrix, name)
    masks = {"Lumen": labels_zyx == 1, "Wall": labels_zyx == 2}
    return volume, add_segmentation(volume.GetScene(), masks, matrix, f"{name} drawn")


def add_vessel_cine(scene, radii_px=RADII_PX, matrix=UPRIGHT):
    """Add a cine of a vessel that widens and narrows; return sequence, browser, proxy and labels (T, Y, X)."""
    labels = np.stack([ring(radius_px) for radius_px in radii_px])
    return *add_cine(scene, picture(labels), matrices=[matrix] * len(labels)), labels


class LabelSegmenter:
    """A segmenter that knows the labels of every frame, for tests of what is done with its answer."""

    title = "Known labels"

    def __init__(self, labels, untrusted=(), go_on=None):
        self.labels, self.untrusted, self.go_on = labels, untrusted, go_on
        self.seen = []

    def run(self, image, progress=None, is_cancelled=None, *, frames=(None, None), slice_axis="auto"):
        from types import SimpleNamespace

        from Speckle2SelfLogic.errors import CancelledError

        self.seen.append(image)
        shape = image.pixels.shape[: image.geometry_dimension]
        numbers = range(*slice(*frames).indices(len(self.labels)))
        for done, _number in enumerate(numbers, 1):
            if self.go_on is not None:
                assert self.go_on.acquire(timeout=20)
            if is_cancelled():
                raise CancelledError("Stopped.")
            progress(done, len(numbers))
        quality = {
            number: SimpleNamespace(
                is_trusted=number not in self.untrusted,
                reasons=("the border is uncertain",) if number in self.untrusted else (),
            )
            for number in numbers
        }
        labels = self.labels if len(self.labels) == shape[0] else self.labels[numbers[0] : numbers[0] + 1]
        return SimpleNamespace(
            labels=image.with_pixels(labels.reshape(shape), "known"), report=SimpleNamespace(quality=quality)
        )
