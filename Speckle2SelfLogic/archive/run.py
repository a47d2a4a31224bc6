"""A run over an archive: find what is missing or changed, let workers do it, and let outputs appear when recorded.

An item goes through the states of the manifest. Its worker leaves a whole draft in a hidden folder beside the place of
the output; its checksum is recorded (`FINISHED`); then the draft gets the name of the output and the item is `DONE`. A
run that was killed in between knows from the checksum whether the draft is whole or the output in place, so that
nothing finished is done again and nothing unfinished is ever seen under its name.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import secrets
from collections.abc import Callable, Generator, Iterator
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path

from Speckle2SelfLogic import __version__
from Speckle2SelfLogic.archive.files import InputFile, OutputFile
from Speckle2SelfLogic.archive.items import Item, find_items
from Speckle2SelfLogic.archive.job import Job, Method, Outcome
from Speckle2SelfLogic.archive.manifest import DONE, FAILED, FINISHED, RUNNING, WAITING, Manifest, Row, open_manifest
from Speckle2SelfLogic.archive.store import Store
from Speckle2SelfLogic.archive.workers import Workers, do_jobs
from Speckle2SelfLogic.errors import Speckle2SelfError
from Speckle2SelfLogic.methods import identify_method
from Speckle2SelfLogic.raw.run import RawOptions

MANIFEST_NAME = "speckle2self-batch.sqlite"
"""Name of the manifest in the folder of outputs, unless another is chosen."""

_RUN = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True)
class Plan:
    """What a run finds before any work: rows that need nothing, rows that cannot be done, and rows to do."""

    source: Store
    destination: Store
    settled: list[Row] = field(default_factory=list)
    to_do: list[Row] = field(default_factory=list)

    @property
    def count(self) -> int:
        """The number of items."""
        return len(self.settled) + len(self.to_do)


@dataclass(frozen=True)
class Archive:
    """An archive to despeckle.

    Parameters
    ----------
    source
        Folder, file, pattern, or the URL of one.
    destination
        Folder or URL for the outputs.
    method
        What the workers load.
    manifest
        File of the manifest; left out, see `manifest_path`.
    retries
        Further attempts for an item whose worker was lost, or whose store did not answer.
    overwrite
        Whether outputs that the manifest does not know may be replaced.
    raw
        How raw data are read and written; None for images.
    """

    source: str
    destination: str
    method: Method
    manifest: Path | None = None
    retries: int = 2
    overwrite: bool = False
    raw: RawOptions | None = None

    @property
    def manifest_path(self) -> Path:
        """The file of the manifest: in a local folder of outputs; for an object store, in the current folder."""
        if self.manifest is not None:
            return self.manifest
        outputs = Store.at(self.destination)
        if outputs.is_local:
            return outputs.path(MANIFEST_NAME)
        return Path(f"speckle2self-batch-{_mark(outputs)}.sqlite")


def run_archive(
    archive: Archive,
    start_workers: Callable[[int], Workers],
    begin: Callable[[Plan], None] | None = None,
) -> Generator[Row, None, None]:
    """Despeckle an archive; yields the row of every item when it is done, failed, or found to be done already.

    Parameters
    ----------
    archive
        What to do.
    start_workers
        Starts workers for a number of items; not called if nothing is to be done.
    begin
        Called with the plan before the first item.

    Raises
    ------
    ImageFileError
        If there is nothing to read, or the manifest cannot be used (also later, for example when its disk is full).
    SettingsError, WeightsError
        If the method cannot be loaded.
    """
    destination = Store.at(archive.destination)
    source, items = find_items(archive.source, destination, is_raw=archive.raw is not None)
    model, model_sha256 = identify_method(archive.method.model)
    with open_manifest(archive.manifest_path) as manifest:
        wanted = Row(
            name="",
            output="",
            model=model,
            model_sha256=model_sha256,
            parameters=_parameters(archive),
            version=__version__,
            source=_mark(source),
            run=secrets.token_hex(8),
        )
        plan = _planned(archive, Plan(source, destination), items, manifest, wanted)
        if begin is not None:
            begin(plan)
        yield from plan.settled
        if plan.to_do:
            yield from _work_off(archive, plan, manifest, start_workers)


def _parameters(archive: Archive) -> str:
    """Return as JSON what an output depends on beside input and model; raw data add how they are read and written."""
    method = archive.method
    parameters = {**asdict(method.settings), "device": method.device, "runtime": method.runtime}
    if archive.raw is not None:
        parameters["raw"] = {**asdict(archive.raw), "domain": archive.raw.domain.value}
    return json.dumps(parameters)


def _mark(store: Store) -> str:
    return hashlib.sha256(store.root.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _planned(archive: Archive, plan: Plan, items: list[Item], manifest: Manifest, wanted: Row) -> Plan:
    known = manifest.rows()
    changed = []
    for item in items:
        before = known.get(item.name)
        row = _judged(archive, plan, item, before, wanted)
        (plan.to_do if row.status == WAITING else plan.settled).append(row)
        if row != before:
            changed.append(row)
    manifest.record(*changed)
    return plan


def _judged(archive: Archive, plan: Plan, item: Item, before: Row | None, wanted: Row) -> Row:
    """Return the row of an item as it is now; its status is `WAITING` if there is something to do."""
    fresh = wanted.with_changes(name=item.name, output=item.output)
    if item.problem:
        return fresh.with_changes(status=FAILED, reason=item.problem)
    try:
        if before is None or before.output != item.output:
            before = None
        elif before.status in (RUNNING, FINISHED) and _RUN.fullmatch(before.run):
            before = _settled(before, plan.destination)
        if before is not None and before.status == DONE and _is_up_to_date(before, fresh, plan):
            return before.with_changes(
                input_signature=InputFile(plan.source, item.name).signature(),
                output_signature=OutputFile(plan.destination, item.output).signature(),
                source=fresh.source,
            )
        is_ours = before is not None and bool(before.output_sha256) and before.source == fresh.source
        if not archive.overwrite and not is_ours and plan.destination.signature(item.output):
            reason = (
                f"The output '{item.output}' exists already and is of another origin; remove it or use --overwrite."
            )
            return fresh.with_changes(status=FAILED, reason=reason)
    except Speckle2SelfError as error:
        return fresh.with_changes(status=FAILED, reason=str(error))
    return fresh.with_changes(output_sha256=before.output_sha256 if before is not None and is_ours else "")


def _settled(row: Row, destination: Store) -> Row:
    """Bring an item that a killed run left behind to an end: its output appears, or its draft goes."""
    output = OutputFile(destination, row.output, row.run)
    if row.status == FINISHED and output.checksum() == row.output_sha256:
        output.publish(may_replace=True)
        row = row.with_changes(status=DONE, output_signature=output.signature())
    else:
        row = row.with_changes(status=WAITING)
    output.remove_draft()
    return row


def _is_up_to_date(before: Row, fresh: Row, plan: Plan) -> bool:
    """Whether an output is there and of this input, model and settings. Files are read only if they look changed."""
    is_same_method = all(
        getattr(before, name) == getattr(fresh, name) for name in ("model", "model_sha256", "parameters")
    )
    output, given = OutputFile(plan.destination, before.output), InputFile(plan.source, before.name)
    signature = output.signature()
    if not is_same_method or not signature:
        return False
    if signature != before.output_signature and output.checksum() != before.output_sha256:
        return False
    if given.signature() == before.input_signature and before.source == fresh.source:
        return True
    return given.checksum() == before.input_sha256


def _work_off(
    archive: Archive, plan: Plan, manifest: Manifest, start_workers: Callable[[int], Workers]
) -> Iterator[Row]:
    rows = {row.name: row for row in plan.to_do}
    to_take = iter(plan.to_do)
    taken: list[Row] = []
    in_flight: dict[str, Row] = {}

    def take(count: int, *ended: Row) -> None:
        """Record the rows that ended and those that come next at one time."""
        following = [row.with_changes(status=RUNNING) for row in islice(to_take, count)]
        manifest.record(*ended, *following)
        taken.extend(following)
        in_flight.update((row.name, row) for row in following)

    def jobs() -> Iterator[Job]:
        while True:
            if not taken:
                take(1)
            if not taken:
                return
            row = taken.pop(0)
            draft = OutputFile(plan.destination, row.output, row.run).draft
            yield Job(row.name, row.output, plan.source, plan.destination, draft, raw=archive.raw)

    workers = start_workers(len(rows))
    try:
        for group in do_jobs(workers, jobs(), archive.retries):
            finished = [_after(rows[job.name], outcome) for job, outcome in group]
            manifest.record(*finished)
            ended = [
                _published(row, plan.destination, may_replace=archive.overwrite or bool(rows[row.name].output_sha256))
                for row in finished
            ]
            take(len(ended), *ended)
            for row in ended:
                del in_flight[row.name]
            yield from ended
    finally:
        workers.close()
        _give_up(list(in_flight.values()), plan, manifest)


def _after(row: Row, outcome: Outcome) -> Row:
    if outcome.reason:
        return row.with_changes(status=FAILED, reason=outcome.reason, seconds=outcome.seconds)
    return row.with_changes(
        status=FINISHED,
        input_sha256=outcome.input_sha256,
        input_signature=outcome.input_signature,
        output_sha256=outcome.output_sha256,
        seconds=outcome.seconds,
        notes="\n".join(outcome.notes),
    )


def _published(row: Row, destination: Store, *, may_replace: bool) -> Row:
    """Let the output of a finished item appear; of a failed one, remove the draft."""
    output = OutputFile(destination, row.output, row.run)
    try:
        if row.status == FINISHED:
            output.publish(may_replace=may_replace)
            row = row.with_changes(status=DONE, output_signature=output.signature())
        output.remove_draft()
    except Speckle2SelfError as error:
        with contextlib.suppress(Speckle2SelfError):
            output.remove_draft()
        return row.with_changes(status=FAILED, reason=str(error))
    return row


def _give_up(rows: list[Row], plan: Plan, manifest: Manifest) -> None:
    """Remove what an interrupted run leaves, as far as that works out; the next run removes the rest."""
    for row in rows:
        with contextlib.suppress(Speckle2SelfError):
            OutputFile(plan.destination, row.output, row.run).remove_draft()
    with contextlib.suppress(Speckle2SelfError):
        manifest.record(*(row.with_changes(status=WAITING) for row in rows))
