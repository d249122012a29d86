"""Signing in by OpenID Connect, at a real provider process: who comes in, who does not, and what a bad provider achieves."""

import re
import time
import urllib.parse

import pytest

from support.gate import bearer, check
from support.gatepost import Gatepost
from support.oidc import PROVIDER, OidcProvider, mock
from support.visitor import ADMIN, Visitor

RULES = [
    {"id": "base", "path": "/base", "scopes": {"all": ["base"]}},
    {"id": "ops", "path": "/ops", "scopes": {"all": ["ops:read"]}},
]
ACCOUNTS = {"sign_up": "open", "direct_scopes": ["base"], "require_phone": "never"}
VERIFIED = {"email_verified": True}


@pytest.fixture(scope="module")
def provider(tmp_path_factory):
    with OidcProvider(tmp_path_factory.mktemp("provider")) as provider:
        yield provider


@pytest.fixture(autouse=True)
def well_behaved(provider):
    provider.control()


@pytest.fixture
def house(tmp_path, provider):
    """Starts a Gatepost with this provider: `accounts` and `more` of the provider's section are given."""
    made = []

    def start(accounts=ACCOUNTS, **more):
        made.append(Gatepost(tmp_path, RULES, accounts=accounts, environment={"MOCK_SECRET": provider.secret}, oidc={"mock": mock(**more)}))
        return made[-1].start()

    yield start
    for gatepost in made:
        gatepost.stop()


def api_key(page):
    return re.search(r'id="api-key"[^>]*>(gpk_[A-Za-z0-9]+)</code>', page.body.decode())[1]


def assert_refused(answer, status, words):
    assert answer.status == status, answer
    assert words in answer.body.decode(), answer
    assert answer.one("content-type").startswith("text/html")
    assert not any("gatepost-console" in line for line in answer.all("set-cookie"))


def test_sign_up_and_the_same_principal_at_the_second_login(house, provider):
    gatepost = house()
    provider.person("ann", email="ann@example.com", **VERIFIED)
    first = Visitor()
    page = first.sign_in("ann", rd="/somewhere?a=b")
    assert page.status == 200 and b'href="/somewhere?a=b"' in page.body
    uid = first.uid()
    token = gatepost.token(api_key(page))
    allowed = check("nginx", "GET", "/base", headers=bearer(token))
    assert (allowed.status, allowed.one("x-auth-user")) == (200, "ann@example.com")

    second = Visitor()
    answer = second.sign_in("ann", rd="/somewhere")
    assert (answer.status, answer.one("location")) == (303, "/somewhere")
    assert second.uid() == uid
    other = Visitor()
    other.sign_in("bob")
    assert other.uid() not in (uid, None)
    metrics = gatepost.metrics()
    assert 'gatepost_oidc_sign_ins_total{provider="mock",outcome="sign_up"} 2' in metrics
    assert 'gatepost_oidc_sign_ins_total{provider="mock",outcome="login"} 1' in metrics


def test_where_the_way_ends_is_checked(house):
    house()
    for rd in ("https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"):
        answer = Visitor().sign_in("ann", rd=rd)
        assert "evil" not in (answer.one("location") or "") and b"evil" not in answer.body, rd


def test_an_invitation_is_needed_where_the_house_asks_for_one(house, provider):
    gatepost = house({**ACCOUNTS, "sign_up": "first", "direct_scopes": ["*"]})
    founder = gatepost.sign_up("founder")
    answer = founder.call("POST", "/v1/invitations", {"role": "client", "scopes": ["base"]})
    assert answer.status == 201, answer
    code, invitation = answer.json["code"], answer.json["invitation"]["id"]

    ann = Visitor()
    refused = ann.sign_in("ann", rd="/x")
    assert_refused(refused, 403, "You need an invitation")
    assert ann.uid() is None
    form = {"rd": "/x", "invitation": "gpi_wrong"}
    ann.send("POST", "/v1/oidc/mock/login", form)
    assert_refused(ann.sign_in("ann", rd="/x"), 403, "You need an invitation")
    going = ann.send("POST", "/v1/oidc/mock/login", {**form, "invitation": code})
    assert going.status == 200 and code not in str(going.headers) + going.body.decode()
    assert ann.sign_in("ann", rd="/x").status == 200
    principal = founder.call("GET", f"/v1/clients/{ann.uid()}").json["principal"]
    assert (principal["role"], principal["parent"], principal["scopes"]) == ("client", founder.uid, ["base"])
    # it was used up, by the one it let in
    bob = Visitor()
    bob.send("POST", "/v1/oidc/mock/login", {"invitation": code})
    assert_refused(bob.sign_in("bob"), 403, "You need an invitation")
    assert invitation not in [i["id"] for i in founder.call("GET", "/v1/invitations").json["invitations"]]


