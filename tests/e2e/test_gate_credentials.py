"""What is presented: every form of a credential, and what each is worth."""

from types import SimpleNamespace

import pytest

from support.gate import PORTS, assert_refused, bearer, check
from support.gatepost import Gatepost

RULES = [
    {"id": "open", "path": "/open/**", "access": "anonymous"},
    {"id": "token", "path": "/token/**", "scopes": {"all": ["read"]}},
    {"id": "key", "path": "/key/**", "scopes": {"all": ["read"]}, "credentials": ["api_key"]},
    {"id": "both", "path": "/both/**", "scopes": {"all": ["read"]}, "credentials": ["token", "api_key"]},
    {"id": "login", "path": "/login/**", "credentials": ["jwt"]},
]
JWT_NONE = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJyb290Iiwic2NvcGUiOiJhZG1pbiJ9."
JWT_HS256 = "eyJhbGciOiJIUzI1NiIsInR5cCI6ImF0K2p3dCJ9.eyJzdWIiOiJyb290In0.c2lnbmF0dXJlc2lnbmF0dXJlc2lnbmF0dXJlc2lnbmF0dXI"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with Gatepost(tmp_path_factory.mktemp("gatepost"), RULES) as gatepost:
        alice, bob = gatepost.sign_up("alice"), gatepost.sign_up("bob")
        known = SimpleNamespace(token=alice.token("read"), other=bob.token("read"), second=alice.token("read", "more"), key=alice.api_key,
                                otherkey=bob.api_key, narrow=alice.token("less"))
        login = alice.login()
        known.login, known.refresh = login["token"], login["refresh_token"]
        known.ended = alice.token("read", "ended")
        alice.end("read", "ended")
        yield known


def fill(headers, world):
    return [(name, value.format(**vars(world), none=JWT_NONE, hs256=JWT_HS256, huge="gpt_" + "x" * 60_000)) for name, value in headers]


B, X, K = "Authorization", "X-Authorization", "X-Api-Key"
ALLOWED = {
    "bearer": [(B, "Bearer {token}")],
    "bearer in lower case": [(B, "bearer {token}")],
    "agent": [(X, "Agent {token}")],
    "agent in upper case": [(X, "AGENT {token}")],
    "both carriers agree": [(B, "Bearer {token}"), (X, "Agent {token}")],
    "the application's own scheme beside": [(B, "Basic YTpi"), (X, "Agent {token}")],
    "with the token's own key": [(B, "Bearer {token}"), (K, "{key}")],
    "with a cookie that says nothing": [(B, "Bearer {token}"), ("Cookie", "__Host-gatepost=x")],
}
INVALID = {
    "carriers differ": [(B, "Bearer {token}"), (X, "Agent {second}")],
    "one carrier forged": [(B, "Bearer {token}"), (X, "Agent gpt_forged")],
    "the other carrier forged": [(B, "Bearer gpt_forged"), (X, "Agent {token}")],
    "two lines differ": [(B, "Bearer {token}"), (B, "Bearer {other}")],
    "two lines, one forged": [(B, "Bearer gpt_forged"), (B, "Bearer {token}")],
    "joined with a comma": [(B, "Bearer {token},Bearer {other}")],
    "joined with itself": [(B, "Bearer {token}, Bearer {token}")],
    "two agents differ": [(X, "Agent {token}"), (X, "Agent {other}")],
    "scheme without token": [(B, "Bearer")],
    "scheme and white space": [(B, "Bearer ")],
    "words behind": [(B, "Bearer {token} x")],
    "a comma behind": [(B, "Bearer {token},")],
    "quoted": [(B, 'Bearer "{token}"')],
    "upper case": [(B, "Bearer GPT_{token}")],
    "prefix alone": [(B, "Bearer gpt_")],
    "unknown prefix": [(B, "Bearer gpx_{token}")],
    "no prefix": [(B, "Bearer abc")],
    "huge": [(B, "Bearer {huge}")],
    "not ASCII": [(B, "Bearer gpt_\xff\xfe")],
    "an API key": [(B, "Bearer {key}")],
    "an API key as agent": [(X, "Agent {key}")],
    "a refresh token": [(B, "Bearer {refresh}")],
    "ended": [(B, "Bearer {ended}")],
    "store key": [(B, "Bearer {{gp}}:t:1")],
    "glob": [(B, "Bearer *")],
    "JWT without algorithm": [(B, "Bearer {none}")],
    "JWT of another algorithm": [(B, "Bearer {hs256}")],
    "beside another's key": [(B, "Bearer {token}"), (K, "{otherkey}")],
    "beside a made-up key": [(B, "Bearer {token}"), (K, "gpk_madeup")],
    "beside an empty key": [(B, "Bearer {token}"), (K, "")],
    "beside two keys": [(B, "Bearer {token}"), (K, "{key}"), (K, "{otherkey}")],
}
NONE = {
    "nothing": [],
    "another scheme": [(B, "Basic YTpi")],
    "a tab in the scheme": [(B, "Bearer\t{token}")],
    "a token as user name": [(B, "Basic {token}")],
    "in a query": [],
    "in a cookie": [("Cookie", "__Host-gatepost={token}")],
    "in other headers": [("X-Auth-Token", "{token}"), ("X-Access-Token", "{token}"), ("Token", "{token}"), ("Proxy-Authorization", "Bearer {token}"),
                         ("X-Forwarded-Authorization", "Bearer {token}"), ("X_Authorization", "Agent {token}")],
}


