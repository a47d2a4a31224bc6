"""Faults in every phase of a run over an archive: no partial output, no lost input, an honest state."""

import errno
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from Speckle2SelfLogic.archive.inline_worker import InlineWorker
from Speckle2SelfLogic.archive.job import Method
from Speckle2SelfLogic.archive.local_workers import LocalWorkers
from Speckle2SelfLogic.archive.run import Archive, run_archive
from Speckle2SelfLogic.archive.store import Store
from Speckle2SelfLogic.errors import ImageFileError, WeightsError
from Speckle2SelfLogic.image import UltrasoundImage
from Speckle2SelfLogic.io import read_image, write_image
from Testing.hostile.killers import FATAL_GREY, Greedy, Harmful, Killing
from Testing.logic.archives import a_frame, checksums

MEDIAN = Method("median")


@pytest.fixture
def an_archive(tmp_path):
    """Three small frames, the one in the middle ten times as large and with a fatal first pixel."""
    folder = tmp_path / "in"
    folder.mkdir()
    for name, frame in (("a", a_frame(1)), ("b", np.tile(a_frame(2), (6, 8))), ("c", a_frame(3))):
        frame[0, 0] = FATAL_GREY if name == "b" else 0
        write_image(UltrasoundImage(frame), folder / f"{name}.nrrd")
    return folder


def rows_of(archive, workers=lambda _: InlineWorker(MEDIAN)):
    return {row.name: row for row in run_archive(archive, workers)}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="ends child processes that were forked")
def test_a_kill_at_any_step_loses_and_repeats_nothing(tmp_path, request):
    script, in_memory = Path(__file__).with_name("kill_everywhere.py"), Path("/dev/shm")  # noqa: S108
    folder = Path(tempfile.mkdtemp(dir=in_memory if in_memory.is_dir() else tmp_path))  # hundreds of commits
    request.addfinalizer(lambda: shutil.rmtree(folder))
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    result = subprocess.run(
        [sys.executable, script, folder / "work"], capture_output=True, text=True, env=environment, timeout=300
    )
    assert result.returncode == 0, result.stderr
    first, *killed = map(json.loads, result.stdout.splitlines())
    expected = first["expected"]
    assert set(expected) == {"a0.mhd", "a0.raw", "a1.nrrd"}
    assert len(killed) >= first["undisturbed"]["steps"] // 2 > 20
    for end in killed:
        assert end["first"] == 9
        assert end["left"].items() <= expected.items(), end  # what is visible is whole
        assert end["again"]["states"] == ["done", "done"], end
        assert end["outputs"], end
        assert end["inputs"], end
        assert end["hidden"] == [], end
        complete = {"a0.mhd": {"a0.mhd", "a0.raw"}, "a1.nrrd": {"a1.nrrd"}}
        repeated = [name for name in end["again"]["done"] if complete[name] <= end["left"].keys()]
        assert repeated == [], end


def test_a_worker_that_dies_at_one_file_fails_that_file_alone(an_archive, tmp_path):
    method = Harmful(Killing)
    rows = rows_of(
        Archive(str(an_archive), str(tmp_path / "out"), method_of(method), retries=1),
        lambda count: LocalWorkers(method, min(count, 1)),
    )
    assert {name: row.status for name, row in rows.items()} == {"a.nrrd": "done", "b.nrrd": "failed", "c.nrrd": "done"}
    assert rows["b.nrrd"].reason == "'b.nrrd' ended its worker (signal 9; often memory ran out)."
    assert checksums(tmp_path / "out").keys() == {"a.nrrd", "c.nrrd"}


def method_of(harmful):
    """The harm is in the workers; the manifest shows the method that they stand for."""
    return Method(harmful.model)


def test_memory_that_runs_out_at_one_file_fails_that_file_alone(an_archive, tmp_path):
    rows = rows_of(Archive(str(an_archive), str(tmp_path / "out"), MEDIAN, retries=1), lambda _: greedy())
    assert {name: row.status for name, row in rows.items()} == {"a.nrrd": "done", "b.nrrd": "failed", "c.nrrd": "done"}
    assert "not enough memory for 1152921504606846976 bytes" in rows["b.nrrd"].reason
    assert str(tmp_path) not in rows["b.nrrd"].reason
    assert checksums(tmp_path / "out").keys() == {"a.nrrd", "c.nrrd"}
    assert rows_of(Archive(str(an_archive), str(tmp_path / "out"), MEDIAN))["b.nrrd"].status == "done"


def greedy():
    worker = InlineWorker(MEDIAN)
    worker._denoiser = Harmful(Greedy).load()
    return worker