def test_only_allowed_domains(house, provider):
    house(allowed_domains=["example.com"])
    provider.person("ann", email="ann@example.com", **VERIFIED)
    ann = Visitor()
    assert ann.sign_in("ann").status == 200
    for claims in ({"email": "x@example.org", **VERIFIED}, {"email": "x@example.com"}, {"email": "x@sub.example.com", **VERIFIED}, {}):
        provider.person("x", **claims)
        stranger = Visitor()
        assert_refused(stranger.sign_in("x"), 403, "not one that may come in")
        assert stranger.uid() is None


def test_an_unverified_email_opens_nothing(house, provider):
    gatepost = house(link_verified_email=True)
    answer = gatepost.admin("POST", "/v1/register", {"email": "ann@example.com", "password": "a long enough password"})
    provider.person("mallory", email="ann@example.com", email_verified=False)
    mallory = Visitor()
    assert mallory.sign_in("mallory").status == 200
    assert mallory.uid() not in (answer.json["uid"], None)


def test_a_verified_email_opens_an_account_only_where_that_was_chosen(house, provider):
    gatepost = house()
    provider.person("ann", email="ann@example.com", **VERIFIED)
    provider.person("second-ann", email="ann@example.com", **VERIFIED)
    ann = Visitor()
    ann.sign_in("ann")
    uid = ann.uid()
    assert_refused(Visitor().sign_in("second-ann"), 409, "There is an account with your e-mail address already")
    gatepost.stop()
    house(link_verified_email=True)
    linked = Visitor()
    assert linked.sign_in("second-ann").status == 303
    assert linked.uid() == uid


def test_claims_grant_until_the_next_login_says_otherwise(house, provider):
    gatepost = house({**ACCOUNTS, "sign_up": "first", "direct_scopes": ["*"], "end_users": {"scopes": ["base"]}},
                     grants=[{"claim": "groups", "value": "ops", "policy": "operators"}])
    founder = gatepost.sign_up("founder")
    answer = founder.call("POST", "/v1/policies", {"name": "operators", "allow": ["ops:*"]})
    assert answer.status == 201, answer
    provider.person("ann", groups=["dev", "ops"])
    ann = Visitor()
    assert ann.sign_in("ann").status == 200

    key = ann.console("POST", "/v1/keys", {"scopes": ["base", "ops:read"]})
    assert key.status == 201, key
    token = gatepost.token(key.json["api_key"])

    def may(path):
        return check("nginx", "GET", path, headers=bearer(token)).status

    assert (may("/base"), may("/ops")) == (200, 200)
    provider.person("ann", groups=["dev"])
    assert may("/ops") == 200, "what was granted lasts to the next login"
    assert Visitor().sign_in("ann").status == 303
    assert (may("/base"), may("/ops")) == (200, 403)
    provider.person("ann", groups="ops")
    Visitor().sign_in("ann")
    assert may("/ops") == 200


def test_the_provider_is_asked_silently_and_the_login_page_follows_once(house, provider):
    house()
    ann = Visitor()
    # nobody has logged in here: the login page
    assert ann.get("/login?rd=/x").status == 200
    ann.sign_in("ann")
    uid = ann.uid()
    close_browser(ann)
    assert ann.uid() is None
    # where the provider's session stands, a page that needs a login opens by itself
    assert ann.follow(ann.get("/login?rd=/x"), until="/x").one("location") == "/x"
    assert ann.uid() == uid
    # whoever wants to be asked is asked
    close_browser(ann)
    assert b"Log in with" in ann.get("/login?rd=/x&ask=true").body
    # where it has ended, the login page comes, and from then on at once
    del ann.cookies["127.0.0.1"]
    page = ann.follow(ann.get("/login?rd=/x"))
    assert page.status == 200 and page.url.startswith(f"{ADMIN}/login?") and b"Log in with" in page.body
    assert ann.get("/login?rd=/x").status == 200
    assert ann.uid() is None


