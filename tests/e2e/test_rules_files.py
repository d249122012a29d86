"""Rules in several files: one set, whose files come and go while it is in force."""

import json

from support.gate import check
from support.replica import Replica
from support.services import until


def rule(name, **more):
    return {"id": name, "path": f"/{name}/**", "access": "anonymous", **more}


def test_files_come_and_go(tmp_path):
    gatepost = Replica(tmp_path / "machine", 0, [])
    gatepost.config.write_text(gatepost.config.read_text().replace("rules.yaml", "rules.d/*.yaml"))
    folder = gatepost.folder / "rules.d"
    folder.mkdir()

    def write(name, rules, tests=()):
        beside = gatepost.folder / "beside"
        beside.write_text(json.dumps({"rules": rules, "tests": list(tests)}, indent=1))
        beside.rename(folder / name)

    # none is no set of rules
    bad = gatepost.run("check-config", check=64)
    assert "rules.d/*.yaml` matches no file" in bad.stdout, bad
    write("10-first.yaml", [rule("first")])
    write("20-orders.yaml", [{"id": "orders", "path": "/orders/**", "scopes": {"all": ["orders:read"]}}],
          [{"request": "GET https://h/first/1", "credential": "none", "expect": "allow"}])
    table = gatepost.run("test-rules", check=0).stdout
    assert "20-orders.yaml:" in table and f"first in {folder}/10-first.yaml:" in table, table
    explained = gatepost.run("explain", "GET", "/orders/1", "--scopes", "orders:read", check=0).stdout
    assert f"  written     {folder}/20-orders.yaml:" in explained, explained
    # a conflict names both files and lines
    write("15-other.yaml", [rule("other", path="/first/**"), {"id": "clash", "path": "/first/**", "credentials": ["token"]}])
    bad = gatepost.run("check-config", check=64).stdout
    assert "15-other.yaml:" in bad and f"`first` in {folder}/10-first.yaml:" in bad, bad
    (folder / "15-other.yaml").unlink()
    fine = gatepost.run("check-config", check=0).stdout
    assert "rules.d/*.yaml: fine, 2 rules, 1 test passed" in fine, fine

    def passes(path):
        return check("nginx", uri=path, address=gatepost.gate).status

    gatepost.start()
    try:
        ann = gatepost.sign_up("ann")
        assert (passes("/first/1"), passes("/second/1"), passes("/orders/1")) == (200, 403, 401)
        write("30-second.yaml", [rule("second")])
        until("a file that came counts", 3, lambda: passes("/second/1") == 200)
        shown = {one["id"]: (one["file"], one["line"]) for one in ann.call("GET", "/v1/rules").json["rules"]}
        assert shown["second"] == (f"{folder}/30-second.yaml", 3), shown
        # what does not load with the rest is not taken, and the rest stays
        write("40-bad.yaml", [rule("second")])
        until("it is told", 3, lambda: "`second` is the id of the rule in" in gatepost.said())
        assert (passes("/first/1"), passes("/second/1")) == (200, 200)
        (folder / "40-bad.yaml").unlink()
        (folder / "30-second.yaml").unlink()
        until("a file that went counts no more", 3, lambda: passes("/second/1") == 403)
        assert passes("/first/1") == 200
    finally:
        gatepost.stop()
