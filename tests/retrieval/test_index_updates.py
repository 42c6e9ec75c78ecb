"""Who searches an index is not disturbed by updates, and damage is noticed and mended."""

from pathlib import Path

import pytest

from crossrank.errors import InputError
from crossrank.retrieval import index as index_module
from crossrank.retrieval.index import SearchIndex, update

pytest.importorskip("bm25s", reason="needs the extra demo")

BEFORE = {f"{number}.txt": f"Paris, page {number} of many." for number in range(9)}
AFTER = {f"{number}.txt": f"Lyon and its river, page {number}." for number in range(3)}


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    home = tmp_path / "documents"
    home.mkdir()
    write(home, BEFORE)
    return home


def write(documents: Path, files: dict[str, str]) -> None:
    for file in documents.iterdir():
        file.unlink()
    for name, text in files.items():
        (documents / name).write_text(text)


def answers(index: SearchIndex) -> list[tuple[str, str, float]]:
    """Path, text and score of whatever is about Paris or Lyon."""
    (hits,) = index.retriever.search_many(["Paris Lyon"], 20)
    return [(index[place].path, index.texts[place], score) for place, score in hits]


def opened_answers(folder: Path) -> list[tuple[str, str, float]]:
    index = SearchIndex(folder)
    found = answers(index)
    index.close()
    return found


def test_an_open_index_stays_what_it_was(documents: Path, tmp_path: Path) -> None:
    folder = tmp_path / "index"
    update(documents, folder)
    index = SearchIndex(folder)
    before = answers(index)
    assert [(path, text) for path, text, _ in before] == list(BEFORE.items())
    score = index.retriever.score([("Paris", "Paris")]).tolist()
    write(documents, AFTER)
    update(documents, folder)
    assert answers(index) == before
    assert index.retriever.score([("Paris", "Paris")]).tolist() == score
    index.close()
    assert [(path, text) for path, text, _ in opened_answers(folder)] == list(AFTER.items())


def test_during_an_update_the_old_index_is_opened(documents: Path, tmp_path: Path) -> None:
    folder = tmp_path / "index"
    update(documents, folder)
    before = opened_answers(folder)
    write(documents, AFTER)
    seen = []
    update(documents, folder, progress=lambda step: seen.append(opened_answers(folder)))
    assert seen == [before] * (len(AFTER) + 1)  # each file is read, then all are indexed


def test_an_index_that_is_replaced_while_it_is_opened(
    documents: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "index"
    update(documents, folder)
    write(documents, AFTER)
    read = index_module.read_manifest

    def slow(index: Path) -> object:
        manifest = read(index)
        monkeypatch.setattr(index_module, "read_manifest", read)
        update(documents, folder)
        return manifest

    monkeypatch.setattr(index_module, "read_manifest", slow)
    assert [(path, text) for path, text, _ in opened_answers(folder)] == list(AFTER.items())


def test_two_updates_at_once_are_refused(documents: Path, tmp_path: Path) -> None:
    folder = tmp_path / "index"

    def interfere(step: str) -> None:
        with pytest.raises(InputError, match=f"{folder} must be written by one process"):
            update(documents, folder)

    first = update(documents, folder, progress=interfere)
    second = update(documents, folder)
    assert (first.read, first.kept, first.chunks) == (9, 0, 9)
    assert (second.read, second.kept, second.chunks) == (0, 9, 9)


def test_what_an_update_left_unfinished_is_finished_or_deleted(
    documents: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "index"
    update(documents, folder)
    (first,) = folder.glob("state-*")

    def stop(step: str) -> None:
        if step.startswith("Indexing"):
            raise KeyboardInterrupt

    for files in (AFTER, AFTER, BEFORE | AFTER):
        write(documents, files)
        with pytest.raises(KeyboardInterrupt):
            update(documents, folder, progress=stop)
        assert [path for path, _, _ in opened_answers(folder)] == list(BEFORE)
        assert len(list(folder.glob("state-*"))) == 2
    (unfinished,) = set(folder.glob("state-*")) - {first}
    stored = (unfinished / "documents.texts").stat().st_mtime_ns
    done = update(documents, folder)
    assert (done.read, done.kept, done.chunks) == (0, 9, 9)
    assert list(folder.glob("state-*")) == [unfinished]
    assert (unfinished / "documents.texts").stat().st_mtime_ns == stored


def test_touched_files_are_not_indexed_again(documents: Path, tmp_path: Path) -> None:
    folder = tmp_path / "index"
    update(documents, folder)
    write(documents, BEFORE)
    steps: list[str] = []
    done = update(documents, folder, progress=steps.append)
    assert (done.read, done.kept, steps) == (0, 9, [])


DERIVED = [
    *(f"{name}.{ending}" for name in ("chunks", "documents") for ending in ("texts", "digest")),
    *(f"{name}.offsets.npy" for name in ("chunks", "documents")),
    *(f"bm25/{name}.csc.index.npy" for name in ("data", "indices", "indptr")),
    *(f"bm25/{name}" for name in ("vocab.index.json", "params.index.json", "average.json")),
    "bm25/documents.digest",
    "../manifest.json",
]


@pytest.mark.parametrize("damage", ["gone", "empty", "half"])
@pytest.mark.parametrize("name", DERIVED)
def test_damage_is_noticed_and_mended(
    documents: Path, tmp_path: Path, name: str, damage: str
) -> None:
    folder = tmp_path / "index"
    update(documents, folder)
    before = opened_answers(folder)
    (state,) = folder.glob("state-*")
    break_file(state / name, damage)
    with pytest.raises(InputError, match="run `crossrank index` again"):
        SearchIndex(folder)
    assert update(documents, folder).chunks == 9
    assert opened_answers(folder) == before


@pytest.mark.parametrize(
    "manifest", ['{"state": null, "files": {}}', '{"state": "state-1", "files": []}', "[]"]
)
def test_a_manifest_of_another_shape_is_noticed_and_mended(
    documents: Path, tmp_path: Path, manifest: str
) -> None:
    folder = tmp_path / "index"
    update(documents, folder)
    (folder / "manifest.json").write_text(manifest)
    with pytest.raises(InputError, match=r"manifest\.json is damaged .*`crossrank index` again"):
        SearchIndex(folder)
    assert update(documents, folder).chunks == 9


def break_file(file: Path, damage: str) -> None:
    content = file.read_bytes()
    file.unlink()
    if damage != "gone":
        file.write_bytes(content[: len(content) // 2] if damage == "half" else b"")


def test_chunks_of_files_are_cut_again_where_they_are_damaged(
    documents: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "index"
    update(documents, folder)
    before = opened_answers(folder)
    for damage, file in zip(("gone", "empty", "half"), (folder / "files").iterdir(), strict=False):
        break_file(file, damage)
    (state,) = folder.glob("state-*")
    break_file(state / "chunks.texts", "half")
    assert update(documents, folder).read == 3
    assert opened_answers(folder) == before


def test_damaged_settings_are_said_to_be(documents: Path, tmp_path: Path) -> None:
    folder = tmp_path / "index"
    update(documents, folder)
    break_file(folder / "settings.json", "half")
    for attempt in (SearchIndex, lambda index: update(documents, index)):
        with pytest.raises(InputError, match=r"settings.json is damaged .* delete .*index anew"):
            attempt(folder)
