"""Writing a loaded model to a folder, and from there to the hub."""

import json
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crossrank.errors import InputError
from crossrank.models.calibrations import FILE as CALIBRATION
from crossrank.models.files import companions, list_names, weight_files
from crossrank.models.json_files import read_json, read_optional
from crossrank.models.reading import own_settings, read_modules, transformer_folder
from crossrank.models.spec import ModelSpec
from crossrank.tokenization import Truncation

if TYPE_CHECKING:
    from torch import nn

_REFUSED = {".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".h5", ".msgpack"}
_MODULES = "modules.json"
_SETTINGS = "config_sentence_transformers.json"
_TRANSFORMER = "sentence_bert_config.json"


def save_model(
    spec: ModelSpec,
    path: str | Path,
    *,
    activation: str | None,
    prompts: Mapping[str, str] | None = None,
    default_prompt_name: str | None = None,
    truncation: Truncation | None = None,
    weights: bool = True,
) -> None:
    """Copy a model's files to a folder, with the settings that are now in use.

    Args:
        spec: The model.
        path: The folder to write; made when it does not exist. What it holds of another model is
            replaced.
        activation: Dotted path of the activation's torch class, or ``None`` to leave it.
        prompts: Named texts put before a query, or ``None`` to leave them and the default one.
        default_prompt_name: The prompt used when a call names none.
        truncation: What is cut of a pair that is too long, or ``None`` to leave it.
        weights: ``False`` leaves the weights out, for those who write others.

    Raises:
        InputError: The folder is the one the model was loaded from.
    """
    with _filled(spec, Path(path)) as folder:
        _copy(spec, folder, weights)
        if prompts is not None:
            _set_prompts(folder, prompts, default_prompt_name)
        if activation is not None:
            _set_activation(folder, activation)
        if truncation is not None:
            _set_truncation(folder, truncation)


def save_trained(
    spec: ModelSpec,
    module: "nn.Module",
    path: str | Path,
    activation: str,
    truncation: Truncation | None = None,
) -> None:
    """Write a model whose weights have been trained, without card and calibration of the old one.

    Args:
        spec: The model that training started from.
        module: What ``load_module`` returned for it, trained.
        path: The folder to write; what it holds of another model is replaced.
        activation: Dotted path of the torch class that makes scores of logits.
        truncation: What is cut of a pair that is too long, or ``None`` to leave it.
    """
    from crossrank.models.torch_modules.saving import save_weights

    target = Path(path)
    with _filled(spec, target) as folder:
        _copy(spec, folder, weights=False)
        for name in ("README.md", CALIBRATION):
            (folder / name).unlink(missing_ok=True)
        save_weights(module, spec, folder)
        _set_activation(folder, activation)
        if truncation is not None:
            _set_truncation(folder, truncation)
    (target / "README.md").unlink(missing_ok=True)


@contextmanager
def _filled(spec: ModelSpec, target: Path) -> Iterator[Path]:
    """Give an empty folder; once it is full, its files replace those of a model in the target."""
    if target.exists() and target.resolve() == spec.folder.resolve():
        raise InputError(f"The model was loaded from {target}: save it to another folder.")
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target, prefix=".crossrank-") as scratch:
        folder = Path(scratch)
        yield folder
        written = list_names(folder)
        for name in written:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).replace(target / name)
    for name in _deciding(list_names(target)) - set(written):
        if not (target / name).parent.resolve().is_relative_to(spec.folder.resolve()):
            (target / name).unlink()


def _deciding(names: Sequence[str]) -> set[str]:
    """The files that decide how a folder is read and that not every model has.

    Weights count where models keep them; in other subfolders they are those of other models.
    """
    places = re.compile(r"((onnx|openvino|0_\w+)/)?[^/]+")
    weights = {name for name in _weights(names) if places.fullmatch(name)}
    return weights | ({_MODULES, _SETTINGS, _TRANSFORMER, CALIBRATION} & set(names))


def _copy(spec: ModelSpec, folder: Path, weights: bool) -> None:
    for name in _names(spec, weights):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(spec.folder / name, folder / name)
    home = transformer_folder(folder, read_modules(folder))
    _change_json(home / "tokenizer_config.json", **_tokenizer_settings(spec))
    if spec.chat_template is not None:  # of the places for it, the one that is read first
        (home / "chat_template.jinja").write_text(spec.chat_template, encoding="utf-8")
    if (home / _TRANSFORMER).exists():  # its length is the one that counts
        _change_json(home / _TRANSFORMER, max_seq_length=spec.max_length)
    if not (home / "tokenizer.json").exists():
        shutil.copyfile(spec.tokenizer_file, home / "tokenizer.json")


