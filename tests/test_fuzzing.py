import os
import subprocess
import sys

import pytest

from tests.gunicorn_process import ROOT


@pytest.mark.skipif(sys.platform != "linux", reason="atheris has no wheel for other systems")
def test_fuzzed_files_are_decoded_or_rejected(tmp_path):
    seconds = 60 if os.environ.get("CI") else 5
    command = [sys.executable, str(ROOT / "tests/fuzz_photos.py"), f"-max_total_time={seconds}"]
    command.append("-rss_limit_mb=4096")  # made-up kinds of 50 megapixels take more than 2 GB
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-5000:]
    assert list(tmp_path.iterdir()) == []
