"""A batch job: Parquet files of pairs, scored by many workers of a Ray cluster."""

import json
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from crossrank.errors import CrossRankError, InputError
from crossrank.models import digest, locate, read_spec
from crossrank.models.files import list_names, weight_files
from crossrank.models.source import EMBEDDED
from crossrank.optional import require
from crossrank.scale.parts import Folder, Part, list_parts, read_part, without, write_part
from crossrank.scale.scorer import PairScorer

ROWS = 10_000
"""Rows of a part: scored in a minute or so, and all that is lost with a machine."""

MANIFEST = "_crossrank.json"
"""In the target: what job it is of."""

SUCCESS = "_SUCCESS"
"""In the target, once all is there; as Hadoop and Spark say it."""

UNTOLD = {"token", "cache", "cache_folder"}
"""Options that are not written down: a secret, and what changes no score."""

FLYING = 2
"""Parts a worker has at a time: the one that it scores, and the next."""


@dataclass(frozen=True)
class JobReport:
    """What a job has done.

    Attributes:
        files: Files of the source.
        rows: Their rows.
        scored: Rows that this call has scored; the rest was there.
    """

    files: int
    rows: int
    scored: int


def score_files(
    source: str | Path,
    target: str | Path,
    model: str | None = None,
    *,
    query: str = "query",
    document: str = "document",
    score: str = "score",
    calibrated: bool = False,
    rows_per_part: int = ROWS,
    workers: int | None = None,
    cpus_per_worker: float = 1,
    gpus_per_worker: float = 0,
    progress: Callable[[int], object] = lambda _: None,
    **options: Any,
) -> JobReport:
    """Score all pairs in a folder of Parquet files, on a Ray cluster.

    Files are divided into parts of some rows. A part is read, scored and written by one worker, to
    a file of its own; every other column is kept, and the order of the rows. What is written stays:
    after a failure the same call does the rest. A worker that is lost, with its machine or alone,
    is replaced, and its part begun anew.

    The cluster is the one that this process is connected to, that ``RAY_ADDRESS`` names, or that
    runs on this machine; without any, Ray starts here. All machines need crossrank, the model and
    both folders under the same names.

    Args:
        source: A folder, or a URL such as ``s3://bucket/pairs``, of any depth.
        target: The folder to write, as above.
        model: As for ``CrossEncoder``.
        query: Name of the column with the query.
        document: Name of the column with the document.
        score: Name of the column to add.
        calibrated: Give probabilities, by the calibration that is saved with the model.
        rows_per_part: Rows of a part, at most.
        workers: How many; by default they become more as long as the cluster has room.
        cpus_per_worker: Cores of a worker.
        gpus_per_worker: GPUs of a worker; several may share one.
        progress: Called with the number of rows scored since the last call.
        options: As for ``CrossEncoder``.

    Raises:
        InputError: There is nothing to score, a column is missing, a row has no text, or the target
            is of another job; the message says what.
        CrossRankError: The model cannot be loaded.
        MissingDependencyError: The extra ``ray`` is not installed.
    """
    require("ray.data", extra="ray")
    if rows_per_part < 1 or (workers is not None and workers < 1):
        raise InputError("rows_per_part and workers must be at least 1.")
    columns = (query, document, score)
    folders = Folder.of(source), Folder.of(target)
    model = _everywhere(model)
    parts, states = list_parts(folders[0], columns, rows_per_part)
    scorer = {"query": query, "document": document, "score": score, "calibrated": calibrated}
    job = {
        "source": folders[0].location,
        "files": states,
        "rows per part": rows_per_part,
        "model": _identity(model, options),
        **scorer,
        "options": {name: repr(options[name]) for name in sorted(options.keys() - UNTOLD)},
    }
    _begin(folders[1], job)
    todo = without(parts, folders[1].files())
    if todo:
        with _connected():
            rows = _score(
                todo,
                {"folders": folders, "model": model, **scorer, **options},
                workers,
                {"num_cpus": cpus_per_worker, "num_gpus": gpus_per_worker},
            )
            for count in rows:
                progress(count)
    _mark(folders[1], SUCCESS, "")
    return JobReport(len(states), sum(p.rows for p in parts), sum(p.rows for p in todo))


