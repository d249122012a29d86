"""Tokens of other issuers, by a real process that publishes keys and signs: who passes, who does not, and what its outages and rotations do."""

import base64
import hashlib
import json
import os
import re
import threading
import time
import urllib.parse

import pytest

from support import oidc
from support.databases import Postgres
from support.gate import IDENTITY, bearer, check
from support.gatepost import ADMIN, Gatepost, call
from support.issuer import Issuer
from support.replica import Replica
from support.services import until

RULES = [
    {"id": "orders", "path": "/orders", "credentials": ["issuer:corp"], "scopes": {"all": ["orders:read"]}},
    {"id": "tenant", "path": "/tenants/{id}/x", "credentials": ["issuer:corp"], "match": {"id": "subject.tenant"}},
    {"id": "acme", "path": "/acme", "credentials": ["issuer:corp"], "tenants": ["acme"]},
    {"id": "both", "path": "/both", "credentials": ["token", "issuer:corp"]},
    {"id": "partner", "path": "/partner", "credentials": ["issuer:partner"]},
    {"id": "own", "path": "/own"},
]
AUDIENCE = "https://app.example"
METADATA = 'resource_metadata="https://app.example/.well-known/oauth-protected-resource"'


@pytest.fixture(scope="module")
def issuer(tmp_path_factory):
    with Issuer(tmp_path_factory.mktemp("issuer")) as issuer:
        yield issuer


@pytest.fixture(scope="module")
def partner(tmp_path_factory):
    with Issuer(tmp_path_factory.mktemp("partner"), 9411) as partner:
        yield partner


@pytest.fixture(autouse=True)
def well_behaved(issuer):
    issuer.control()


def issuers(issuer, partner=None, keys=None):
    corp = {"name": "corp", "issuer": issuer.address, "audiences": [AUDIENCE], "algorithms": ["RS256", "ES256", "EdDSA"], "tenant_claim": "org.id"}
    other = {"name": "partner", "issuer": partner.address if partner else "partner", "jwks": f"file:{keys or 'keys.json'}", "audiences": [AUDIENCE]}
    return [corp, other]


@pytest.fixture
def house(tmp_path, issuer, partner):
    (tmp_path / "keys.json").write_text(json.dumps(partner.keys()))
    with Gatepost(tmp_path, RULES, issuers=issuers(issuer, partner)).start() as gatepost:
        until("keys are fetched", 10, lambda: passes(issuer.token()))
        yield gatepost


def ask(token, uri="/orders", proxy="nginx"):
    return check(proxy, "GET", uri, headers=bearer(token))


def passes(token, uri="/orders"):
    return ask(token, uri).status == 200


def status(answer):
    """What the client would hear."""
    return 200 if answer.status == 200 else int(answer.one("x-deny-status"))


def signatures(gatepost, result, name="corp"):
    found = re.search(rf'gatepost_issuer_signatures_total{{issuer="{name}",result="{result}"}} (\d+)', gatepost.metrics())
    return int(found[1]) if found else 0


def test_a_token_passes_in_every_dialect_and_is_verified_once(house, issuer):
    token = issuer.token()
    before = signatures(house, "proved")
    for proxy in ("nginx", "traefik", "caddy", "haproxy", "envoy"):
        for _ in range(20):
            answer = ask(token, proxy=proxy)
            assert answer.status == 200, answer
            assert [len(answer.all(name)) for name in IDENTITY] == [1] * 5
    assert (answer.one("x-auth-user"), answer.one("x-auth-scopes"), answer.one("x-auth-tenant")) == ("auth0|7", "orders:read profile", "acme")
    assert answer.one("x-auth-key-id") == "" and 280 <= int(answer.one("x-auth-expires-in")) <= 300
    assert signatures(house, "proved") == before + 1
    assert 'credential="issuer"' in house.metrics()
    for key in ("ES256", "EdDSA"):
        assert passes(issuer.token(key))


def test_rules_hold_for_whoever_comes_from_elsewhere(house, issuer, partner):
    token = issuer.token()
    assert passes(token, "/tenants/acme/x") and passes(token, "/acme") and passes(token, "/both")
    for uri, reason in (("/tenants/other/x", "match_failed"), ("/partner", "credential_not_accepted"), ("/own", "credential_not_accepted")):
        assert ask(token, uri).reason == reason, uri
    stranger = issuer.token(org=None)
    assert ask(stranger, "/acme").reason == "tenant_mismatch" and ask(stranger, "/tenants//x").status != 200
    missing = ask(issuer.token(scope="profile"))
    assert (missing.reason, status(missing)) == ("insufficient_scope", 403)
    assert 'scope="orders:read"' in missing.one("www-authenticate") and METADATA in missing.one("www-authenticate")
    for everything in ("*", "orders:*", ["orders:*"]):
        assert ask(issuer.token(scope=everything)).reason == "insufficient_scope", "a wildcard is not another issuer's to give"
    assert passes(partner.token(), "/partner") and ask(partner.token()).reason == "credential_not_accepted"
    nobody = ask("x")
    assert METADATA in nobody.one("www-authenticate")
    assert METADATA in check("nginx", "GET", "/orders").one("www-authenticate")
    assert "resource_metadata" not in check("nginx", "GET", "/own").one("www-authenticate")
    # our own tokens are what they were
    own = house.sign_up("ann").token()
    assert passes(own, "/own") and passes(own, "/both") and ask(own).reason == "credential_not_accepted"
    beside = check("nginx", "GET", "/orders", headers=[*bearer(token), ("X-Api-Key", house.sign_up("bob").api_key)])
    assert beside.reason == "invalid_credential", "a key of ours belongs to no token of theirs"


