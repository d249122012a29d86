"""The benchmark runs and writes what it says; its figures are nobody's test, they depend on the machine."""

import json
import os
import subprocess
import sys

import pytest

from support import binaries

pytestmark = pytest.mark.alone


def test_a_part_of_the_benchmark_writes_rows(tmp_path):
    written = tmp_path / "rows.json"
    done = subprocess.run([sys.executable, binaries.REPOSITORY / "tests/bench/run", "--quick", "--no-build", "--only", "small", "--json", written],
                          capture_output=True, text=True, timeout=60, env={**os.environ, "GATEPOST_BIN": binaries.gatepost()})
    assert done.returncode in (0, 1), done  # 1: a bound that this machine misses
    report = json.loads(written.read_text())
    assert report["missing"] == [] and report["quick"] is True and report["machine"]["cores"] >= 2
    assert [row["name"] for row in report["rows"]] == ["start to first answer", "idle memory", "binary, stripped"]
    for row in report["rows"]:
        assert row["value"] > 0 and row["unit"] and row["holds"] is (row["value"] <= row["at_most"]), row
        assert row["name"] in done.stdout