def test_a_logout_lasts_though_the_provider_s_session_stands(house, provider):
    house()
    ann = Visitor()
    ann.sign_in("ann")
    log_out(ann)
    assert ann.get("/login?rd=/x").status == 200
    assert ann.uid() is None


def close_browser(visitor):
    """Sessions' cookies go, those with an end of their own stay."""
    for jar in visitor.cookies.values():
        jar.pop("__Host-gatepost-console", None)


def log_out(visitor):
    token = re.search(r'name="token" value="([^"]+)"', visitor.send("GET", "/", headers=[("Accept", "text/html")]).body.decode())[1]
    assert visitor.send("POST", "/logout", {"token": token}).status == 200


def test_whom_the_provider_refuses(house, provider):
    house()
    ann = Visitor()
    page = ann.to_provider()
    back = ann.send("POST", page.url, {"action": "deny"}).one("location")
    assert "error=access_denied" in back
    assert_refused(ann.get(back), 403, "did not log you in")


TENANT, OTHER = "72f988bf-86f1-41af-91ab-2d7cd011db47", "9188040d-6c67-4c5b-b112-36a304b66dad"


def microsoft(tenant, **more):
    """How Microsoft answers for all tenants: its issuer holds a place for the tenant, its keys name theirs."""
    claims = {"iss": f"{PROVIDER}/{tenant}/v2.0", "tid": tenant, "email": "ann@example.com", **more}
    return {"metadata": {"issuer": f"{PROVIDER}/{{tenantid}}/v2.0", "authorization_response_iss_parameter_supported": False},
            "callback": {"iss": None}, "key": {"issuer": f"{PROVIDER}/{{tenantid}}/v2.0"}, "claims": claims}


def test_microsoft_one_address_for_many_tenants(house, provider):
    provider.control(**microsoft(TENANT))
    gatepost = house(issuer=f"{PROVIDER}/common/v2.0", kind="microsoft")

    def shown(visitor):
        return visitor.get("/v1/session").json["session"]["name"]

    ann = Visitor()
    assert ann.sign_in("ann").status == 200
    assert shown(ann) == ann.uid(), "its e-mail counts only with xms_edov"
    # the same subject in another tenant is somebody else
    provider.control(**microsoft(OTHER, xms_edov=True))
    other = Visitor()
    assert other.sign_in("ann").status == 200
    assert other.uid() != ann.uid() and shown(other) == "ann@example.com"
    for wrong in ({"tid": OTHER}, {"tid": None}, {"tid": "common"}, {"iss": f"{PROVIDER}/{OTHER}/v2.0"}, {"iss": PROVIDER}):
        provider.control(**microsoft(TENANT, **wrong))
        assert_refused(Visitor().sign_in("ann"), 403, "Nobody was logged in")
    provider.control(**{**microsoft(TENANT), "callback": {"iss": f"{PROVIDER}/evil/v2.0"}})
    assert_refused(Visitor().sign_in("ann"), 403, "Nobody was logged in")
    gatepost.stop()
    # a key of one tenant signs for no other
    provider.control(**{**microsoft(TENANT), "key": {"issuer": f"{PROVIDER}/{OTHER}/v2.0"}})
    house(issuer=f"{PROVIDER}/common/v2.0", kind="microsoft")
    assert_refused(Visitor().sign_in("ann"), 403, "Nobody was logged in")


def test_google_knows_organisations(house, provider):
    house(kind="google", allowed_domains=["example.com"])
    provider.person("ann", email="ann@example.com", hd="example.com", **VERIFIED)
    assert Visitor().sign_in("ann").status == 200
    provider.person("former", email="former@example.com", **VERIFIED)
    assert_refused(Visitor().sign_in("former"), 403, "not one that may come in")


def test_a_provider_that_is_away(tmp_path, provider):
    provider.stop()
    try:
        with Gatepost(tmp_path, RULES, accounts=ACCOUNTS, environment={"MOCK_SECRET": provider.secret}, oidc={"mock": mock()}) as gatepost:
            began = time.monotonic()
            assert_refused(Visitor().get("/v1/oidc/mock/login"), 503, "cannot be reached")
            assert time.monotonic() - began < 2
            gatepost.sign_up("ann")  # nobody else is kept from anything
            time.sleep(5.1)
            provider.start()
            assert Visitor().sign_in("bob").status == 200
            # what is known of it serves while it is away again
            provider.stop()
            assert Visitor().get("/v1/oidc/mock/login").status == 303
    finally:
        provider.start()


