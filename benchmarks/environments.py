"""Environments of the programs that the project is compared with.

`python_with("litserve")` returns the Python of a virtual environment with what
`benchmarks/peers/litserve.txt` lists. The environments are in `benchmarks/.environments/`, which
git ignores; no test and no image installs them. An environment is made again if its list or the
Python version has changed.
"""

import shutil
import subprocess
import sys
from pathlib import Path

PEERS = Path(__file__).parent / "peers"
ENVIRONMENTS = Path(__file__).parent / ".environments"


def python_with(name: str) -> Path:
    """Return the Python of an environment, which is made first if it is missing or outdated."""
    folder = ENVIRONMENTS / name
    requirements = PEERS / f"{name}.txt"
    state = f"{sys.version}\n{_text(requirements)}"
    finished = folder / "finished"  # is written last, so what a killed run leaves is not used
    python = folder / "bin" / "python"
    if finished.exists() and finished.read_text(encoding="utf-8") == state:
        return python
    shutil.rmtree(folder, ignore_errors=True)
    print(f"installs {name} into {folder}", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*install, "--requirement", requirements], check=True)
    finished.write_text(state, encoding="utf-8")
    return python


def _text(requirements: Path) -> str:
    """Return the text of a list, with the lists that its lines `-r FILE` name."""
    text = requirements.read_text(encoding="utf-8")
    named = [line.split()[1] for line in text.splitlines() if line.startswith("-r ")]
    return text + "".join(_text(requirements.parent / name) for name in named)


def megabytes(name: str) -> float:
    """Return the size of an environment's installed packages."""
    files = (ENVIRONMENTS / name).glob("lib/python*/site-packages/**/*")
    return sum(file.stat().st_size for file in files if file.is_file()) / 1e6
