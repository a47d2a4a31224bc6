"""Runs over archives: what is done, what is left alone, and what the manifest says of it."""

import os
import sqlite3

import numpy as np
import pytest

from Speckle2SelfLogic.archive.files import OutputFile
from Speckle2SelfLogic.archive.inline_worker import InlineWorker
from Speckle2SelfLogic.archive.job import Job, Method, do_job
from Speckle2SelfLogic.archive.run import MANIFEST_NAME, Archive, run_archive
from Speckle2SelfLogic.archive.store import Store
from Speckle2SelfLogic.denoiser import Denoiser, DenoiseSettings
from Speckle2SelfLogic.errors import ImageFileError, SettingsError
from Speckle2SelfLogic.image import UltrasoundImage
from Speckle2SelfLogic.io import read_image, write_image
from Speckle2SelfLogic.methods import load_method
from Testing.logic.archives import DICOM_CLIP, a_frame, a_mixed_archive, checksums

MEDIAN = Method("median")


class Counting(InlineWorker):
    """A worker that notes what it did."""

    def __init__(self, method):
        super().__init__(method)
        self.done = []

    def submit(self, job):
        self.done.append(job.name)
        super().submit(job)


@pytest.fixture
def run():
    """Run an archive in this process; returns the rows by name and the names of the items that were worked on."""

    def call(source, destination, method=MEDIAN, **options):
        workers = []

        def start(_):
            workers.append(Counting(method))
            return workers[0]

        rows = {row.name: row for row in run_archive(Archive(str(source), str(destination), method, **options), start)}
        return rows, workers[0].done if workers else []

    return call


@pytest.fixture
def an_archive(tmp_path):
    folder = tmp_path / "in"
    a_mixed_archive(folder, 6, broken_every=100)
    return folder


def test_every_image_of_an_archive_is_despeckled_under_its_own_name(run, an_archive, tmp_path):
    rows, done = run(an_archive, tmp_path / "out")
    assert len(done) == 6
    assert {row.status for row in rows.values()} == {"done"}
    for row in rows.values():
        before, after = read_image(an_archive / row.name), read_image(tmp_path / "out" / row.output)
        assert after.pixels.shape == before.pixels.shape
        assert (after.pixels != before.pixels).any()
    assert not list((tmp_path / "out").rglob(".speckle2self-batch-*"))


def test_a_second_run_does_nothing_and_a_third_only_what_is_missing_or_changed(run, an_archive, tmp_path):
    out = tmp_path / "out"
    rows, _ = run(an_archive, out)
    first = checksums(out)
    assert run(an_archive, out)[1] == []
    nrrd, mha, png, mhd = (
        next(name for name in rows if name.endswith(end)) for end in (".nrrd", ".mha", ".png", ".mhd")
    )
    (out / mha).unlink()
    (out / png).write_bytes((out / png).read_bytes()[:-20])
    (out / mhd).with_suffix(".raw").unlink()
    write_image(UltrasoundImage(a_frame(99)), an_archive / nrrd)
    again, done = run(an_archive, out)
    assert sorted(done) == sorted([nrrd, mha, png, mhd])
    assert {name for name, checksum in checksums(out).items() if first[name] != checksum} == {nrrd}
    assert again[nrrd].input_sha256 != rows[nrrd].input_sha256


def test_a_changed_data_file_of_a_header_is_a_changed_input(run, tmp_path):
    (tmp_path / "in").mkdir()
    write_image(UltrasoundImage(a_frame(1)), tmp_path / "in" / "a.mhd")
    run(tmp_path / "in", tmp_path / "out")
    assert run(tmp_path / "in", tmp_path / "out")[1] == []
    (tmp_path / "in" / "a.raw").write_bytes(a_frame(2).tobytes())
    assert run(tmp_path / "in", tmp_path / "out")[1] == ["a.mhd"]


def test_a_file_that_only_got_a_new_date_is_not_done_again(run, an_archive, tmp_path):
    run(an_archive, tmp_path / "out")
    for folder in (an_archive, tmp_path / "out"):
        for path in folder.rglob("*.*"):
            os.utime(path, (1_000_000_000, 1_000_000_000))
    assert run(an_archive, tmp_path / "out")[1] == []