def test_a_provider_that_says_it_is_another(tmp_path, provider):
    provider.control(metadata={"issuer": "https://evil.example"})
    with Gatepost(tmp_path, RULES, accounts=ACCOUNTS, environment={"MOCK_SECRET": provider.secret}, oidc={"mock": mock()}) as gatepost:
        assert_refused(Visitor().get("/v1/oidc/mock/login"), 503, "cannot be reached")
        assert "write that as its `issuer`" in gatepost.said()


# what goes wrong, and why we say so in the log
TAMPERED = {
    "wrong nonce": ({"claims": {"nonce": "another"}}, "nonce mismatch"),
    "no nonce": ({"claims": {"nonce": None}}, "missing nonce claim"),
    "wrong audience": ({"claims": {"aud": "another"}}, "Invalid audiences: must contain"),
    "another audience besides": ({"claims": {"aud": ["gatepost", "another"]}}, "is not a trusted audience"),
    "no audience": ({"claims": {"aud": None}}, "Invalid audiences: must contain"),
    "another authorized party": ({"claims": {"azp": "another"}}, "`azp` is another client"),
    "expired": ({"claims": {"exp": int(time.time()) - 5}}, "ID token expired"),
    "without end": ({"claims": {"exp": None}}, "missing field `exp`"),
    "from the future": ({"claims": {"iat": int(time.time()) + 3600}}, "issued in the future"),
    "not yet": ({"claims": {"nbf": int(time.time()) + 3600}}, "`nbf` lies in the future"),
    "older than the sign-in": ({"claims": {"iat": int(time.time()) - 3600}}, "issued before the sign-in began"),
    "wrong issuer": ({"claims": {"iss": "http://127.0.0.1:9401"}}, "Invalid issuer"),
    "issuer with a slash more": ({"claims": {"iss": f"{PROVIDER}/"}}, "Invalid issuer"),
    "no issuer": ({"claims": {"iss": None}}, "missing field `iss`"),
    "no subject": ({"claims": {"sub": None}}, "missing field `sub`"),
    "empty subject": ({"claims": {"sub": ""}}, "no subject of"),
    "endless subject": ({"claims": {"sub": "x" * 300}}, "no subject of"),
    "alg none": ({"sign": "none"}, "No signature found"),
    "HS256 with the public key": ({"sign": "hs256"}, "algorithm `HS256` is not one of"),
    "signed by somebody else": ({"sign": "other"}, "bad signature"),
    "an algorithm we do not take": ({"sign": "ES384", "claims": {"at_hash": None}}, "algorithm `ES384` is not one of"),
    "another one": ({"sign": "RS512", "claims": {"at_hash": None}}, "algorithm `RS512` is not one of"),
    "wrong at_hash": ({"claims": {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}}, "`at_hash` does not fit"),
    "wrong c_hash": ({"claims": {"c_hash": "AAAAAAAAAAAAAAAAAAAAAA"}}, "`c_hash` does not fit"),
    "another iss in the callback": ({"callback": {"iss": "http://127.0.0.1:9401"}}, "is not this provider's"),
    "no iss in the callback, though promised": ({"callback": {"iss": None}}, "has no `iss`"),
    "no code": ({"callback": {"code": None}}, "neither `code` nor `error`"),
    "an error to be shown": ({"callback": {"error": "<script>alert(1)</script>", "error_description": "<script>"}}, "it answered `<script>"),
}


@pytest.fixture(scope="module")
def open_house(tmp_path_factory, provider):
    provider.control()
    folder = tmp_path_factory.mktemp("open")
    with Gatepost(folder, RULES, accounts=ACCOUNTS, environment={"MOCK_SECRET": provider.secret}, oidc={"mock": mock()}) as gatepost:
        Visitor().sign_in("somebody")
        yield gatepost