def _tokenizer_settings(spec: ModelSpec) -> dict[str, Any]:
    side = spec.template.truncation_side
    given = {} if side is None else {"truncation_side": side}
    return {"model_max_length": spec.max_length, **given}


def _names(spec: ModelSpec, weights: bool) -> list[str]:
    """The files to copy: all but hidden ones and pickles, and but the weights if so wanted."""
    names = [name for name in list_names(spec.folder) if not name.startswith(".")]
    belongs = _weights(names)
    heads = {name for name in names if name.endswith(".safetensors")}
    rest = {name for name in names if Path(name).suffix not in _REFUSED} - belongs - heads
    rest = {name for name in rest if not name.startswith(_of_bi_encoder(spec))}
    return sorted(rest | belongs | heads if weights else rest)


def _weights(names: Sequence[str]) -> set[str]:
    known = [file.name for file in weight_files(names)]
    return {part for file in known for part in (file, *companions(file, names))}


def _of_bi_encoder(spec: ModelSpec) -> tuple[str, ...]:
    """Name the files, and folders of files, of a bi-encoder whose transformer got a new head."""
    modules = read_modules(spec.folder)
    if spec.kind != "sequence-classification" or not modules:
        return ()
    folders = (f"{entry['path']}/" for entry in modules if entry["path"])
    return (_MODULES, _SETTINGS, _TRANSFORMER, *folders)


def push_model(
    save: Callable[[Path], None],
    repo_id: str,
    *,
    token: str | bool | None,
    private: bool | None,
    commit_message: str,
    exist_ok: bool,
    revision: str | None,
    create_pr: bool,
) -> str:
    """Upload a saved model to the hub.

    Args:
        save: Writes the model to the folder it is given.
        repo_id: ``"user/name"``.
        token: As ``huggingface_hub`` takes it.
        private: Whether a new repository is private; ``None`` is the account's default.
        commit_message: For the hub's history.
        exist_ok: Whether the repository may exist already.
        revision: The branch to write to.
        create_pr: Open a pull request instead of writing to the branch.

    Returns:
        The address of the commit or pull request.
    """
    from huggingface_hub import HfApi

    api = HfApi(token=token)
    repo = api.create_repo(repo_id, private=private, exist_ok=exist_ok or create_pr)
    with tempfile.TemporaryDirectory() as folder:
        save(Path(folder))
        commit = api.upload_folder(
            folder_path=folder,
            repo_id=repo.repo_id,
            commit_message=commit_message,
            revision=revision,
            create_pr=create_pr,
        )
    return commit.pr_url if create_pr and commit.pr_url else str(commit)


def _set_prompts(folder: Path, prompts: Mapping[str, str], default: str | None) -> None:
    """Keep prompts where sentence-transformers does; empty ones, which only that knows, stay."""
    file = folder / _SETTINGS
    if file.exists() or prompts or default:
        known = read_optional(file).get("prompts") or {}
        empty = {name: text for name, text in known.items() if not text}
        _change_json(file, prompts=empty | dict(prompts), default_prompt_name=default)


def _set_activation(folder: Path, activation: str) -> None:
    """Keep the activation where sentence-transformers looks for it, with modules or without."""
    modular = (folder / _MODULES).exists()
    if modular or (folder / _SETTINGS).exists():
        _change_json(folder / _SETTINGS, activation_fn=activation)
    if not modular:
        known = read_json(folder / "config.json").get("sentence_transformers") or {}
        settings = known | {"activation_fn": activation}
        _change_json(folder / "config.json", sentence_transformers=settings)


def _set_truncation(folder: Path, truncation: Truncation) -> None:
    """Keep it in an entry of ours: no other library has a place for it."""
    file = transformer_folder(folder, read_modules(folder)) / "config.json"
    known = own_settings(read_json(file))
    if truncation != known.get("truncation", "longest_first"):
        _change_json(file, crossrank=known | {"truncation": truncation})


def _change_json(file: Path, **changes: Any) -> None:
    text = json.dumps(read_optional(file) | changes, indent=2, ensure_ascii=False)
    file.write_text(text + "\n", encoding="utf-8")
