"""Writing a loaded model to a folder, and from there to the hub."""

import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crossrank.errors import InputError
from crossrank.models.calibrations import FILE as CALIBRATION
from crossrank.models.files import companions, list_names, weight_files
from crossrank.models.reading import read_json, read_modules
from crossrank.models.spec import ModelSpec

if TYPE_CHECKING:
    from torch import nn

_REFUSED = {".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".h5", ".msgpack"}


def save_model(
    spec: ModelSpec, path: str | Path, *, activation: str | None, weights: bool = True
) -> None:
    """Copy a model's files to a folder, with the activation and length now in use.

    Args:
        spec: The model.
        path: The folder to write; made when it does not exist.
        activation: Dotted path of the activation's torch class, or ``None`` to leave it.
        weights: ``False`` leaves the weights out, for those who write others.

    Raises:
        InputError: The folder is the one the model was loaded from.
    """
    target = Path(path)
    if target.exists() and target.resolve() == spec.folder.resolve():
        raise InputError(f"The model was loaded from {target}: save it to another folder.")
    for name in _names(spec, weights):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(spec.folder / name, target / name)
    if activation is not None:
        _set_activation(target, spec.config, activation)
    _change_json(target / "tokenizer_config.json", model_max_length=spec.max_length)
    if not (target / "tokenizer.json").exists():
        shutil.copyfile(spec.tokenizer_file, target / "tokenizer.json")


def save_trained(spec: ModelSpec, module: "nn.Module", path: str | Path, activation: str) -> None:
    """Write a model whose weights have been trained, without card and calibration of the old one.

    Args:
        spec: The model that training started from.
        module: What ``load_module`` returned for it, trained.
        path: The folder to write; what it holds of another model is replaced.
        activation: Dotted path of the torch class that makes scores of logits.
    """
    from crossrank.models.torch_modules.saving import save_weights

    target = Path(path)
    save_model(spec, target, activation=None, weights=False)
    for name in ("README.md", CALIBRATION):
        (target / name).unlink(missing_ok=True)
    save_weights(module, spec, target)
    _set_activation(target, read_json(target / "config.json"), activation)


def _names(spec: ModelSpec, weights: bool) -> list[str]:
    """The files to copy: all but hidden ones and pickles, and but the weights if so wanted."""
    names = [name for name in list_names(spec.folder) if not name.startswith(".")]
    known = [file.name for file in weight_files(names)]
    belongs = {part for file in known for part in (file, *companions(file, names))}
    heads = {name for name in names if name.endswith(".safetensors")}
    rest = {name for name in names if Path(name).suffix not in _REFUSED} - belongs - heads
    rest = {name for name in rest if not name.startswith(_of_bi_encoder(spec))}
    return sorted(rest | belongs | heads if weights else rest)


def _of_bi_encoder(spec: ModelSpec) -> tuple[str, ...]:
    """Name the files, and folders of files, of a bi-encoder whose transformer got a new head."""
    modules = read_modules(spec.folder)
    if spec.kind != "sequence-classification" or not modules:
        return ()
    settings = ("modules.json", "config_sentence_transformers.json", "sentence_bert_config.json")
    return (*settings, *(f"{entry['path']}/" for entry in modules if entry["path"]))


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


def _set_activation(folder: Path, config: dict[str, Any], activation: str) -> None:
    """Keep the activation where sentence-transformers looks for it."""
    modular = folder / "config_sentence_transformers.json"
    if modular.exists():
        _change_json(modular, activation_fn=activation)
    else:
        known = config.get("sentence_transformers") or {}
        settings = known | {"activation_fn": activation}
        _change_json(folder / "config.json", sentence_transformers=settings)


def _change_json(file: Path, **changes: Any) -> None:
    value = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    text = json.dumps(value | changes, indent=2, ensure_ascii=False)
    file.write_text(text + "\n", encoding="utf-8")