def test_what_is_wrong_with_a_token_refuses_it(house, issuer, partner):
    now = int(time.time())
    wrong = {
        "audience": issuer.token(aud="https://other.example"),
        "no audience": issuer.token(aud=None),
        "expired": issuer.token(exp=now - 1),
        "no end": issuer.token(exp=None),
        "later": issuer.token(nbf=now + 600),
        "nobody": issuer.token(sub=None),
        "bound": issuer.token(cnf={"jkt": "x"}),
        "another use": issuer.token(header={"typ": "logout+jwt"}),
        "critical": issuer.token(header={"crit": ["exp"]}),
        "an algorithm that is not taken": issuer.token("ES384"),
        "another key of its name": issuer.token("other"),
        "unsigned": issuer.token("none"),
        "a public key as secret": issuer.token("hs256"),
        "unsigned, called None": issuer.token("none", header={"alg": "None"}),
        "the name of a key of another kind": issuer.token("other", header={"kid": "EdDSA"}),
        "another's signature": partner.token(iss=issuer.address),
    }
    for what, token in wrong.items():
        answer = ask(token)
        assert (answer.reason, status(answer)) == ("invalid_credential", 401), what
        assert 'error="invalid_token"' in answer.one("www-authenticate") and METADATA in answer.one("www-authenticate"), what
    # what looks for a key elsewhere is judged by the issuer's own all the same
    assert ask(issuer.token("other", header={"jku": "http://127.0.0.1:9411/keys", "jwk": partner.keys()["keys"][0]})).reason == "invalid_credential"


def test_a_flood_of_one_forgery_costs_one_signature(house, issuer):
    forged, before = issuer.token("other"), signatures(house, "forged")
    for _ in range(200):
        assert ask(forged).reason == "invalid_credential"
    assert signatures(house, "forged") == before + 1
    assert passes(issuer.token())


def test_where_its_issuer_is_not_taken_a_token_costs_no_signature(house, issuer):
    token, before = issuer.token(), signatures(house, "proved")
    for _ in range(50):
        assert ask(token, "/own").reason == "credential_not_accepted"
    assert signatures(house, "proved") == before


def test_what_is_known_of_a_token_ends_with_it(house, issuer):
    token = issuer.token(exp=int(time.time()) + 3)
    assert passes(token) and passes(token)
    until("it ends", 5, lambda: ask(token).reason == "invalid_credential")


class Load:
    """Asks with a token again and again; what the client would hear, counted."""

    def __init__(self, token):
        self.heard, self.over = {}, threading.Event()
        self.thread = threading.Thread(target=self.run, args=(token,))
        self.thread.start()

    def run(self, token):
        while not self.over.is_set():
            heard = status(ask(token))
            self.heard[heard] = self.heard.get(heard, 0) + 1

    def stop(self):
        self.over.set()
        self.thread.join()
        return self.heard


def test_keys_rotate_under_load(house, issuer):
    old = Load(issuer.token())
    time.sleep(0.2)
    issuer.rotate()
    new = Load(issuer.token())
    until("the new key counts", 10, lambda: new.heard.get(200, 0) > 20)
    heard = new.stop()
    # until it is known, nobody is called a forger
    assert set(heard) <= {200, 503}, heard
    assert set(old.stop()) == {200}
    before = issuer.asked("/keys")
    flood = [issuer.token("other", header={"kid": f"unknown-{n}"}) for n in range(30)]
    assert {status(ask(token)) for token in flood} == {401}
    assert issuer.asked("/keys") == before, "unknown keys are asked for once in five minutes"


def test_a_key_that_is_withdrawn_proves_nothing_any_more(house, partner, tmp_path):
    kept, gone = partner.token("EdDSA"), partner.token("RS256")
    assert passes(kept, "/partner") and passes(gone, "/partner")
    keys = {"keys": [key for key in partner.keys()["keys"] if key["kid"] != "RS256"]}
    (tmp_path / "new.json").write_text(json.dumps(keys))
    os.replace(tmp_path / "new.json", tmp_path / "keys.json")
    until("it is withdrawn", 5, lambda: ask(gone, "/partner").status != 200)
    assert passes(kept, "/partner")
    (tmp_path / "keys.json").write_text("{")
    time.sleep(1.5)
    assert passes(partner.token("EdDSA"), "/partner"), "half a file changes nothing"