@pytest.mark.parametrize("proxy", PORTS)
@pytest.mark.parametrize("case", ALLOWED)
def test_allowed(world, proxy, case):
    answer = check(proxy, "GET", "/token/a", headers=fill(ALLOWED[case], world))
    assert answer.status == 200, answer
    assert (answer.one("x-auth-user"), answer.one("x-auth-scopes"), answer.one("content-length"), answer.body) == ("alice", "read", "0", b"")


@pytest.mark.parametrize("proxy", PORTS)
@pytest.mark.parametrize("case", INVALID)
def test_invalid(world, proxy, case):
    for path in ("/token/a", "/both/a"):
        answer = check(proxy, "GET", path, headers=fill(INVALID[case], world))
        assert_refused(proxy, answer, "invalid_credential")
        if answer.status != 400:
            assert answer.status == 401 and 'error="invalid_token"' in answer.one("www-authenticate"), answer


@pytest.mark.parametrize("proxy", PORTS)
@pytest.mark.parametrize("case", NONE)
def test_none(world, proxy, case):
    answer = check(proxy, "GET", f"/token/a?access_token={world.token}&token={world.token}&api_key={world.key}", headers=fill(NONE[case], world))
    assert_refused(proxy, answer, "no_credential", "invalid_credential" if "cookie" in case else "no_credential", status=401)
    assert "Bearer realm=" in answer.one("www-authenticate")


@pytest.mark.parametrize("proxy", PORTS)
@pytest.mark.parametrize("path, headers, status, reason", [
    ("/key/a", [(K, "{key}")], 200, None),
    ("/both/a", [(K, "{key}")], 200, None),
    ("/token/a", [(K, "{key}")], 401, "credential_not_accepted"),
    ("/key/a", [(B, "Bearer {token}")], 401, "credential_not_accepted"),
    ("/login/a", [(B, "Bearer {login}")], 200, None),
    ("/token/a", [(B, "Bearer {login}")], 401, "credential_not_accepted"),
    ("/login/a", [(B, "Bearer {token}")], 401, "credential_not_accepted"),
    ("/token/a", [(B, "Bearer {narrow}")], 403, "insufficient_scope"),
    ("/key/a", [(K, "gpk_madeup")], 401, "invalid_credential"),
    ("/key/a", [(K, "")], 401, "invalid_credential"),
    ("/key/a", [(K, "{token}")], 401, "invalid_credential"),
    ("/key/a", [(K, "{key}"), (K, "{otherkey}")], 401, "invalid_credential"),
    ("/key/a", [(K, "{key},{key}")], 401, "invalid_credential"),
    ("/both/a", [(K, "{key}"), (B, "Bearer {ended}")], 401, "invalid_credential"),  # a bad one never falls back to a good one
    ("/both/a", [(K, "{key}"), (X, "Agent gpt_forged")], 401, "invalid_credential"),
    ("/open/a", [(K, "gpk_madeup"), (B, "Bearer gpt_forged"), (X, "Agent x")], 200, None),
])
def test_which_credential_a_rule_takes(world, proxy, path, headers, status, reason):
    answer = check(proxy, "GET", path, headers=fill(headers, world))
    if status == 200:
        assert answer.status == 200, answer
    else:
        assert_refused(proxy, answer, reason, status=status)


@pytest.mark.parametrize("what", ["token", "key"])
def test_one_character_changed_anywhere(world, what):
    secret = getattr(world, what)
    for position in range(len(secret)):
        for other in ("A", "0", "z", "_", "-", "."):
            if secret[position] == other:
                continue
            changed = secret[:position] + other + secret[position + 1:]
            headers = bearer(changed) if what == "token" else [(K, changed)]
            answer = check("nginx", "GET", "/both/a", headers=headers)
            assert (answer.status, answer.reason) == (401, "invalid_credential"), (position, other, answer)
    for changed in (secret[:-1], secret[1:], secret + secret[-1], secret + "A", secret + "=", secret + ".", secret.lower(), secret.upper(), secret * 2, secret[:4] + secret[:3:-1]):
        headers = bearer(changed) if what == "token" else [(K, changed)]
        answer = check("nginx", "GET", "/both/a", headers=headers)
        assert (answer.status, answer.reason) == (401, "invalid_credential"), (changed, answer)


def test_anonymous_routes_carry_empty_identity(world):
    for proxy in PORTS:
        answer = check(proxy, "GET", "/open/a", headers=bearer(world.token))
        identity = [(n.lower(), v) for n, v in answer.headers if n.lower().startswith("x-auth-")]
        assert sorted(identity) == [(n, "") for n in ("x-auth-expires-in", "x-auth-key-id", "x-auth-scopes", "x-auth-tenant", "x-auth-user")]
