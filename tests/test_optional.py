"""Optional packages, and the libraries' habit of reporting home."""

import subprocess
import sys

import pytest

from crossrank.errors import MissingDependencyError
from crossrank.optional import require

AUDIT = """
import sys

def hook(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "os.fork", "os.exec", "subprocess.Popen"):
        print(event, arguments, file=sys.stderr)

sys.addaudithook(hook)
"""


def test_a_missing_package_says_how_to_install_it() -> None:
    with pytest.raises(MissingDependencyError, match=r'pip install "crossrank\[parquet\]"'):
        require("no_such_package_at_all", extra="parquet")


def test_an_error_inside_a_package_is_not_hidden(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path_factory.mktemp("packages")
    (folder / "half_installed.py").write_text("import no_such_part\n")
    monkeypatch.syspath_prepend(folder)
    with pytest.raises(ModuleNotFoundError, match="no_such_part") as caught:
        require("half_installed", extra="torch")
    assert not isinstance(caught.value, MissingDependencyError)


def test_scoring_opens_no_connection() -> None:
    code = AUDIT + "from crossrank import CrossEncoder; CrossEncoder().rank('a', ['b', 'c'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stderr == ""


def test_quantising_opens_no_connection() -> None:
    pytest.importorskip("nncf", reason="it quantises")
    code = AUDIT.replace('"os.fork", "os.exec", "subprocess.Popen"', "") + (
        "from crossrank.quantization.weights import _nncf; _nncf()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0
    assert "socket" not in done.stderr
