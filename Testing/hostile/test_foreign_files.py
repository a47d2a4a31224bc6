"""Weights, configurations, archives and manifests from a stranger: nothing of them runs, nothing leaves its place."""

import gzip
import json
import pickle
import sqlite3
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from Speckle2SelfLogic.archive.inline_worker import InlineWorker
from Speckle2SelfLogic.archive.job import Method
from Speckle2SelfLogic.archive.manifest import APPLICATION_ID, VERSION, Row, open_manifest
from Speckle2SelfLogic.archive.run import MANIFEST_NAME, Archive, run_archive
from Speckle2SelfLogic.cli import main
from Speckle2SelfLogic.errors import ImageFileError
from Speckle2SelfLogic.image import UltrasoundImage
from Speckle2SelfLogic.io import read_image, write_image
from Speckle2SelfLogic.weights import builtin_models_folder
from Testing.logic.archives import a_frame, checksums

MEDIAN = Method("median")


def rows_of(source, destination, **options):
    archive = Archive(str(source), str(destination), MEDIAN, **options)
    return {row.name: row for row in run_archive(archive, lambda _: InlineWorker(MEDIAN))}


class Trap:
    """A pickle that makes a file when it is opened."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.fixture
def refusal(tmp_path, monkeypatch, capsys):
    """Use a file as the model of a command; returns the one sentence with which it is refused."""
    Image.fromarray(a_frame(1)).save(tmp_path / "frame.png")

    def call(model, command="denoise"):
        arguments = ["speckle2self", command, tmp_path / "frame.png", tmp_path / "result.png", "--model", model]
        monkeypatch.setattr(sys, "argv", list(map(str, arguments)))
        with pytest.raises(SystemExit) as stop:
            main()
        errors = capsys.readouterr().err
        assert stop.value.code == 1
        assert errors.startswith("Error: ")
        assert errors.count("\n") == 1
        assert not list((tmp_path / "result.png").rglob("*.png"))
        assert not (tmp_path / "result.png").is_file()
        assert not (tmp_path / "sprung").exists()
        return errors

    return call


def a_card(folder, **changes):
    """The card of the default model under another name, with some fields changed."""
    content = json.loads((builtin_models_folder() / "speckle2self-small.json").read_text())
    path = folder / "foreign.json"
    path.write_text(json.dumps({**content, "name": "foreign", **changes}))
    return path


@pytest.mark.parametrize("command", ["denoise", "batch"])
def test_a_pickle_as_weights_is_refused(refusal, tmp_path, command):
    (tmp_path / "evil.pt").write_bytes(pickle.dumps({"head.weight": Trap(tmp_path / "sprung")}))
    assert "is a bare pickle, which could run code when opened, so it was not" in refusal(tmp_path / "evil.pt", command)


def test_a_bundle_with_expressions_is_refused_as_a_file_and_as_an_archive(refusal, tmp_path):
    expression = f"$__import__('pathlib').Path({str(tmp_path / 'sprung')!r}).touch()"
    config = {"imports": [expression], "network_def": {"_target_": "os.system", "command": "true"}, "run": expression}
    (tmp_path / "inference.json").write_text(json.dumps(config))
    assert "does not have the schema" in refusal(tmp_path / "inference.json")
    with zipfile.ZipFile(tmp_path / "bundle.zip", "w") as bundle:
        bundle.write(tmp_path / "inference.json", "bundle/configs/inference.json")
    assert "is an archive that torch.save did not write" in refusal(tmp_path / "bundle.zip")


def test_an_archive_of_weights_that_climbs_out_of_its_folder_is_refused_and_unpacks_nothing(refusal, tmp_path):
    with zipfile.ZipFile(tmp_path / "climbing.pt", "w") as archive:
        archive.writestr("../../sprung", b"out")
        archive.writestr("/sprung", b"out")
    assert "is an archive that torch.save did not write" in refusal(tmp_path / "climbing.pt")
    with zipfile.ZipFile(tmp_path / "climbing.pt", "w") as archive:
        archive.writestr("../../w/data.pkl", pickle.dumps({}, protocol=2))
        archive.writestr("../../w/data/0", b"out")
    refusal(tmp_path / "climbing.pt")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["climbing.pt", "frame.png"]


def test_weights_that_unpack_to_more_than_their_file_are_refused_at_once(refusal, tmp_path):
    with zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("w/data.pkl", bytes(50_000_000))
    started = time.process_time()
    assert "is an archive that torch.save did not write" in refusal(tmp_path / "bomb.pt")
    assert time.process_time() - started < 5


@pytest.mark.parametrize("file", ["../foreign.pt", "/etc/passwd", "sub/foreign.pt", "..", "C:\\foreign.pt", ".hidden"])
def test_a_card_that_points_outside_of_its_folder_is_refused(refusal, tmp_path, file):
    (tmp_path.parent / "foreign.pt").write_bytes(b"outside")
    sentence = refusal(a_card(tmp_path, file=file))
    assert "it must be the name of a file beside the card, without folders" in sentence


def test_a_card_that_is_nested_without_end_is_one_sentence(refusal, tmp_path):
    path = a_card(tmp_path, metrics={"psnr": 1})
    for depth in (17, 600, 900, 100_000):
        nested = '{"a":' * depth + "1" + "}" * depth
        path.write_text(a_card(tmp_path, metrics={"psnr": 1}).read_text().replace('{"psnr": 1}', nested))
        refusal(path)


def test_a_compressed_volume_with_more_behind_its_pixels_costs_no_memory(tmp_path):
    write_image(UltrasoundImage(a_frame(1)), tmp_path / "a.nii")
    with gzip.open(tmp_path / "a.nii.gz", "wb", compresslevel=1) as packed:
        packed.write((tmp_path / "a.nii").read_bytes())
        for _ in range(200):
            packed.write(bytes(1_000_000))
    started = time.process_time()
    np.testing.assert_array_equal(read_image(tmp_path / "a.nii.gz").pixels, a_frame(1))
    assert time.process_time() - started < 2


def test_names_in_an_archive_of_images_that_climb_out_are_refused_and_the_rest_is_done(tmp_path):
    Image.fromarray(a_frame(1)).save(tmp_path / "a.png")
    with zipfile.ZipFile(tmp_path / "studies.zip", "w") as archive:
        for name in ("../../sprung.png", "study/a.png"):
            archive.write(tmp_path / "a.png", name)
    rows = rows_of(f"zip://::file://{tmp_path / 'studies.zip'}", tmp_path / "deep" / "out")
    assert [row.status for row in rows.values()].count("done") == 1
    assert (tmp_path / "deep" / "out" / "study" / "a.png").exists()
    assert not list(tmp_path.rglob("sprung.png"))
    climbing = [row for row in rows.values() if ".." in row.name]
    assert [row.reason for row in climbing] == [
        f"'{row.name}' points outside of its archive, so it is not touched." for row in climbing
    ]


@pytest.mark.parametrize("kind", ["text", "other tables", "a view", "a trigger", "another version", "a folder"])
def test_a_manifest_that_is_none_of_ours_is_refused_and_left_as_it_is(tmp_path, kind):
    (tmp_path / "in").mkdir()
    write_image(UltrasoundImage(a_frame(1)), tmp_path / "in" / "a.nrrd")
    path = tmp_path / "foreign.sqlite"
    if kind == "text":
        path.write_text("no database at all " * 100)
    elif kind == "a folder":
        path.mkdir()
    else:
        with open_manifest(path):
            pass
        statement = {
            "other tables": "CREATE TABLE more (a)",
            "a view": "DROP TABLE items; CREATE VIEW items AS SELECT load_extension('x') AS name",
            "a trigger": "CREATE TRIGGER t AFTER INSERT ON items BEGIN DELETE FROM items; END",
            "another version": f"PRAGMA user_version = {VERSION + 1}",
        }[kind]
        with sqlite3.connect(path) as connection:
            connection.executescript(statement)
            assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
        connection.close()
    before = path.read_bytes() if path.is_file() else b""
    with pytest.raises(ImageFileError, match=r"foreign\.sqlite") as caught:
        rows_of(tmp_path / "in", tmp_path / "out", manifest=path)
    assert "\n" not in str(caught.value)
    assert (path.read_bytes() if path.is_file() else b"") == before
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "hostile",
    [
        {"run": "../../precious"},
        {"run": "x/../../precious"},
        {"output": "../precious/keep.png"},
        {"name": "../precious/keep.png", "output": "../precious/keep.png", "run": "0" * 16},
    ],
)
def test_rows_of_a_foreign_manifest_cannot_reach_outside_of_the_outputs(tmp_path, hostile):
    (tmp_path / "in").mkdir()
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "keep.png").write_bytes(b"precious")
    write_image(UltrasoundImage(a_frame(1)), tmp_path / "in" / "a.nrrd")
    row = Row("a.nrrd", "a.nrrd", status="finished", run="f" * 16)
    with open_manifest(tmp_path / "out" / MANIFEST_NAME) as manifest:
        manifest.record(row.with_changes(**hostile))
    assert rows_of(tmp_path / "in", tmp_path / "out")["a.nrrd"].status == "done"
    assert checksums(tmp_path / "precious").keys() == {"keep.png"}
    assert (tmp_path / "precious" / "keep.png").read_bytes() == b"precious"