def test_an_issuer_that_is_away_keeps_nobody_out(house, issuer):
    known = issuer.token()
    assert passes(known)
    issuer.control(away=True)
    assert passes(known) and passes(issuer.token()), "the keys fetched last go on"
    issuer.rotate()
    for _ in range(5):
        answer = ask(issuer.token())
        assert (answer.reason, status(answer)) == ("store_unavailable", 503), "never called forged"
        time.sleep(0.1)
    late = issuer.token()
    issuer.control()
    until("the new key counts", 10, lambda: passes(late))


def test_rules_are_read_again_with_the_same_issuers(house, issuer):
    token = issuer.token()
    house.write_rules([*RULES, {"id": "more", "path": "/more", "credentials": ["issuer:corp"]}])
    until("the rules are in force", 10, lambda: passes(token, "/more"))
    house.write_rules([*RULES, {"id": "more", "path": "/more", "credentials": ["issuer:nobody"]}])
    until("they are refused", 10, lambda: "gatepost_reload_failed 1" in house.metrics())
    assert passes(token, "/more")


def test_a_limit_holds_for_each_of_them(house, issuer):
    house.write_rules([{"id": "few", "path": "/few", "credentials": ["issuer:corp"], "limit": {"quota": "5/day", "per": "principal"}}])
    ann, bob = issuer.token(sub="ann"), issuer.token(sub="bob")
    until("the rules are in force", 10, lambda: passes(bob, "/few"))
    # other tokens of hers are hers as well
    heard = [status(ask(token, "/few")) for token in (ann, ann, issuer.token(sub="ann"), ann, ann, ann, issuer.token(sub="ann"))]
    assert heard == [200] * 5 + [429] * 2, heard
    assert passes(bob, "/few")


def test_a_start_without_the_issuer(tmp_path, issuer, partner):
    (tmp_path / "keys.json").write_text(json.dumps(partner.keys()))
    issuer.control(away=True)
    with Gatepost(tmp_path, RULES, issuers=issuers(issuer, partner)).start() as gatepost:
        token = issuer.token()
        assert status(ask(token)) == 503
        assert passes(partner.token(), "/partner") and passes(gatepost.sign_up("ann").token(), "/own")
        issuer.control()
        until("keys are fetched", 10, lambda: passes(token))


def test_what_is_denied_is_refused_from_the_answer_on(house, issuer):
    ann = house.sign_up("ann")
    one, other = issuer.token(jti="t1"), issuer.token()
    assert passes(one) and passes(other)
    denied = ann.call("POST", "/v1/issuers/corp/denials", {"jti": "t1"})
    assert (denied.status, denied.json["propagated"]) == (200, True), denied
    assert (ask(one).reason, status(ask(one))) == ("invalid_credential", 401) and passes(other)
    everybody = ann.call("POST", "/v1/issuers/corp/denials?strict=true", {"sub": "auth0|7", "until": int(time.time()) + 600})
    assert everybody.json["strict"] is True
    assert not passes(other) and not passes(issuer.token()) and passes(issuer.token(sub="someone-else"))
    ids = [denial["id"] for denial in ann.call("GET", "/v1/issuers/corp/denials").json["denials"]]
    assert len(ids) == 2
    for denial in ids:
        assert ann.call("DELETE", f"/v1/issuers/corp/denials/{denial}").status == 200
    assert passes(one) and passes(other)
    assert ann.call("GET", "/v1/issuers").json["issuers"][0]["keys"] >= 4


def test_clients_find_their_way(house, issuer):
    challenge = check("nginx", "GET", "/orders").one("www-authenticate")
    path = re.search(r'resource_metadata="https://app.example(/[^"]+)"', challenge)[1]
    document = call(ADMIN, "GET", path, headers={"Host": "app.example"}).json
    assert document == {"resource": AUDIENCE, "authorization_servers": [issuer.address, "http://127.0.0.1:9411/"], "bearer_methods_supported": ["header"]}