@pytest.mark.parametrize(("wrong", "cause"), TAMPERED.values(), ids=TAMPERED.keys())
def test_an_answer_that_is_not_as_it_must_be_logs_nobody_in(open_house, provider, wrong, cause):
    provider.control(**wrong)
    before = len(open_house.log.read_text())
    visitor = Visitor()
    answer = visitor.sign_in("ann")
    assert_refused(answer, 403, "Nobody was logged in")
    assert b"script" not in answer.body
    assert visitor.uid() is None
    assert cause in open_house.log.read_text()[before:]
    provider.control()
    assert visitor.sign_in("ann").status in (200, 303)


def test_what_else_an_id_token_may_say(open_house, provider):
    for claims in ({"aud": ["gatepost"]}, {"azp": "gatepost"}, {"iat": int(time.time()) + 30}, {"email_verified": "true", "email": "z@example.com"}):
        provider.control(claims=claims)
        assert Visitor().sign_in("zoe").status in (200, 303), claims
    for algorithm in ("ES256", "EdDSA", "PS256"):
        provider.control(sign=algorithm, claims={"at_hash": None})
        assert Visitor().sign_in("zoe").status == 303, algorithm


def test_a_sign_in_is_over_at_its_first_use(open_house):
    ann = Visitor()
    back = ann.back(ann.to_provider(), "ann").one("location")
    assert ann.get(back).status in (200, 303)
    assert_refused(ann.get(back), 400, "not under way in this browser")


def test_a_sign_in_belongs_to_its_browser(open_house):
    ann, mallory = Visitor(), Visitor()
    back = mallory.back(mallory.to_provider(), "mallory").one("location")
    # login CSRF: ann is made to finish what mallory began, with a sign-in of her own under way or without
    assert_refused(ann.get(back), 400, "not under way in this browser")
    ann.to_provider()
    assert_refused(ann.get(back), 400, "not under way in this browser")
    assert ann.uid() is None
    # and that ended it, for mallory, too
    assert_refused(mallory.get(back), 400, "not under way in this browser")


@pytest.mark.parametrize("pkce", [True, False], ids=["the provider checks PKCE", "it does not"])
def test_another_persons_code_is_worth_nothing(open_house, provider, pkce):
    provider.control(pkce=pkce)
    ann, mallory = Visitor(), Visitor()
    stolen = query(ann.back(ann.to_provider(), "ann").one("location"))["code"]
    back = mallory.back(mallory.to_provider(), "mallory").one("location")
    parts = urllib.parse.urlsplit(back)
    injected = parts._replace(query=urllib.parse.urlencode({**query(back), "code": stolen})).geturl()
    answer = mallory.get(injected)
    assert_refused(answer, 403, "Nobody was logged in")
    assert b"pkce" not in answer.body
    assert mallory.uid() is None


def query(url):
    return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))


@pytest.mark.parametrize("missing", ["state", "code"])
def test_a_callback_that_lacks_something(open_house, missing):
    ann = Visitor()
    back = ann.back(ann.to_provider(), "ann").one("location")
    parts = urllib.parse.urlsplit(back)
    kept = {name: value for name, value in query(back).items() if name != missing}
    answer = ann.get(parts._replace(query=urllib.parse.urlencode(kept)).geturl())
    assert answer.status == {"state": 400, "code": 403}[missing]
    assert ann.uid() is None


def test_what_the_provider_is_told(open_house):
    asked = query(Visitor().get("/v1/oidc/mock/login").one("location"))
    assert asked["redirect_uri"] == "http://localhost:8000/v1/oidc/mock/callback"
    assert (asked["response_type"], asked["code_challenge_method"], asked["client_id"]) == ("code", "S256", "gatepost")
    assert sorted(asked["scope"].split()) == ["email", "openid", "profile"]
    assert all(len(asked[name]) == 43 for name in ("state", "nonce", "code_challenge"))
    again = query(Visitor().get("/v1/oidc/mock/login").one("location"))
    assert all(again[name] != asked[name] for name in ("state", "nonce", "code_challenge"))


def test_a_new_key_of_the_provider_is_fetched_once(open_house, provider):
    provider.control(sign="rotate")
    assert Visitor().sign_in("ann").status in (200, 303)
    before = provider.asked("/jwks")
    provider.control(sign="rotate")
    for _ in range(3):
        assert_refused(Visitor().sign_in("ann"), 403, "Nobody was logged in")
    assert provider.asked("/jwks") == before, "an unknown key makes us ask once in five minutes"
