"""`speckle2self batch` as a user runs it: processes, Ray, kills in between, and what is left then."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from Speckle2SelfLogic import RESEARCH_USE
from Speckle2SelfLogic.archive import ray_workers
from Speckle2SelfLogic.archive.inline_worker import InlineWorker
from Speckle2SelfLogic.archive.job import Job, Method, Outcome
from Speckle2SelfLogic.archive.run import MANIFEST_NAME, Archive, run_archive
from Speckle2SelfLogic.archive.workers import do_jobs
from Speckle2SelfLogic.errors import Speckle2SelfError
from Testing.logic.archives import a_mixed_archive, checksums

FILES = int(os.environ.get("SPECKLE2SELF_BATCH_FILES", "27"))
"""More for a longer look: SPECKLE2SELF_BATCH_FILES=300 python -m pytest Testing/endtoend/test_batch_command.py"""


def command(*arguments):
    return [sys.executable, "-m", "Speckle2SelfLogic", "batch", *map(str, arguments), "--model", "median"]


def states(destination):
    """The states of the items in a manifest; none while there is no manifest yet."""
    try:
        with sqlite3.connect(f"file:{destination / MANIFEST_NAME}?mode=ro", uri=True, timeout=20) as connection:
            found = dict(connection.execute("SELECT name, status FROM items").fetchall())
        connection.close()
    except sqlite3.OperationalError:
        return {}
    return found


def wait_until(is_true, process):
    started = time.monotonic()
    while not is_true():
        assert process.poll() is None, "it ended too soon"
        assert time.monotonic() - started < 120
        time.sleep(0.02)


@pytest.fixture(scope="module")
def an_archive(tmp_path_factory):
    folder = tmp_path_factory.mktemp("archive") / "in"
    broken = a_mixed_archive(folder, FILES)
    return folder, broken


@pytest.fixture(scope="module")
def undisturbed(an_archive, tmp_path_factory):
    """Checksums of what one process makes of the archive without any disturbance."""
    folder = tmp_path_factory.mktemp("undisturbed")
    method = Method("median")
    rows = list(run_archive(Archive(str(an_archive[0]), str(folder), method), lambda _: InlineWorker(method)))
    assert sorted(row.name for row in rows if row.status == "failed") == sorted(an_archive[1])
    assert len(rows) == FILES
    return checksums(folder)


def test_kills_in_between_lose_and_repeat_nothing(an_archive, undisturbed, tmp_path):
    out, seen = tmp_path / "out", {}
    for kill in range(1, 4):
        share = kill * FILES // 5
        with subprocess.Popen(command(an_archive[0], out, "--workers", "2"), stderr=subprocess.DEVNULL) as process:
            wait_until(lambda: list(states(out).values()).count("done") >= share, process)  # noqa: B023
            process.send_signal(signal.SIGKILL)
        time.sleep(0.2)  # its workers end by themselves
        done = {path: path.stat().st_mtime_ns for path in out.rglob("*") if is_output(path)}
        assert seen.items() <= done.items()  # what was there was not made again
        assert {undisturbed[path.relative_to(out).as_posix()] for path in done} == {
            checksums(out)[path.relative_to(out).as_posix()] for path in done
        }
        seen = done
    result = subprocess.run(command(an_archive[0], out, "--workers", "2"), capture_output=True, text=True)
    assert result.returncode == 1  # of the broken files
    for name in an_archive[1]:
        assert name.rpartition("/")[2].partition(".")[0] in result.stderr
    assert checksums(out) == undisturbed
    after = {path: path.stat().st_mtime_ns for path in out.rglob("*") if is_output(path)}
    assert seen.items() <= after.items()
    assert set(states(out).values()) == {"done", "failed"}
    again = subprocess.run(command(an_archive[0], out), capture_output=True, text=True)
    assert f"0 done, {FILES - len(an_archive[1])} done before, {len(an_archive[1])} failed" in again.stderr
    assert RESEARCH_USE in again.stderr
    assert after == {path: path.stat().st_mtime_ns for path in out.rglob("*") if is_output(path)}


def is_output(path):
    hidden = any(part.startswith(".speckle2self") for part in path.parts)
    return path.is_file() and not hidden and path.name != MANIFEST_NAME and "-journal" not in path.name


@pytest.mark.skipif(sys.platform != "linux", reason="looks for child processes in /proc")
def test_a_killed_worker_is_replaced_and_its_file_done_by_another(an_archive, undisturbed, tmp_path):
    out = tmp_path / "out"
    with subprocess.Popen(command(an_archive[0], out, "--workers", "1"), stderr=subprocess.PIPE, text=True) as process:
        wait_until(lambda: "done" in states(out).values(), process)
        for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
            if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                os.kill(int(child), signal.SIGKILL)
        process.communicate(timeout=120)
    assert checksums(out) == undisturbed


@pytest.mark.parametrize(
    ("signal_number", "engine"), [(signal.SIGINT, "local"), (signal.SIGTERM, "local"), (signal.SIGTERM, "ray")]
)
def test_stopping_leaves_whole_outputs_and_honest_states(an_archive, undisturbed, tmp_path, signal_number, engine):
    if engine == "ray":
        pytest.importorskip("ray", reason="the extra ray is not installed")
    for attempt in range(5):  # on a busy machine it may be done before the signal arrives
        out = tmp_path / f"out{attempt}"
        arguments = command(an_archive[0], out, "--workers", "1", "--engine", engine)
        with subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True) as process:
            wait_until(lambda: "done" in states(out).values(), process)  # noqa: B023
            process.send_signal(signal_number)
            _, errors = process.communicate(timeout=120)
        if process.returncode == 130:
            break
    assert process.returncode == 130
    assert "the same command goes on from there" in " ".join(errors.split())
    assert "Traceback" not in errors
    assert checksums(out).items() <= undisturbed.items()
    assert set(states(out).values()) <= {"done", "failed", "waiting"}
    assert not list(out.rglob(".speckle2self-batch-*"))


def test_ray_gives_the_same_bytes_as_one_process(an_archive, undisturbed, tmp_path):
    pytest.importorskip("ray", reason="the extra ray is not installed")
    arguments = command(an_archive[0], tmp_path / "out", "--workers", "2", "--engine", "ray")
    result = subprocess.run(arguments, capture_output=True, text=True, timeout=300)
    assert result.returncode == 1, result.stderr
    assert f"{FILES - len(an_archive[1])} done, 0 done before" in result.stderr
    assert checksums(tmp_path / "out") == undisturbed


@pytest.fixture
def a_cluster():
    """A Ray cluster with room for one worker, on this computer."""
    utilities = pytest.importorskip("ray.cluster_utils", reason="the extra ray is not installed")
    cluster = utilities.Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    yield cluster
    cluster.shutdown()


def test_a_cluster_that_loses_a_machine_goes_on_with_the_others(a_cluster, an_archive, undisturbed, tmp_path):
    method, made = Method("median"), []
    machine = a_cluster.add_node(num_cpus=1)

    def workers(_):
        made.append(ray_workers.RayWorkers(method, 3, ray_workers.Cluster(a_cluster.address)))  # the third has no room
        return made[0]

    rows = run_archive(Archive(str(an_archive[0]), str(tmp_path / "out"), method), workers)
    names, counts = [next(rows).name], [len(made[0]._actors)]
    a_cluster.remove_node(machine)
    for row in rows:
        names.append(row.name)
        counts.append(len(made[0]._actors))
    assert counts[0] == 2
    assert 1 in counts, "the loss was noticed"
    assert len(names) == FILES
    assert checksums(tmp_path / "out") == undisturbed


def test_a_worker_that_is_lost_while_it_loads_is_started_again(a_cluster, an_archive, undisturbed, tmp_path):
    import ray

    method, made = Method("median"), []

    def workers(_):
        made.append(ray_workers.RayWorkers(method, 2, ray_workers.Cluster(a_cluster.address)))
        for _, actor in made[0]._coming.values():
            ray.kill(actor)
        return made[0]

    rows = list(run_archive(Archive(str(an_archive[0]), str(tmp_path / "out"), method), workers))
    assert made[0]._lost_while_loading == 1
    assert len(rows) == FILES
    assert checksums(tmp_path / "out") == undisturbed


def test_workers_that_join_get_work_at_once():
    class Joining:
        """Two workers, of which the second joins after the first has its job."""

        capacity = 1

        def __init__(self):
            self.given = []

        def submit(self, job):
            self.given.append(job)

        def ended(self):
            if self.capacity == 1:
                self.capacity = 2
                return []
            assert len(self.given) == 2
            self.capacity = 0
            return [(job, Outcome()) for job in self.given]

    jobs = [Job(name, name, None, None, "") for name in "ab"]
    assert [job for ended in do_jobs(Joining(), jobs, 0) for job, _ in ended] == jobs


def test_a_cluster_without_room_ends_in_one_sentence(monkeypatch):
    utilities = pytest.importorskip("ray.cluster_utils", reason="the extra ray is not installed")
    monkeypatch.setattr(ray_workers, "LONGEST_WAIT_SECONDS", 1.0)
    cluster = utilities.Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    try:
        with pytest.raises(Speckle2SelfError, match="No machine of the Ray cluster has had room for a worker for 1 s"):
            ray_workers.RayWorkers(Method("median"), 1, ray_workers.Cluster(cluster.address))
    finally:
        cluster.shutdown()