@pytest.mark.skipif(sys.platform == "win32", reason="limits the size of files as POSIX does")
@pytest.mark.parametrize(("largest_bytes", "done"), [(20_000, ["a.nrrd", "c.nrrd"]), (3_000, [])])
def test_a_disk_that_takes_no_more_is_said_and_leaves_no_part(an_archive, tmp_path, largest_bytes, done):
    """The limit is of the system: writing beyond it fails as on a full disk, for outputs or for the manifest itself."""

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_bytes, largest_bytes))

    arguments = ["batch", an_archive, tmp_path / "out", "--model", "median", "--workers", "1"]
    command = [sys.executable, "-m", "Speckle2SelfLogic", *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, preexec_fn=limit)
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert sorted(checksums(tmp_path / "out")) == done
    if done:
        assert "2 done, 0 done before, 1 failed" in result.stderr
        assert "'b.nrrd' could not be written as NRRD; perhaps the disk is full." in result.stderr
    else:
        assert "The manifest" in result.stderr
    assert len(rows_of(Archive(str(an_archive), str(tmp_path / "out"), MEDIAN))) == 3
    assert sorted(checksums(tmp_path / "out")) == ["a.nrrd", "b.nrrd", "c.nrrd"]


@pytest.mark.parametrize("fault", [errno.ENOSPC, errno.EACCES, errno.EROFS])
def test_an_output_that_cannot_get_its_name_is_no_output(an_archive, tmp_path, monkeypatch, fault):
    original = Path.replace

    def refusing(path, target):
        if Path(target) == tmp_path / "out" / "b.nrrd":
            raise OSError(fault, os.strerror(fault))
        return original(path, target)

    monkeypatch.setattr(Path, "replace", refusing)
    rows = rows_of(Archive(str(an_archive), str(tmp_path / "out"), MEDIAN))
    assert rows["b.nrrd"].status == "failed"
    assert os.strerror(fault) in rows["b.nrrd"].reason
    assert checksums(tmp_path / "out").keys() == {"a.nrrd", "c.nrrd"}
    monkeypatch.undo()
    assert rows_of(Archive(str(an_archive), str(tmp_path / "out"), MEDIAN))["b.nrrd"].status == "done"


def test_a_file_in_the_place_of_a_folder_fails_its_files_alone(tmp_path):
    for name in ("one", "two"):
        (tmp_path / "in" / name).mkdir(parents=True)
        write_image(UltrasoundImage(a_frame(1)), tmp_path / "in" / name / "a.nrrd")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "one").write_bytes(b"no folder")
    rows = rows_of(Archive(str(tmp_path / "in"), str(tmp_path / "out"), MEDIAN))
    assert {name: row.status for name, row in rows.items()} == {"one/a.nrrd": "failed", "two/a.nrrd": "done"}
    assert (tmp_path / "out" / "one").read_bytes() == b"no folder"


@pytest.mark.parametrize("fault", [errno.ETIMEDOUT, errno.ESTALE])
def test_a_store_that_does_not_answer_is_asked_again(an_archive, tmp_path, monkeypatch, fault):
    original, refusals = Store.checksum, [OSError(fault, os.strerror(fault))] * 2

    def shaky(store, *names):
        if refusals and names == ("a.nrrd",):
            raise refusals.pop()
        return original(store, *names)

    monkeypatch.setattr(Store, "checksum", shaky)
    assert rows_of(Archive(str(an_archive), str(tmp_path / "out"), MEDIAN))["a.nrrd"].status == "done"
    assert refusals == []


def test_weights_that_do_not_load_stop_the_run_before_a_file_is_touched(an_archive, tmp_path):
    (tmp_path / "evil.pt").write_bytes(b"\x80\x04N.")
    archive = Archive(str(an_archive), str(tmp_path / "out"), Method(str(tmp_path / "evil.pt")))
    with pytest.raises(WeightsError, match="bare pickle"):
        rows_of(archive, lambda _: LocalWorkers(archive.method, 2))
    assert checksums(tmp_path / "out") == {}


def test_two_runs_with_one_manifest_keep_out_of_each_others_way(an_archive, tmp_path):
    archive = Archive(str(an_archive), str(tmp_path / "out"), MEDIAN)
    first = run_archive(archive, lambda _: InlineWorker(MEDIAN))
    next(first)
    with pytest.raises(ImageFileError, match="in use by another run"):
        rows_of(archive)
    assert [row.status for row in first] == ["done", "done"]
    assert (read_image(tmp_path / "out" / "a.nrrd").pixels != read_image(an_archive / "a.nrrd").pixels).any()
