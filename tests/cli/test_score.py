"""``crossrank score``: formats, mistakes, and continuing after an interruption."""

import csv
import gzip
import itertools
import json
import resource
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cli.commands import interrupt, run, start
from tests.cli.conftest import make_model
from typer.testing import Result

from crossrank.evaluation.calibration_maps import Calibration, Platt
from crossrank.models.calibrations import write_calibration

Invoke = Callable[..., Result]


@pytest.fixture
def jsonl_file(tmp_path: Path) -> Path:
    file = tmp_path / "pairs.jsonl"
    rows = [
        {"id": 7, "query": "w1 w2", "document": "w1 w2", "note": {"tags": ["ä", None]}},
        {"query": "w1 w2", "document": "w3 w4"},
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def test_jsonl_keeps_every_field(invoke: Invoke, model: list[str], jsonl_file: Path) -> None:
    out = jsonl_file.with_name("scored.jsonl")
    result = invoke("score", jsonl_file, "-o", out, *model)
    assert result.exit_code == 0, result.stderr
    before = [json.loads(line) for line in jsonl_file.read_text().splitlines()]
    after = [json.loads(line) for line in out.read_text().splitlines()]
    assert after == [before[0] | {"score": 1.0}, before[1] | {"score": 0.33333334}]
    assert "ä" in out.read_text()
    assert sorted(path.name for path in out.parent.iterdir()) == ["pairs.jsonl", "scored.jsonl"]


def test_csv_of_other_columns(invoke: Invoke, model: list[str], tmp_path: Path) -> None:
    file, out = tmp_path / "pairs.csv", tmp_path / "scored.csv"
    file.write_bytes(b'\xef\xbb\xbfn,q,d\r\n01,w1,"w1,\r\n""w2"""\r\n\r\n2,w1,w1\r\n')
    result = invoke("score", file, "-o", out, "--query-field", "q", "--document-field", "d", *model)
    assert result.exit_code == 0, result.stderr
    with out.open(newline="", encoding="utf-8") as lines:
        rows = list(csv.reader(lines))
    assert rows == [
        ["n", "q", "d", "score"],
        ["01", "w1", 'w1,\r\n"w2"', "0.33333334"],  # [SEP] is shared, the words have commas
        ["2", "w1", "w1", "1.0"],
    ]


def test_tsv_quoted_or_not(invoke: Invoke, model: list[str], tmp_path: Path) -> None:
    file, out = tmp_path / "pairs.tsv", tmp_path / "scored.tsv"
    file.write_bytes(b'query\tdocument\nw1\t"w1 ""w2"""\nw1\tw1 "w2"\n\nw1, w2\tw1\n')
    result = invoke("score", file, "-o", out, *model)
    assert result.exit_code == 0, result.stderr
    assert out.read_text() == (
        "query\tdocument\tscore\n"
        'w1\t"w1 ""w2"""\t0.6666667\n'  # as it is read again
        'w1\t"w1 ""w2"""\t0.6666667\n'
        "w1, w2\tw1\t0.5\n"
    )


def test_gzip_in_gzip_out(invoke: Invoke, model: list[str], jsonl_file: Path) -> None:
    packed, out = jsonl_file.with_name("pairs.jsonl.gz"), jsonl_file.with_name("scored.jsonl.gz")
    packed.write_bytes(gzip.compress(jsonl_file.read_bytes()))
    assert invoke("score", packed, "-o", out, *model).exit_code == 0
    scores = [json.loads(line)["score"] for line in gzip.decompress(out.read_bytes()).splitlines()]
    assert scores == [1.0, 0.33333334]


def test_parquet_keeps_types(invoke: Invoke, model: list[str], tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="reads Parquet")
    parquet = pytest.importorskip("pyarrow.parquet", reason="reads Parquet")
    file, out = tmp_path / "pairs.parquet", tmp_path / "scored.parquet"
    count = 9000  # more than two chunks
    table = pyarrow.table(
        {
            "number": pyarrow.array(range(count), pyarrow.int16()),
            "query": ["w1"] * count,
            "document": pyarrow.array(["w1", "w2"] * (count // 2)).dictionary_encode(),
        }
    )
    parquet.write_table(table, file, row_group_size=1000)
    result = invoke("score", file, "-o", out, *model)
    assert result.exit_code == 0, result.stderr
    scored = parquet.read_table(out)
    assert scored.drop(["score"]).equals(parquet.read_table(file))
    assert scored.schema.field("score").type == pyarrow.float32()
    assert scored["score"].to_pylist() == [1.0, 0.5] * (count // 2)
    assert not list(tmp_path.glob("scored.parquet.*"))


def test_several_labels(invoke: Invoke, model_of_two_labels: list[str], jsonl_file: Path) -> None:
    out = jsonl_file.with_name("scored.jsonl")
    result = invoke("score", jsonl_file, "-o", out, *model_of_two_labels)
    assert result.exit_code == 0, result.stderr
    scores = [json.loads(line)["scores"] for line in out.read_text().splitlines()]
    assert scores == [[1.0, 2.0], [0.33333334, 1.3333334]]


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.jsonl", b"", b""),
        ("a.csv", b"", b""),
        ("a.csv", b"query,document\n", b"query,document,score\n"),
    ],
)
def test_no_rows(
    invoke: Invoke, model: list[str], tmp_path: Path, name: str, content: bytes, expected: bytes
) -> None:
    (tmp_path / name).write_bytes(content)
    out = tmp_path / f"out-{name}"
    assert invoke("score", tmp_path / name, "-o", out, *model).exit_code == 0
    assert out.read_bytes() == expected


def test_no_rows_in_parquet(invoke: Invoke, model: list[str], tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="reads Parquet")
    parquet = pytest.importorskip("pyarrow.parquet", reason="reads Parquet")
    file, out = tmp_path / "a.parquet", tmp_path / "out.parquet"
    text = pyarrow.string()
    parquet.write_table(pyarrow.schema([("query", text), ("document", text)]).empty_table(), file)
    assert invoke("score", file, "-o", out, *model).exit_code == 0
    assert parquet.read_table(out).schema.names == ["query", "document", "score"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.jsonl", b'{"query": "w1"}\n', "line 1: a field 'document' is required"),
        ("a.jsonl", b'\n{"query": "w1", "document": null}', "line 2: the field 'document' must be"),
        ("a.jsonl", b'{"query": "w1", "document": "w1"}\n\xe4', "line 2: text in UTF-8"),
        ("a.jsonl", b'{"query": "", "document": "", "score": 1}', "line 1: there is a field 'scor"),
        ("a.csv", b"query,text\n", "line 1: a field 'document' is required"),
        ("a.csv", b"query,document\nw1,w1\nw1\n", "line 3: 2 columns are required"),
        ("a.csv", b'query,document\nw1,"w1\n', "line 2: CSV is required"),
        ("a.csv", b"query,document,score\n", "line 1: there is a field 'score' already"),
        ("a.csv", b"query,query,document\n", "line 1: columns of different names"),
    ],
)
def test_malformed_rows_are_named(
    invoke: Invoke, model: list[str], tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    out = tmp_path / f"out-{name}"
    result = invoke("score", file, "-o", out, *model)
    assert result.exit_code == 1
    assert f"Error: {file}, {said}" in result.stderr
    assert not out.exists()


def test_a_damaged_gzip_file(invoke: Invoke, model: list[str], jsonl_file: Path) -> None:
    packed = jsonl_file.with_name("pairs.jsonl.gz")
    packed.write_bytes(gzip.compress(jsonl_file.read_bytes())[:-20])
    result = invoke("score", packed, "-o", packed.with_name("out.jsonl.gz"), *model)
    assert result.exit_code == 1
    assert "damaged gzip file" in result.stderr


def test_null_in_parquet(invoke: Invoke, model: list[str], tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="reads Parquet")
    parquet = pytest.importorskip("pyarrow.parquet", reason="reads Parquet")
    file = tmp_path / "a.parquet"
    parquet.write_table(pyarrow.table({"query": ["w1", None], "document": ["w1", "w1"]}), file)
    result = invoke("score", file, "-o", tmp_path / "out.parquet", *model)
    assert result.exit_code == 1
    assert f"{file}, row 2: the field 'query' must be a string, received null" in result.stderr


@pytest.mark.parametrize(
    ("name", "content", "out"),
    [
        ("a.jsonl", b"", "out.csv"),
        ("a.jsonl", b"", "out.jsonl.gz"),
        ("a.jsonl", b"", "no-such-folder/out.jsonl"),
        ("a.jsonl", b"", "a.jsonl"),
        ("a.xml", b"", "out.xml"),
    ],
)
def test_bad_usage_is_2(
    invoke: Invoke, model: list[str], tmp_path: Path, name: str, content: bytes, out: str
) -> None:
    (tmp_path / name).write_bytes(content)
    result = invoke("score", tmp_path / name, "-o", tmp_path / out, *model)
    assert result.exit_code == 2
    assert (tmp_path / name).read_bytes() == content


def test_an_output_is_replaced_only_when_asked(
    invoke: Invoke, model: list[str], jsonl_file: Path
) -> None:
    out = jsonl_file.with_name("scored.jsonl")
    out.write_text("precious")
    refused = invoke("score", jsonl_file, "-o", out, *model)
    assert refused.exit_code == 1
    assert "--overwrite" in refused.stderr
    assert out.read_text() == "precious"
    assert invoke("score", jsonl_file, "-o", out, "--overwrite", *model).exit_code == 0
    assert len(out.read_text().splitlines()) == 2


COUNT = 40_000


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten chunks of pairs; few are distinct, so that they are scored in no time."""
    words = ["river", "bread", "magnet", "king", "seven", "green"]
    distinct = [
        {"query": f"{one} {two}", "document": f"{two} and {three}"}
        for one, two, three in itertools.product(words, repeat=3)
    ]
    file = tmp_path_factory.mktemp("many") / "pairs.jsonl"
    with file.open("w") as lines:
        for number in range(COUNT):
            row = {"n": number, **distinct[number * 7 % 40]}
            lines.write(json.dumps(row) + "\n")
    return file


@pytest.fixture(scope="module")
def undisturbed(many: Path) -> bytes:
    """What the embedded model makes of these pairs in one go."""
    out = many.with_name("undisturbed.jsonl")
    code, _, errors = run("score", many, "-o", out)
    assert code == 0, errors
    data = out.read_bytes()
    assert data.count(b"\n") == COUNT
    return data


@pytest.mark.parametrize("kind", [signal.SIGKILL, signal.SIGINT])
def test_continues_to_the_same_bytes(
    many: Path, undisturbed: bytes, tmp_path: Path, kind: signal.Signals
) -> None:
    out = tmp_path / "scored.jsonl"
    process = start("score", many, "-o", out)
    said = interrupt(process, (tmp_path / "scored.jsonl.progress").exists, kind)
    assert not out.exists()
    if kind == signal.SIGINT:
        assert process.returncode == 130
        assert "the same command continues from there" in said
        assert len(said.splitlines()) == 1
    done = json.loads((tmp_path / "scored.jsonl.progress").read_text())["rows"]
    assert 0 < done < COUNT
    with (tmp_path / "scored.jsonl.partial").open("ab") as partial:
        partial.write(b'{"query": "half a li')  # as a chunk that was cut short leaves it
    code, _, errors = run("score", many, "-o", out)
    assert code == 0, errors
    assert out.read_bytes() == undisturbed
    assert [path.name for path in tmp_path.iterdir()] == ["scored.jsonl"]


def test_two_columns_of_one_name_in_parquet(
    invoke: Invoke, model: list[str], tmp_path: Path
) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="reads Parquet")
    parquet = pytest.importorskip("pyarrow.parquet", reason="reads Parquet")
    file = tmp_path / "a.parquet"
    columns = [pyarrow.array(["w1"])] * 3
    parquet.write_table(pyarrow.table(columns, ["query", "query", "document"]), file)
    result = invoke("score", file, "-o", tmp_path / "out.parquet", *model)
    assert result.exit_code == 1
    assert "one column 'query' is required; its columns are 'query', 'query'" in result.stderr


def test_parquet_continues_to_the_same_bytes(model: list[str], tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="reads Parquet")
    parquet = pytest.importorskip("pyarrow.parquet", reason="reads Parquet")
    file = tmp_path / "pairs.parquet"
    table = {"query": ["w1"] * COUNT, "document": [f"w{n % 40}" for n in range(COUNT)]}
    parquet.write_table(pyarrow.table(table), file, row_group_size=3001)
    whole, out = tmp_path / "whole.parquet", tmp_path / "scored.parquet"
    assert run("score", file, "-o", whole, *model)[0] == 0
    process = start("score", file, "-o", out, *model)
    interrupt(process, (tmp_path / "scored.parquet.progress").exists, signal.SIGKILL)
    assert not out.exists()
    code, _, errors = run("score", file, "-o", out, *model)
    assert code == 0, errors
    assert out.read_bytes() == whole.read_bytes()


def test_a_full_disk_loses_nothing(
    many: Path, model: list[str], tmp_path: Path, invoke: Invoke
) -> None:
    def no_room() -> None:  # for the third chunk
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))

    out, whole = tmp_path / "scored.jsonl", tmp_path / "whole.jsonl"
    code, _, errors = run("score", many, "-o", out, *model, preexec_fn=no_room)
    assert code == 1
    assert "File too large" in errors
    assert "rows are safe in" in errors
    assert len(errors.splitlines()) == 1
    assert json.loads((tmp_path / "scored.jsonl.progress").read_text())["rows"] > 0
    partial = tmp_path / "scored.jsonl.partial"
    partial.write_bytes(partial.read_bytes().replace(b'"n": 0,', b'"n": 8,', 1))
    assert invoke("score", many, "-o", out, *model).exit_code == 0
    assert invoke("score", many, "-o", whole, *model).exit_code == 0
    # The mark shows that the first chunks were kept, not made again.
    assert out.read_bytes() == whole.read_bytes().replace(b'"n": 0,', b'"n": 8,', 1)


def test_another_job_is_not_continued(
    invoke: Invoke, model: list[str], many: Path, tmp_path: Path
) -> None:
    out = tmp_path / "scored.jsonl"
    bad = tmp_path / "pairs.jsonl"
    bad.write_bytes(many.read_bytes()[:500_000])  # ends in half a line
    assert invoke("score", bad, "-o", out, *model).exit_code == 1
    assert out.with_name("scored.jsonl.progress").exists()
    other = invoke("score", bad, "-o", out, "--max-length", "8", *model)
    assert other.exit_code == 1
    assert "max length: 16 then, 8 now" in other.stderr
    assert "--restart" in other.stderr
    bad.write_bytes(many.read_bytes()[:500_000].rpartition(b"\n")[0])
    told = invoke("score", bad, "-o", out, *model).stderr
    assert "begun by another job; the input has changed" in told
    assert invoke("score", bad, "-o", out, "--restart", *model).exit_code == 0
    assert len(out.read_text().splitlines()) == len(bad.read_text().splitlines())


@pytest.fixture
def calibrated(tmp_path: Path) -> tuple[Path, list[str]]:
    """A model's folder, with a calibration, and the options that choose it."""
    folder = make_model(tmp_path / "calibrated")
    write_calibration(folder, "fp32", Calibration("platt", Platt(2.0, -1.0)), {})
    return folder, ["--model", str(folder), "--backend", "constant"]


def test_calibrated_scores_are_probabilities(
    invoke: Invoke, calibrated: tuple[Path, list[str]], jsonl_file: Path
) -> None:
    out = jsonl_file.with_name("scored.jsonl")
    result = invoke("score", jsonl_file, "-o", out, "--calibrated", *calibrated[1])
    assert result.exit_code == 0, result.stderr
    scores = [json.loads(line)["score"] for line in out.read_text().splitlines()]
    # sigmoid(2 * 1 - 1) and sigmoid(2 / 3 - 1)
    assert scores == pytest.approx([0.7310586, 0.4174298], abs=1e-7)


def test_a_calibration_that_is_not_there(
    invoke: Invoke, model: list[str], jsonl_file: Path
) -> None:
    out = jsonl_file.with_name("scored.jsonl")
    result = invoke("score", jsonl_file, "-o", out, "--calibrated", *model)
    assert result.exit_code == 1
    assert "A calibration for fp32 is required" in result.stderr
    assert [path.name for path in out.parent.iterdir()] == ["pairs.jsonl"]


def test_calibrated_and_plain_scores_do_not_mix(
    invoke: Invoke, calibrated: tuple[Path, list[str]], many: Path, tmp_path: Path
) -> None:
    folder, model = calibrated
    bad, out = tmp_path / "pairs.jsonl", tmp_path / "scored.jsonl"
    bad.write_bytes(many.read_bytes()[:500_000])  # ends in half a line: a chunk is done before it
    for begun, continued in (([], ["--calibrated"]), (["--calibrated"], [])):
        said = invoke("score", bad, "-o", out, "--restart", *begun, *model).stderr
        assert "one JSON object a line is required" in said
        other = invoke("score", bad, "-o", out, *continued, *model)
        assert other.exit_code == 1
        assert "begun by another job; calibration: " in other.stderr
    # So is the model when it was calibrated anew meanwhile.
    invoke("score", bad, "-o", out, "--restart", "--calibrated", *model)
    write_calibration(folder, "fp32", Calibration("platt", Platt(2.0, -1.0001)), {})
    other = invoke("score", bad, "-o", out, "--calibrated", *model)
    assert "begun by another job; calibration: 'platt" in other.stderr
