"""`gatepost import openapi`: rules on standard output or in a file, what to look at on standard error, and rules that load."""

import subprocess

from support import binaries
from support.gatepost import NO_GATEPOST

DOCUMENTS = binaries.REPOSITORY / "tests" / "openapi"


def run(folder, *arguments, status=0):
    done = subprocess.run([binaries.gatepost(), *arguments], cwd=folder, env=NO_GATEPOST, capture_output=True, text=True, timeout=30)
    assert done.returncode == status, done
    return done


def test_rules_are_written_and_load(tmp_path):
    done = run(tmp_path, "import", "openapi", str(DOCUMENTS / "petstore.yaml"), "-o", "rules.yaml")
    assert done.stdout == "" and "petstore.yaml:26:7: paths./pet/{petId}.get.security: " in done.stderr
    assert done.stderr.endswith("7 rules from 7 operations, 2 things to look at\n")
    (tmp_path / "gatepost.yaml").write_text("rules: rules.yaml\n")
    assert "7 rules" in run(tmp_path, "check-config", "--config", "gatepost.yaml").stdout
    explained = run(tmp_path, "explain", "GET", "https://petstore.example.com/api/v3/pet/7", "--scopes", "read:pets", "--config", "gatepost.yaml").stdout
    assert explained.startswith("allow") and "getPetById" in explained
    # what is there stays
    (tmp_path / "rules.yaml").write_text("mine")
    assert "--force" in run(tmp_path, "import", "openapi", str(DOCUMENTS / "petstore.yaml"), "-o", "rules.yaml", status=1).stderr
    assert (tmp_path / "rules.yaml").read_text() == "mine"
    run(tmp_path, "import", "openapi", str(DOCUMENTS / "petstore.yaml"), "-o", "rules.yaml", "--force")
    assert run(tmp_path, "import", "openapi", str(DOCUMENTS / "petstore.yaml")).stdout == (tmp_path / "rules.yaml").read_text()


def test_its_own_document(tmp_path):
    (tmp_path / "openapi.json").write_text(run(tmp_path, "openapi").stdout)
    done = run(tmp_path, "import", "openapi", "openapi.json", "--undeclared", "anonymous")
    (tmp_path / "rules.yaml").write_text(done.stdout)
    (tmp_path / "gatepost.yaml").write_text("rules: rules.yaml\n")
    run(tmp_path, "check-config", "--config", "gatepost.yaml")
    assert "openapi.json:" in done.stderr and "`console` is a cookie" in done.stderr


def test_errors_name_the_place(tmp_path):
    (tmp_path / "a.yaml").write_text("openapi: 3.0.0\npaths: [1]\n")
    assert run(tmp_path, "import", "openapi", "a.yaml", status=1).stderr.startswith("a.yaml:2:1: paths: `paths` is no object; ")
    (tmp_path / "a.json").write_text('{"openapi": }')
    assert run(tmp_path, "import", "openapi", "a.json", status=1).stderr.startswith("a.json:1:13: (file): not JSON")
    assert "cannot be read" in run(tmp_path, "import", "openapi", "nowhere", status=1).stderr