def test_an_archive_that_was_moved_with_its_outputs_is_not_done_again(run, an_archive, tmp_path):
    run(an_archive, tmp_path / "out")
    an_archive.rename(tmp_path / "moved")
    (tmp_path / "out").rename(tmp_path / "elsewhere")
    assert run(tmp_path / "moved", tmp_path / "elsewhere")[1] == []


def test_other_settings_or_another_model_do_everything_again(run, an_archive, tmp_path):
    out = tmp_path / "out"
    run(an_archive, out)
    half = Method("median", settings=DenoiseSettings(strength=0.5))
    assert len(run(an_archive, out, half)[1]) == 6
    assert run(an_archive, out, half)[1] == []
    rows, done = run(an_archive, out, Method("lee"))
    assert len(done) == 6
    assert {row.model for row in rows.values()} == {"lee"}


def test_a_file_of_another_origin_is_never_replaced_without_leave(run, an_archive, tmp_path):
    out = tmp_path / "out"
    name = next(path.relative_to(an_archive).as_posix() for path in an_archive.rglob("*.nrrd"))
    (out / name).parent.mkdir(parents=True)
    (out / name).write_bytes(b"precious")
    rows, done = run(an_archive, out)
    assert name not in done
    assert rows[name].status == "failed"
    assert "of another origin" in rows[name].reason
    assert (out / name).read_bytes() == b"precious"
    assert len([row for row in rows.values() if row.status == "done"]) == 5
    rows, done = run(an_archive, out, overwrite=True)
    assert done == [name]
    assert rows[name].status == "done"


def test_an_output_of_another_source_is_not_replaced(run, tmp_path):
    for number, folder in enumerate(("one", "two")):
        (tmp_path / folder).mkdir()
        write_image(UltrasoundImage(a_frame(number)), tmp_path / folder / "a.nrrd")
    run(tmp_path / "one", tmp_path / "out")
    before = checksums(tmp_path / "out")
    rows, done = run(tmp_path / "two", tmp_path / "out")
    assert (rows["a.nrrd"].status, done) == ("failed", [])
    assert checksums(tmp_path / "out") == before


