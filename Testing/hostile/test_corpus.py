"""Every case of the corpus: despeckled with all that was promised, or refused in one sentence that leaves nothing."""

import re
from pathlib import Path

import numpy as np
import pytest

from Speckle2SelfLogic.batch import FileResult, despeckle_all
from Speckle2SelfLogic.denoiser import Denoiser, DenoiseSettings
from Speckle2SelfLogic.io import image_suffix, read_image
from Speckle2SelfLogic.methods import load_method
from Testing.hostile import corpus
from Testing.hostile.corpus import CASES

TESTING = Path(__file__).parents[1]


@pytest.mark.parametrize("name", CASES)
def test_a_nasty_image_is_despeckled_as_promised_or_refused_in_one_sentence(name, tmp_path, capfd):
    case = CASES[name]
    source, target = tmp_path / f"{name}{case.suffix}", tmp_path / "out" / f"clean{out_suffix(case)}"
    target.parent.mkdir()
    case.write(source)
    (tmp_path.parent / "secret.raw").write_bytes(bytes(64))
    original = source.read_bytes()
    denoiser = Denoiser(load_method("median"), DenoiseSettings(frames=(0, case.frames)))
    (result,) = despeckle_all([FileResult(source, target)], denoiser)
    assert source.read_bytes() == original
    assert capfd.readouterr() == ("", "")
    if case.refused_with:
        assert case.refused_with in result.error
        assert result.error.endswith(".")
        assert result.error.isprintable()
        assert list(target.parent.iterdir()) == []
        return
    assert result.error == ""
    before, after = read_image(source), read_image(target)
    assert after.pixels.shape == before.pixels.shape
    assert after.pixels.dtype == before.pixels.dtype
    assert np.isfinite(after.pixels).all()
    assert after.pixels.min() >= before.pixels.min()
    assert after.pixels.max() <= before.pixels.max()
    if target.suffix == source.suffix:
        assert after.same_geometry(before)
    if min(before.pixels.shape[:2]) > 1 and name != "1-bit":
        assert result.report.processed
        assert (after.pixels != before.pixels).any()


def out_suffix(case):
    suffix = image_suffix(f"x{case.suffix}")
    return ".nrrd" if suffix == ".nhdr" else suffix


def test_every_test_that_the_table_names_exists():
    rows = re.findall(r"^.{36}(\S+)::(\w+)$", corpus.__doc__, re.MULTILINE)
    assert len(rows) > 30
    missing = [
        f"{file}::{test}" for file, test in rows if f"def {test}(" not in (TESTING / file).read_text(encoding="utf-8")
    ]
    assert missing == []
