# shellcheck shell=bash
# Sourced by run_pipeline.sh and run_tests.sh, which it gives $root, the project's folder, and
# ready_venv. Runs on bash 3.2, which macOS has, and in Git Bash on Windows.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." >/dev/null && pwd)
venv=$root/.venv

# ready_venv FILE...: .venv holds what the requirement files pin, and `python` is its Python.
ready_venv() {
  local file
  for file in "$@"; do
    is_installed "$file" || install "$file"
  done
  PATH=$(dirname "$(venv_python)"):$PATH
}

# A copy of each file that was installed is kept in .venv/installed: nothing to do while it is alike.
is_installed() {
  [ -x "$(venv_python)" ] && cmp -s "$root/$1" "$venv/installed/$1"
}

install() {
  local python
  "$(venv_python)" -m pip --version >/dev/null 2>&1 || make_venv # absent, or its making was cut off
  python=$(venv_python)
  is_suitable "$python" || fail "$venv is of another Python than 3.11 to 3.13: remove it, then run this again"
  mkdir -p "$venv/installed"
  rm -f "$venv/installed/$1" # from here on .venv is neither what it was nor what it shall be
  echo "Installing $1 into .venv: this once, some minutes ..."
  "$python" -m pip install -qq --disable-pip-version-check --no-input -r "$root/$1" ||
    fail "$1 could not be installed (pip says why above): is a package index within reach?"
  cp "$root/$1" "$venv/installed/$1"
}

make_venv() {
  local python
  python=$(find_python)
  echo "Making .venv with $("$python" --version)"
  rm -rf "$venv/installed"
  "$python" -m venv "$venv" ||
    fail "$python could not make a virtual environment: on Debian and Ubuntu, apt install python3-venv, then run this again"
}

venv_python() { # on Windows it lies in another folder
  if [ -d "$venv/Scripts" ]; then
    echo "$venv/Scripts/python.exe"
  else
    echo "$venv/bin/python"
  fi
}

# The first Python that will do; $PYTHON, where it is set, has the only word.
find_python() {
  local candidate
  if [ -n "${PYTHON:-}" ]; then
    is_suitable "$PYTHON" || fail "PYTHON=$PYTHON is no Python 3.11, 3.12 or 3.13"
    echo "$PYTHON"
    return
  fi
  for candidate in python3.13 python3.12 python3.11 python3 python; do
    if is_suitable "$candidate"; then
      echo "$candidate"
      return
    fi
  done
  fail "no Python 3.11, 3.12 or 3.13 was found (TensorFlow runs on no other): install one, or name it: PYTHON=/path/to/python bash $0"
}

is_suitable() { # and not merely there: Windows has a `python` that only opens the shop
  "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1
}

fail() {
  echo "error: $1" >&2
  exit 2
}
