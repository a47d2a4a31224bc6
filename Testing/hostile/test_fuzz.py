"""A bounded run of the fuzz target. More: see the first lines of fuzz_parsers.py."""

import subprocess
import sys
from pathlib import Path

import pytest

TARGET = Path(__file__).with_name("fuzz_parsers.py")


def test_no_bytes_make_a_parser_of_ours_fail_without_one_sentence(tmp_path):
    pytest.importorskip("atheris", reason="Atheris is for Linux and Python 3.11 to 3.13 only")
    arguments = [tmp_path / "corpus", "-runs=6000", "-max_total_time=20", "-max_len=4096", "-seed=1"]
    command = [sys.executable, TARGET, *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=120)
    assert result.returncode == 0, result.stderr[-3000:]
    assert "Done " in result.stderr
    assert len(list((tmp_path / "corpus").iterdir())) > 20  # inputs that reached new code were kept: it was guided
