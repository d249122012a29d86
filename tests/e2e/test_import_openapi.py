"""`gatepost import openapi`: rules on standard output or in a file, what to look at on standard error, and rules that load."""

import json
import re
import subprocess

import pytest
import yaml
from schemathesis.specs.openapi import definitions

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


METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}
VALIDATORS = {"3.0": definitions.OPENAPI_30_VALIDATOR, "3.1": definitions.OPENAPI_31_VALIDATOR}


def mistakes(document):
    """What keeps this from being an OpenAPI document: by the schema of its version, and by what the specification says besides."""
    found = [f"{'/'.join(map(str, error.instance_path))}: {error.message}" for error in VALIDATORS[document["openapi"][:3]].iter_errors(document)]
    paths = {path: item for path, item in document["paths"].items() if path.startswith("/")}
    anonymous = [re.sub(r"\{[^}]*\}", "{}", path) for path in paths]
    found += [f"{path}: another path differs in its parameters' names alone" for path in set(anonymous) if anonymous.count(path) > 1]
    operations = [(path, item, method, item[method]) for path, item in paths.items() for method in METHODS & item.keys()]
    ids = [operation["operationId"] for *_, operation in operations if "operationId" in operation]
    found += [f"{name}: an operationId stands twice" for name in set(ids) if ids.count(name) > 1]
    for path, item, method, operation in operations:
        names = re.findall(r"\{([^}]*)\}", path)
        declared = {one["name"] for one in [*item.get("parameters", []), *operation.get("parameters", [])] if one["in"] == "path"}
        if sorted(names) != sorted(declared) or "?" in path:
            found.append(f"{path} {method}: {names} in the path, {declared} declared")
        if not operation.get("responses"):
            found.append(f"{path} {method}: no response")
        for way in operation.get("security", document.get("security", [])):
            for scheme, scopes in way.items():
                flows = document["components"]["securitySchemes"][scheme].get("flows")
                known = {scope for flow in (flows or {}).values() for scope in flow["scopes"]}
                found += [f"{path} {method}: `{scope}` is no scope of {scheme}" for scope in scopes if flows is not None and scope not in known]
    return found


@pytest.mark.parametrize("name", sorted(path.name for path in DOCUMENTS.iterdir()))
def test_the_documents_are_valid(name):
    text = (DOCUMENTS / name).read_text()
    # by way of JSON, where every key is text
    document = json.loads(text if name.endswith(".json") else json.dumps(yaml.safe_load(text)))
    assert mistakes(document) == []


def test_a_document_that_is_not_valid_is_found():
    right = json.loads((DOCUMENTS / "mixed.json").read_text())
    assert mistakes(right) == []
    operation = {"operationId": "either", "responses": {"200": {"description": "fine"}}}
    for paths in ({"/a/{b}": {"get": operation | {"operationId": "x"}}}, {"/a": {"get": operation}}, {"/a": {"get": {"responses": {}}}},
                  {"/a?b": {"get": operation | {"operationId": "x"}}}, {"/a": {"get": operation | {"operationId": "x", "security": [{"oauth": ["z"]}]}}}):
        assert len(mistakes(right | {"paths": right["paths"] | paths})) >= 1, paths
    assert mistakes(right | {"info": {}}) != []
