# shellcheck shell=bash
# run_pipeline.sh and run_tests.sh source this file. It sets $root, the project's folder, and
# defines ready_venv. It works in bash 3.2 (macOS) and in Git Bash on Windows.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." >/dev/null && pwd)
venv=$root/.venv

# ready_venv FILE...: install the requirement files into .venv, and put .venv on the PATH.
ready_venv() {
  local file
  for file in "$@"; do
    is_installed "$file" || install "$file"
  done
  PATH=$(dirname "$(venv_python)"):$PATH
}

# .venv/installed has a copy of each installed requirement file. If it is the same, skip the install.
is_installed() {
  [ -x "$(venv_python)" ] && cmp -s "$root/$1" "$venv/installed/$1"
}

install() {
  local python
  "$(venv_python)" -m pip --version >/dev/null 2>&1 || make_venv # missing or incomplete
  python=$(venv_python)
  is_suitable "$python" || fail "$venv was not made with Python 3.11, 3.12 or 3.13. Delete it and run this again."
  mkdir -p "$venv/installed"
  rm -f "$venv/installed/$1" # .venv is incomplete until the install finishes
  echo "Installing $1 into .venv. This takes a few minutes the first time ..."
  "$python" -m pip install -qq --disable-pip-version-check --no-input -r "$root/$1" ||
    fail "$1 could not be installed; pip's message is above. Check your network and run this again."
  cp "$root/$1" "$venv/installed/$1"
}

make_venv() {
  local python
  python=$(find_python)
  echo "Creating .venv with $("$python" --version)"
  rm -rf "$venv/installed"
  "$python" -m venv "$venv" ||
    fail "$python could not create a virtual environment. On Debian and Ubuntu, run apt install python3-venv, then run this again."
}

venv_python() { # Windows has it in another folder
  if [ -d "$venv/Scripts" ]; then
    echo "$venv/Scripts/python.exe"
  else
    echo "$venv/bin/python"
  fi
}

# The first suitable Python, or $PYTHON if it is set.
find_python() {
  local candidate
  if [ -n "${PYTHON:-}" ]; then
    is_suitable "$PYTHON" || fail "PYTHON=$PYTHON is not Python 3.11, 3.12 or 3.13. Choose one that is."
    echo "$PYTHON"
    return
  fi
  for candidate in python3.13 python3.12 python3.11 python3 python; do
    if is_suitable "$candidate"; then
      echo "$candidate"
      return
    fi
  done
  fail "No Python 3.11, 3.12 or 3.13 was found. Install one, or set its path: PYTHON=/path/to/python bash $0"
}

is_suitable() { # runs it, because Windows has a `python` that only opens the Microsoft Store
  "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1
}

fail() {
  echo "error: $1" >&2
  exit 2
}
