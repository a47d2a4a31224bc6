"""Object stores by fsspec: what is read, what appears, and that a folder is a folder whatever its URL."""

import sys
import uuid

import fsspec
import pytest

from Speckle2SelfLogic.archive.inline_worker import InlineWorker
from Speckle2SelfLogic.archive.items import find_items
from Speckle2SelfLogic.archive.job import Method
from Speckle2SelfLogic.archive.run import Archive, run_archive
from Speckle2SelfLogic.archive.store import Store, is_below
from Speckle2SelfLogic.cli import main
from Speckle2SelfLogic.errors import ImageFileError
from Testing.logic.archives import a_mixed_archive, checksums

MEDIAN = Method("median")


@pytest.fixture
def an_archive(tmp_path):
    folder = tmp_path / "in"
    a_mixed_archive(folder, 6, broken_every=6)
    return folder


@pytest.fixture
def a_bucket(an_archive):
    """The archive in an object store, at a place of its own."""
    url = f"memory://bucket-{uuid.uuid4().hex}"
    fsspec.filesystem("memory").put(f"{an_archive}/", f"{url}/in/", recursive=True)
    return url


def rows_of(source, destination, tmp_path):
    archive = Archive(str(source), str(destination), MEDIAN, tmp_path / "manifest.sqlite")
    return {row.name: row for row in run_archive(archive, lambda _: InlineWorker(MEDIAN))}


def test_an_object_store_gives_and_takes_what_a_folder_does(an_archive, a_bucket, tmp_path):
    here = rows_of(an_archive, tmp_path / "here", tmp_path / "one")
    there = rows_of(f"{a_bucket}/in", f"{a_bucket}/out", tmp_path / "two")
    memory = fsspec.filesystem("memory")
    memory.get(f"{a_bucket}/out/", f"{tmp_path}/fetched/", recursive=True)
    assert checksums(tmp_path / "fetched") == checksums(tmp_path / "here")
    for name in ("status", "input_sha256", "output_sha256", "reason"):
        assert {row.name: getattr(row, name) for row in here.values()} == {
            row.name: getattr(row, name) for row in there.values()
        }
    assert not [path for path in memory.find(f"{a_bucket}/out") if ".speckle2self" in path]


def test_a_second_run_on_an_object_store_does_only_what_is_missing(a_bucket, tmp_path):
    rows = rows_of(f"{a_bucket}/in", f"{a_bucket}/out", tmp_path)
    memory = fsspec.filesystem("memory")
    done = [row for row in rows.values() if row.status == "done"]
    created = {row.output: memory.info(f"{a_bucket}/out/{row.output}")["created"] for row in done}
    memory.rm(f"{a_bucket}/out/{done[0].output}")
    again = rows_of(f"{a_bucket}/in", f"{a_bucket}/out", tmp_path)
    assert {name: row.status for name, row in again.items()} == {name: row.status for name, row in rows.items()}
    changed = [name for name, before in created.items() if memory.info(f"{a_bucket}/out/{name}")["created"] != before]
    assert changed == [done[0].output]


def test_a_file_url_is_the_folder_and_a_pattern_finds_the_same_in_both(an_archive, a_bucket, tmp_path):
    folder, items = find_items(f"file://{an_archive}", Store.at(str(tmp_path / "out")))
    assert folder == Store(str(an_archive))
    assert [item.name for item in items] == [item.name for item in find_items(f"{a_bucket}/in", folder)[1]]
    for pattern in ("**/*.nrrd", "study*/*/*.png", "study0/**"):
        here = [item.name for item in find_items(f"{an_archive}/{pattern}", Store.at(str(tmp_path / "out")))[1]]
        there = [item.name for item in find_items(f"{a_bucket}/in/{pattern}", folder)[1]]
        assert here
        assert [name.split("/")[-1] for name in here] == [name.split("/")[-1] for name in there]


def test_one_object_can_be_given(a_bucket, tmp_path):
    name = next(item.name for item in find_items(f"{a_bucket}/in", Store("/x"))[1] if item.name.endswith(".nrrd"))
    rows = rows_of(f"{a_bucket}/in/{name}", tmp_path / "out", tmp_path)
    assert list(rows) == [name.rpartition("/")[2]]


def test_the_command_works_off_memory_stores_in_its_own_process(a_bucket, tmp_path, monkeypatch, capsys):
    arguments = ["batch", f"{a_bucket}/in", f"{a_bucket}/out", "-m", "median", "--manifest", tmp_path / "m.sqlite"]
    for extra, status, words in (([], 1, "5 done, 0 done before, 1 failed"), (["--engine", "ray"], 1, "memory://")):
        monkeypatch.setattr(sys, "argv", ["speckle2self", *map(str, arguments), *extra])
        with pytest.raises(SystemExit) as stop:
            main()
        assert stop.value.code == status
        assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("url", "words"),
    [("nonsense://bucket/in", "cannot be reached"), ("memory://nowhere-at-all", "There is no file or folder")],
)
def test_a_store_that_is_not_there_is_one_sentence(tmp_path, url, words):
    with pytest.raises(ImageFileError, match=words) as caught:
        find_items(url, Store.at(str(tmp_path)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["../x.png", "a/../../x.png", "/x.png", ""])
def test_names_that_leave_their_store_are_known(name):
    assert not is_below(name)
    assert is_below("a/b c/x..y.png")