class PartScorer:
    """Reads, scores and writes parts: what each worker runs.

    What fails is an answer, too: an exception would end the job, and lose its words on the way.

    Args:
        folders: Source and target.
        model: As for ``PairScorer``, like all that follow.
        options: As for ``PairScorer``.
    """

    def __init__(self, folders: tuple[Folder, Folder], model: str | None, **options: Any) -> None:
        self._source, self._target = folders
        self._load = partial(PairScorer, model, **options)
        self._scorer: PairScorer | None = None

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Do one part: a batch of one row, with the attributes of the part."""
        part = Part(str(batch["file"][0]), int(batch["start"][0]), int(batch["rows"][0]))
        told = ""
        try:
            if self._scorer is None:
                self._scorer = self._load()
            self._do(part, self._scorer)
        except CrossRankError as error:
            told = str(error)
        return {"rows": batch["rows"], "told": [told], "loaded": [self._scorer is not None]}

    def _do(self, part: Part, scorer: PairScorer) -> None:
        rows = read_part(self._source, part)
        scored = scorer(rows, f"{self._source.location}/{part.file}", part.start)
        write_part(self._target, part, scored)


def _score(
    parts: list[Part], arguments: dict[str, Any], workers: int | None, each: dict[str, float]
) -> Iterator[int]:
    """Give the rows of each part when it is written.

    Raises:
        InputError: Some parts cannot be scored; all others are.
        CrossRankError: The model cannot be loaded, or Ray failed.
    """
    data = require("ray.data", extra="ray")
    exceptions = require("ray.exceptions", extra="ray")
    size = {"min_size": 1} if workers is None else {"size": workers}
    dataset = data.from_items(
        [asdict(part) for part in parts], override_num_blocks=len(parts)
    ).map_batches(
        PartScorer,
        batch_size=1,
        fn_constructor_kwargs=arguments,
        compute=data.ActorPoolStrategy(**size, max_tasks_in_flight_per_actor=FLYING),
        **each,
    )
    failures = []
    try:
        for row in dataset.iter_rows():
            if not row["loaded"]:
                raise CrossRankError(row["told"])
            if row["told"]:
                failures.append(row["told"])
            else:
                yield int(row["rows"])
    except exceptions.RayError as error:
        raise CrossRankError(f"Ray could not do the job: {error}") from error
    if failures:
        raise InputError(
            f"{len(failures)} of {len(parts)} parts could not be scored, all others were. "
            f"{failures[0]}"
        )


@contextmanager
def _connected() -> Iterator[None]:
    """Be connected to a cluster; one that is started for the job ends with it."""
    ray = require("ray", extra="ray")
    started = not ray.is_initialized()
    if started:
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # it warns of what is harmless
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anybody
        ray.init(log_to_driver=False, logging_level=logging.ERROR)
    context = require("ray.data", extra="ray").DataContext.get_current()
    bars, context.enable_progress_bars = context.enable_progress_bars, False
    logger = logging.getLogger("ray.data")  # it tells each step of each operator
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        context.enable_progress_bars = bars
        logger.setLevel(level)
        if started:
            ray.shutdown()


def _everywhere(model: str | None) -> str | None:
    """Name a model's folder in a way that holds in another working directory."""
    local = model is not None and model not in EMBEDDED and Path(model).expanduser().is_dir()
    return str(Path(model).expanduser().resolve()) if model and local else model


def _identity(model: str | None, options: dict[str, Any]) -> str:
    """Digest the files of a model."""
    where = {"cache_folder", "revision", "token", "local_files_only", "backend", "device"}
    folder = locate(model, **{name: value for name, value in options.items() if name in where})
    trusted = bool(options.get("trust_remote_code"))
    spec = read_spec(folder, str(model or "default"), trust_remote_code=trusted)
    return digest(spec, [folder / file.name for file in weight_files(list_names(folder))])


def _begin(target: Folder, job: dict[str, Any]) -> None:
    """Say in the target what job it is of, or see that it is of this one."""
    fs = require("pyarrow.fs", extra="ray")
    system, path = target.open()
    file = f"{path}/{MANIFEST}"
    if system.get_file_info(file).type == fs.FileType.NotFound:
        if system.get_file_info(path).type != fs.FileType.NotFound and target.files():
            raise InputError(f"{target.location} holds files of something else: name another.")
        _mark(target, MANIFEST, json.dumps(job, indent=2))
        return
    with system.open_input_stream(file) as stream:
        begun = json.loads(stream.read())
    different = [name for name in job.keys() | begun.keys() if job.get(name) != begun.get(name)]
    if different:
        raise InputError(
            f"{target.location} was begun by a job with another {', '.join(sorted(different))}: "
            "undo that to continue it, or name another target."
        )


def _mark(target: Folder, name: str, text: str) -> None:
    system, path = target.open()
    system.create_dir(path, recursive=True)
    with system.open_output_stream(f"{path}/{name}") as stream:
        stream.write(text.encode())
