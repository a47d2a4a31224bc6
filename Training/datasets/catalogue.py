"""The simulated sets: which scenes, which scanners, what they are for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from Speckle2SelfLogic.simulation.scene import Rng, Scene
from Training.datasets.anatomy_scenes import (
    carotid_longitudinal_scene,
    carotid_scene,
    cysts_scene,
    muscle_scene,
)
from Training.datasets.disc_scenes import OTHER_SHAPES, PUBLISHED_SHAPES, cast_shadows, disc_scene
from Training.datasets.scanners import CLINICAL, HEAVY, LIGHT, ScannerRanges
from Training.datasets.thyroid_scenes import thyroid_scene


def published_shapes(shape_yx: tuple[int, int], rng: Rng) -> Scene:
    """Disc scene with squares, circles and triangles."""
    return disc_scene(shape_yx, rng, PUBLISHED_SHAPES)


def other_shapes(shape_yx: tuple[int, int], rng: Rng) -> Scene:
    """Disc scene with ellipses, stars, crescents, bars, crosses, rings and polygons."""
    return disc_scene(shape_yx, rng, OTHER_SHAPES)


@dataclass(frozen=True)
class SetRecipe:
    """One simulated set. ``shadows`` draws shadows into a finished scene, or is left out."""

    description: str
    scene: Callable[[tuple[int, int], Rng], Scene]
    scanners: ScannerRanges
    shadows: Callable[[Scene, Rng], None] | None = None


SETS: Mapping[str, SetRecipe] = MappingProxyType(
    {
        "S-I": SetRecipe(
            "Disc with squares, circles and triangles; heavy artefacts beyond speckle.",
            published_shapes,
            HEAVY,
            cast_shadows,
        ),
        "S-II": SetRecipe("The shapes of S-I; few artefacts.", published_shapes, LIGHT),
        "S-III": SetRecipe("Other shapes than S-I and S-II; few artefacts.", other_shapes, LIGHT),
        "carotid": SetRecipe("Neck with the common carotid artery across.", carotid_scene, CLINICAL),
        "carotid-longitudinal": SetRecipe(
            "Neck with the common carotid artery along, a third with plaque.", carotid_longitudinal_scene, CLINICAL
        ),
        "muscle": SetRecipe("Striated muscle between aponeuroses.", muscle_scene, CLINICAL),
        "thyroid": SetRecipe("Thyroid-like gland around the trachea, with nodules.", thyroid_scene, CLINICAL),
        "cysts": SetRecipe("Round targets from anechoic to +9 dB.", cysts_scene, CLINICAL),
    }
)
SPLITS = ("train", "validation", "test")