def test_a_data_file_of_another_origin_is_not_replaced(run, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    write_image(UltrasoundImage(a_frame(1)), tmp_path / "in" / "a.mhd")
    (tmp_path / "out" / "a.raw").write_bytes(b"precious")
    rows, _ = run(tmp_path / "in", tmp_path / "out")
    assert "'a.raw' exists already" in rows["a.mhd"].reason
    assert checksums(tmp_path / "out").keys() == {"a.raw"}
    assert (tmp_path / "out" / "a.raw").read_bytes() == b"precious"


def test_broken_files_are_listed_with_reasons_that_hold_no_paths_of_this_computer(run, tmp_path):
    broken = a_mixed_archive(tmp_path / "in", 18, broken_every=2)
    rows, _ = run(tmp_path / "in", tmp_path / "out")
    failed = {name: row for name, row in rows.items() if row.status == "failed"}
    assert sorted(failed) == sorted(broken)
    with sqlite3.connect(tmp_path / "out" / MANIFEST_NAME) as connection:
        text = "\n".join(connection.iterdump())
    connection.close()
    assert str(tmp_path) not in text
    for name, row in failed.items():
        assert name in row.reason or name.replace(".mhd", ".raw").rpartition("/")[2] in row.reason
        assert row.reason.endswith(".")
        assert not (tmp_path / "out" / row.output).exists()


def test_two_inputs_with_one_output_do_not_stop_the_rest(run, tmp_path):
    a_mixed_archive(tmp_path / "in", 2)
    for name in ("IM1", "IM1.dcm", "DICOMDIR"):
        (tmp_path / "in" / name).write_bytes(DICOM_CLIP.read_bytes())
    rows, done = run(tmp_path / "in", tmp_path / "out")
    assert (rows["IM1"].status, rows["IM1.dcm"].status) == ("done", "failed")
    assert "rename one" in rows["IM1.dcm"].reason
    assert "DICOMDIR" not in rows
    assert len(done) == 3


def test_a_pattern_takes_what_it_matches_and_keeps_the_folders_behind_its_fixed_part(run, an_archive, tmp_path):
    rows, _ = run(f"{an_archive}/study*/**/*.nii*", tmp_path / "out")
    assert rows
    assert all(".nii" in name and name.startswith("study") for name in rows)
    with pytest.raises(ImageFileError, match="has no image"):
        run(f"{an_archive}/*.nii.gz", tmp_path / "flat")


def test_one_file_can_be_given(run, an_archive, tmp_path):
    path = next(an_archive.rglob("*.png"))
    rows, _ = run(path, tmp_path / "out")
    assert list(rows) == [path.name]
    assert (tmp_path / "out" / path.name).exists()


@pytest.mark.parametrize(("source", "words"), [("nowhere", "There is no file or folder"), ("empty", "has no image")])
def test_a_source_without_images_is_one_sentence(run, tmp_path, source, words):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImageFileError, match=words):
        run(tmp_path / source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_input_and_output_cannot_be_one_folder_but_outputs_may_lie_in_it(run, an_archive):
    with pytest.raises(ImageFileError, match="same folder"):
        run(an_archive, an_archive)
    assert len(run(an_archive, an_archive / "out")[1]) == 6
    assert run(an_archive, an_archive / "out")[1] == []


def test_an_unknown_model_stops_before_anything_is_made(run, an_archive, tmp_path):
    with pytest.raises(SettingsError, match="no method, model or weight file 'magic'"):
        run(an_archive, tmp_path / "out", Method("magic"))
    assert not (tmp_path / "out").exists()


def test_a_run_that_stops_between_draft_and_name_is_brought_to_its_end_without_work(run, an_archive, tmp_path):
    """As if killed: the manifest says finished, and the draft has not got its name yet (or only its data file has)."""
    out = tmp_path / "out"
    rows, _ = run(an_archive, out)
    complete = checksums(out)
    for row in rows.values():
        draft = out / OutputFile(None, row.output, row.run).draft
        draft.mkdir()
        (out / row.output).rename(draft / (out / row.output).name)
    with sqlite3.connect(out / MANIFEST_NAME) as connection:
        connection.execute("UPDATE items SET status = 'finished'")
    connection.close()
    again, done = run(an_archive, out)
    assert done == []
    assert {row.status for row in again.values()} == {"done"}
    assert checksums(out) == complete


def test_a_draft_that_is_not_what_was_recorded_is_made_again(run, an_archive, tmp_path):
    out = tmp_path / "out"
    rows, _ = run(an_archive, out)
    complete = checksums(out)
    victim = next(row for row in rows.values() if row.output.endswith(".nrrd"))
    draft = out / OutputFile(None, victim.output, victim.run).draft
    draft.mkdir()
    (draft / (out / victim.output).name).write_bytes((out / victim.output).read_bytes()[:50])
    (out / victim.output).unlink()
    with sqlite3.connect(out / MANIFEST_NAME) as connection:
        connection.execute("UPDATE items SET status = 'finished' WHERE name = ?", (victim.name,))
    connection.close()
    assert run(an_archive, out)[1] == [victim.name]
    assert checksums(out) == complete


def test_an_input_that_changes_while_it_is_despeckled_is_not_done(tmp_path):
    (tmp_path / "in").mkdir()
    write_image(UltrasoundImage(a_frame(1)), tmp_path / "in" / "a.nrrd")

    class Changing(Denoiser):
        def run(self, image, *arguments, **options):
            write_image(UltrasoundImage(a_frame(2)), tmp_path / "in" / "a.nrrd")
            return super().run(image, *arguments, **options)

    job = Job("a.nrrd", "a.nrrd", Store(str(tmp_path / "in")), Store(str(tmp_path / "out")), "draft")
    outcome = do_job(job, Changing(load_method("median")))
    assert "changed while it was despeckled" in outcome.reason
    assert not outcome.may_pass


def test_the_outputs_are_those_of_a_single_call(run, an_archive, tmp_path):
    rows, _ = run(an_archive, tmp_path / "out")
    for row in rows.values():
        expected = Denoiser(load_method("median")).run(read_image(an_archive / row.name)).image
        np.testing.assert_array_equal(read_image(tmp_path / "out" / row.output).pixels, expected.pixels)
