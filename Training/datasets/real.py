"""The real frames we know of: where they lie below a data folder, which device, which subject, under which licence.

The frames themselves are no part of the project; this table says how to read a folder that holds them. A subject is
read off the file name. Where names do not tell subjects, the whole set counts as one subject and stays on one side.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from Speckle2SelfLogic.errors import SettingsError


@dataclass(frozen=True)
class RealSet:
    """One set of real frames.

    ``pattern`` is a glob below the data folder. ``subject`` is a regular expression on the file name whose first group
    is the subject; None if names do not tell. ``alone`` is the split of a set with one subject.
    """

    name: str
    pattern: str
    device: str
    anatomy: str
    licence: str
    attribution: str
    subject: str | None
    alone: str = "train"

    def subject_of(self, path: Path) -> str:
        """Return the subject of a file, unique over all sets.

        Raises
        ------
        SettingsError
            If the name is not formed as in this set.
        """
        if self.subject is None:
            return f"{self.name}/all"
        match = re.match(self.subject, path.name)
        if match is None:
            message = (
                f"'{path.name}' does not tell its subject as files of {self.name} do ('{self.subject}'); rename it."
            )
            raise SettingsError(message)
        return f"{self.name}/{match[1]}"


@dataclass(frozen=True)
class RealFrame:
    """One file, its set, device and subject."""

    path: Path
    set_name: str
    device: str
    subject: str

    def as_item(self) -> dict[str, Any]:
        """Return the item of a MONAI data set."""
        return {"speckled": str(self.path), "set": self.set_name, "subject": self.subject, "device": self.device}


REAL_SETS: tuple[RealSet, ...] = (
    RealSet(
        name="cca_transverse_mindray",
        pattern="cca_transverse_mindray/images/*.png",
        device="Mindray UMT-500Plus",
        anatomy="common carotid artery, transverse",
        licence="CC BY 4.0",
        attribution="A. Momot, Common Carotid Artery Ultrasound Images, Mendeley Data 2022, 10.17632/d4xt63mgjm.1",
        subject=r"(subj[A-Z])_",
    ),
    RealSet(
        name="carotid_mindray_ctu",
        pattern="carotid_mindray_ctu/*.png",
        device="Mindray DC-8",
        anatomy="carotid artery, transverse and longitudinal, with plaque",
        licence="MIT",
        attribution="kostelansky17/carotids (GitHub)",
        subject=r"[a-z]+_(\d+)VAS",  # time of the examination: four frames of four examinations
    ),
    RealSet(
        name="carotid_clarius_raw",
        pattern="carotid_clarius_raw/carotid_env_isotropic_*.png",
        device="Clarius",
        anatomy="common carotid artery, longitudinal, envelope before scan conversion",
        licence="BSD-3-Clause",
        attribution="Copyright (c) 2020 Clarius Mobile Health, clariusdev/raw (GitHub)",
        subject=None,
        alone="test",  # its far wall is evidence that detail is kept
    ),
    RealSet(
        name="vessel_nerve_mindray_te7",
        pattern="vessel_nerve_mindray_te7/images/*.png",
        device="Mindray TE7",
        anatomy="vessels and nerves of neck, arm and leg",
        licence="CC BY 4.0",
        attribution="tmkand/usgra-seg (GitHub)",
        subject=None,
    ),
    RealSet(
        name="muscle_ge_logiq_e9",
        pattern="muscle_ge_logiq_e9/*.png",
        device="GE Logiq E9",
        anatomy="vastus lateralis",
        licence="CC0-1.0",
        attribution="timvanderzee/ultrasound-automated-algorithm (GitHub)",
        subject=r"(S\d+)_",
    ),
    RealSet(
        name="fetal_head_hc18",
        pattern="fetal_head_hc18/images/*.png",
        device="GE Voluson",
        anatomy="fetal head",
        licence="CC BY 4.0",
        attribution="van den Heuvel et al. 2018, HC18, Zenodo 10.5281/zenodo.1327317",
        subject=r"(\d+)_\d*HC",  # further frames of one pregnancy are named 010_2HC, 010_3HC
    ),
    RealSet(
        name="hip_infant_spj",
        pattern="hip_infant_spj/*.png",
        device="infant hip scanner (not named)",
        anatomy="infant hip",
        licence="Apache-2.0",
        attribution="hidden-ops/NHBS-Net_SPJ_dataset (GitHub)",
        subject=None,
        alone="test",
    ),
    RealSet(
        name="phantom_butterfly",
        pattern="phantom_devices/butterfly*.png",
        device="Butterfly iQ",
        anatomy="CIRS 040GSE phantom, cysts and wires",
        licence="Apache-2.0",
        attribution="KitwareMedical/ITKPOCUS (GitHub)",
        subject=None,
        alone="test",
    ),
    RealSet(
        name="phantom_interson",
        pattern="phantom_devices/interson*.png",
        device="Interson",
        anatomy="eye phantom",
        licence="Apache-2.0",
        attribution="KitwareMedical/ITKPOCUS (GitHub)",
        subject=None,
        alone="test",
    ),
)
"""Still frames. Cines are left out: they may show the subjects of still sets (``timtrack_ge_e9_*`` and
``muscle_ge_logiq_e9`` come from one laboratory) and serve to measure flicker."""


def list_frames(folder: str | Path, sets: Sequence[str] | str | None = None) -> list[RealFrame]:
    """List the frames of known sets below a data folder, sorted by path within each set.

    Raises
    ------
    SettingsError
        For a name that is not in `REAL_SETS`, a named set without files, or a folder without any.
    """
    names = [real.name for real in REAL_SETS]
    wanted = names if sets is None else [sets] if isinstance(sets, str) else list(sets)
    frames = []
    for name in wanted:
        if name not in names:
            message = f"There is no real set '{name}'; choose from {', '.join(names)}."
            raise SettingsError(message)
        real = REAL_SETS[names.index(name)]
        paths = sorted(Path(folder).glob(real.pattern))
        if not paths and sets is not None:
            message = f"'{folder}' has no file '{real.pattern}' of the set '{name}'."
            raise SettingsError(message)
        frames += [RealFrame(path, name, real.device, real.subject_of(path)) for path in paths]
    if not frames:
        message = f"'{folder}' has no frames of any known set; give the folder that holds {', '.join(names[:3])}, ..."
        raise SettingsError(message)
    return frames


def set_named(name: str) -> RealSet:
    """Return the entry of `REAL_SETS` with this name."""
    return next(real for real in REAL_SETS if real.name == name)