def test_explain_tells_what_is_wrong(house, issuer):
    token = issuer.token()
    told = house.run("explain", "GET", "https://app.example/orders", "--token", token, check=0).stdout
    assert told.startswith("allow  200") and "authentic, of another issuer" in told
    told = house.run("explain", "GET", "https://app.example/orders", "--token", issuer.token(aud="x")).stdout
    assert "invalid_credential" in told and "not meant for here (`aud`)" in told
    told = house.run("explain", "GET", "https://app.example/partner", "--credential", "issuer:corp").stdout
    assert "credential_not_accepted" in told
    ann = house.sign_up("ann")
    ann.call("POST", "/v1/issuers/corp/denials", {"sub": "auth0|7"})
    assert "denied here" in house.run("explain", "GET", "https://app.example/orders", "--token", token).stdout
    running = ann.call("POST", "/v1/explain", {"method": "GET", "url": "https://app.example/orders", "token": token}).json["explanation"]
    assert running["decision"] == "deny" and "denied here" in running["credential"]
    assert ann.call("GET", "/v1/rules").json["rules"][0]["credentials"] == ["issuer:corp"]


def id_token(provider, **wrong):
    """An ID token of a provider that people log in at, as its client gets it."""
    provider.control(**wrong)
    verifier = "v" * 43
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    back = {"redirect_uri": f"http://localhost:{ADMIN}/v1/oidc/mock/callback"}
    asked = {"client_id": oidc.CLIENT, "response_type": "code", "scope": "openid", "state": "s", "nonce": "n", "code_challenge": challenge,
             "code_challenge_method": "S256", **back}
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    sent = call(oidc.PORT, "POST", "/oauth2/authorize?" + urllib.parse.urlencode(asked), "sub=ann", form)
    code = urllib.parse.parse_qs(urllib.parse.urlsplit(sent.one("location")).query)["code"][0]
    basic = base64.b64encode(f"{oidc.CLIENT}:{oidc.SECRET}".encode()).decode()
    exchange = {"grant_type": "authorization_code", "code": code, "code_verifier": verifier, **back}
    answer = call(oidc.PORT, "POST", "/oauth2/token", urllib.parse.urlencode(exchange), {**form, "Authorization": f"Basic {basic}"})
    assert answer.status == 200, answer
    return answer.json["id_token"]


def test_a_provider_that_people_log_in_at(tmp_path):
    with oidc.OidcProvider(tmp_path) as provider:
        token = id_token(provider)
        claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
        at = {"name": "provider", "issuer": claims["iss"], "audiences": [oidc.CLIENT]}
        rules = [{"id": "a", "path": "/a", "credentials": ["issuer:provider"]}]
        with Gatepost(tmp_path, rules, issuers=[at]).start():
            until("keys are fetched", 10, lambda: passes(token, "/a"))
            assert ask(token, "/a").one("x-auth-user") == "ann"
            for sign in ("ES256", "EdDSA"):
                assert passes(id_token(provider, sign=sign), "/a"), sign
            for sign in ("none", "hs256", "other", "ES384", "PS256"):
                assert ask(id_token(provider, sign=sign), "/a").reason == "invalid_credential", sign
            for wrong in ({"aud": "another"}, {"exp": 1}, {"iss": "https://other.example"}, {"sub": None}):
                assert ask(id_token(provider, claims=wrong), "/a").reason == "invalid_credential", wrong
            rotated = id_token(provider, sign="rotate")
            until("the new key counts", 10, lambda: passes(rotated, "/a"))
        strict = {**at, "typ": "at+jwt"}
        with Gatepost(tmp_path, rules, issuers=[strict]).start():
            until("an ID token is no access token", 10, lambda: ask(rotated, "/a").reason == "invalid_credential")


def test_a_denial_on_one_replica_is_seen_on_the_other(redis, tmp_path, tmp_path_factory, issuer):
    server = Postgres(tmp_path_factory.mktemp("postgres"), 5493).start()
    server.value("CREATE DATABASE gatepost", "postgres")
    made = []
    try:
        for n in range(2):
            folder = tmp_path / f"replica{n}"
            folder.mkdir()
            sections = {"database": {"env": "DATABASE"}, "tokens": {"store": f"redis://127.0.0.1:{redis.port}"}, "issuers": issuers(issuer)[:1]}
            rules = [{"id": "orders", "path": "/orders/**", "credentials": ["issuer:corp"]}]
            made.append(Replica(folder, n, rules, environment={"DATABASE": server.url()}, **sections).start())
        one, two = made
        founded = one.register("ann").json
        login = one.admin("POST", "/v1/login", headers={"Authorization": "Basic " + base64.b64encode(b"ann:a long enough password").decode()})
        jwt = login.json["jwt"]["token"]
        assert founded["uid"]
        for n in range(5):
            token = issuer.token(jti=f"t{n}")
            for replica in made:
                until("it passes", 10, lambda replica=replica: replica.check(bearer(token)).status == 200)
            answer = one.admin("POST", "/v1/issuers/corp/denials?strict=true", {"jti": f"t{n}"}, token=jwt)
            assert (answer.status, answer.json["strict"]) == (200, True), answer
            for replica in (two, one):
                assert replica.check(bearer(token)).reason == "invalid_credential"
    finally:
        for replica in made:
            replica.stop()
        server.stop()
