"""What people do while the nemesis is at work: make something, use it, end it. Each scene is one end of one kind.

A scene makes what it ends anew and gives nothing back. All goes through random replicas; what must succeed is asked again, under a new
name, until it does.
"""

import base64
import http.client
import itertools
import threading
import time
from dataclasses import dataclass, field

from .gate import bearer
from .gatepost import PASSWORD
from .nemesis_history import APPLIED, LATER, NOT_DONE, UNKNOWN, End, now

NUMBERS = itertools.count()
PATIENCE = 30
MADE = (200, 201)
FORM = ("Content-Type", "application/x-www-form-urlencoded")


class Odd(Exception):
    """An answer that no page of the contract foresees here."""


class GaveUp(Exception):
    """Not within PATIENCE, which a run may do when the store is away; the scene is over."""


@dataclass
class Plan:
    """How the scene ends."""

    credentials: list
    method: str
    path: str
    body: object = None
    headers: dict = None  # in place of the founder's login
    again: bool = True  # whether asking again does no harm
    racing: str = None  # a key from which tokens are minted meanwhile, to be ended with the rest
    after: object = None  # called with the JSON of a 200
    keys: list = field(default_factory=list)  # secrets that no token may be minted from afterwards
    told: int = 0  # how many of the credentials the load has been told of


class Desk:
    """One person at work, with a login of the founder."""

    def __init__(self, replicas, history, watch, dice, token):
        self.replicas, self.history, self.watch, self.dice, self.token = replicas, history, watch, dice, token

    def ask(self, method, path, body=None, headers=None, replica=None):
        """The answer, or None where there is none; when it was asked for, and when it had come. `headers`: in place of the founder's login."""
        replica = replica or self.replicas[self.somewhere()]
        # mints from what has ended are guesses, which are counted by network
        source = f"127.{self.dice.randrange(1, 250)}.{self.dice.randrange(250)}.{self.dice.randrange(1, 250)}"
        asked = now()
        try:
            answer = replica.admin(method, path, body, headers=headers if headers is not None else bearer(self.token), source=source)
        except (OSError, http.client.HTTPException):
            answer = None
        return answer, asked, now()

    def somewhere(self):
        """The number of a replica, mostly of one that nothing is done to."""
        numbers = range(len(self.replicas))
        return self.dice.choice([n for n in numbers if not self.replicas[n].is_away or self.dice.random() < 0.1] or numbers)

    def get(self, method, path, body=None, headers=None):
        """The JSON of a success, with its times. `body` may be a function: what is made has a new name each time."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            answer, asked, answered = self.ask(method, path, body() if callable(body) else body, headers)
            if answer and answer.status in MADE:
                return answer.json, asked, answered
            if answer and answer.status != 503:
                raise Odd(f"{method} {path}: {answer}")
            time.sleep(0.05)
        raise GaveUp(f"{method} {path}")

    # What is made ------------------------------------------------------------------------------------------------------

    def name(self):
        return f"n{next(NUMBERS)}"

    def known(self, kind, head, asked, made, losable=False, stage="hot"):
        credential = self.history.made(kind, asked, made, losable, head)
        self.watch(credential.id, head, stage)
        return credential.id

    def mint(self, secret, stage="hot"):
        """A token of its own, and its one scope that no other has."""
        scope = f"n:{next(NUMBERS)}"
        json, asked, answered = self.get("POST", "/get-token", {"api_key": secret, "scopes": ["orders:read", scope]}, {})
        token = json["data"]["auth_token"]
        return self.known("token", bearer(token), asked, answered, True, stage), scope, token

    def tokens(self, secret, most=2):
        return [self.mint(secret)[0] for _ in range(self.dice.randint(1, most))]

    def key(self, asked, answered, secret, stage="hot"):
        return self.known("key", [("X-Api-Key", secret)], asked, answered, stage=stage)

    def client(self, where="clients", stage="hot", **more):
        """Somebody below: uid, API key, and what that is known by."""
        json, asked, answered = self.get("POST", f"/v1/{where}", lambda: {"user": self.name(), **more})
        return json["principal"]["uid"], json["api_key"], self.key(asked, answered, json["api_key"], stage)

    def own_key(self):
        json, asked, answered = self.get("POST", "/v1/keys", {"name": "scene", "scopes": ["orders:read", "n:*"]})
        return json["key"]["id"], json["api_key"], self.key(asked, answered, json["api_key"])

    def policy(self):
        return self.get("POST", "/v1/policies", lambda: {"name": self.name(), "allow": ["orders:read", "n:*"]})[0]["policy"]

    def person(self):
        """Somebody who can log in."""
        name, until = "", time.monotonic() + PATIENCE

        def body():
            nonlocal name
            name = self.name()
            return {"user": name, "password": PASSWORD}

        self.get("POST", "/v1/clients", body)
        return name

    def login(self, name, stage="hot"):
        json, asked, answered = self.get("POST", "/v1/login", headers=basic(name))
        jwt = json["jwt"]
        return jwt, self.known("login", bearer(jwt["token"]), asked, answered, stage=stage)

    # How it ends -------------------------------------------------------------------------------------------------------

    def play(self, kind):
        plan = SCENES[kind](self)
        time.sleep(self.dice.choice((0, 0.1, 0.3, 0.8)) * (0.5 + self.dice.random()))
        strict = kind != "revoke" and self.dice.random() < 0.5
        ended = threading.Event()
        racer = threading.Thread(target=self.race, args=(plan, ended), daemon=True)
        if plan.racing and self.dice.random() < 0.7:
            racer.start()
        outcome = None
        for _ in range(4):
            outcome, json = self.end(kind, plan, strict, outcome)
            if outcome != UNKNOWN or not plan.again:
                break
            time.sleep(0.3)
        ended.set()
        if racer.ident:
            racer.join()
            self.watch.ended(plan.credentials[plan.told:])
        if outcome == APPLIED and plan.after:
            plan.after(json)
        if outcome in (APPLIED, LATER):
            for secret in plan.keys:
                self.refused_mint(kind, secret)

    def end(self, kind, plan, strict, before):
        replica = self.somewhere()
        end = End(kind, replica, plan.credentials, now(), strict)
        self.history.ends.append(end)
        path = end.path = plan.path + ("?strict=true" if strict else "")
        answer, _, answered = self.ask(plan.method, path, plan.body, plan.headers, self.replicas[replica])
        plan.told = len(plan.credentials)
        self.watch.ended(plan.credentials[:plan.told])
        if answer is None or answer.status == 503:
            end.status = answer and answer.status
            return UNKNOWN, None
        end.status = answer.status
        end.outcome, end.answered = self.outcome(kind, answer, strict, before), answered
        end.strictly = end.outcome == APPLIED and strict
        return end.outcome, answer.json if answer.body else None

    def outcome(self, kind, answer, strict, before):
        if answer.status == 404 and before == UNKNOWN:
            return LATER
        said = answer.json
        if kind == "revoke" and answer.status == 200:
            return APPLIED
        if answer.status == 200 and said["propagated"] is True and said.get("strict", False) is strict:
            return APPLIED
        if answer.status == 202 and said["propagated"] is False and "strict" not in said:
            return LATER
        self.history.odd.append(f"end of a {kind}, strict {strict}: {answer}")
        return NOT_DONE

    def race(self, plan, ended):
        """Mints until the end has been answered: those tokens are to be ended as well."""
        while not ended.is_set():
            scope = f"n:{next(NUMBERS)}"
            answer, asked, _ = self.ask("POST", "/get-token", {"api_key": plan.racing, "scopes": ["orders:read", scope]}, {})
            if answer and answer.status == 200:
                plan.credentials.append(self.known("racing token", bearer(answer.json["data"]["auth_token"]), asked, None))
            elif answer and answer.status in (401, 403, 429):
                return
            time.sleep(0.01)

    def refused_mint(self, kind, secret):
        for replica in self.replicas:
            answer, _, _ = self.ask("POST", "/get-token", {"api_key": secret}, {}, replica)
            if answer and answer.status not in (401, 403, 503):
                self.history.odd.append(f"minted from a key after the end of a {kind}: {answer.status}")


def basic(name, password=PASSWORD):
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


# The scenes ------------------------------------------------------------------------------------------------------------

def token(desk):
    uid, secret, _ = desk.client(stage="live")
    desk.mint(secret, "live")  # one that stays
    ending, scope, _ = desk.mint(secret)
    found = desk.get("GET", f"/v1/tokens?limit=1000&principal={uid}")[0]["tokens"]
    [id] = [one["id"] for one in found if scope in one["scopes"]] or [None]
    if id is None:
        raise GaveUp("the token was lost before it could be ended")
    return Plan([ending], "DELETE", f"/v1/tokens/{id}")


def revoke(desk):
    _, secret, _ = desk.client(stage="live")
    ending, _, text = desk.mint(secret)
    return Plan([ending], "POST", "/v1/revoke", f"token={text}", dict([*bearer(desk.token), FORM]))


def key_deleted(desk):
    id, secret, known = desk.own_key()
    return Plan([known, *desk.tokens(secret)], "DELETE", f"/v1/keys/{id}", racing=secret, keys=[secret])


def key_rotated(desk):
    id, secret, known = desk.own_key()
    desk.mint(secret, "live")  # its tokens go on

    def after(json):
        at = now()
        desk.key(at, at, json["api_key"], "live")

    return Plan([known], "POST", f"/v1/keys/{id}/rotate", {}, keys=[secret], after=after)


def key_narrowed(desk):
    id, secret, known = desk.own_key()
    return Plan([known, *desk.tokens(secret)], "PUT", f"/v1/keys/{id}/scopes", {"scopes": ["n:*"]}, racing=secret)


def client_blocked(desk):
    uid, secret, known = desk.client()
    return Plan([known, *desk.tokens(secret)], "PATCH", f"/v1/clients/{uid}", {"blocked": True}, racing=secret, keys=[secret])


def parent_blocked(desk):
    uid, secret, known = desk.client()
    below = [desk.client("sub-clients", parent=uid) for _ in range(2)]
    credentials = [known, *desk.tokens(secret), *[one for _, secret, known in below for one in (known, *desk.tokens(secret))]]
    return Plan(credentials, "PATCH", f"/v1/clients/{uid}", {"blocked": True}, racing=below[0][1], keys=[below[1][1]])


def client_deleted(desk):
    uid, secret, known = desk.client()
    return Plan([known, *desk.tokens(secret)], "DELETE", f"/v1/clients/{uid}", racing=secret, keys=[secret])


def policy_narrowed(desk):
    policy = desk.policy()
    credentials = [one for _, secret, known in [desk.client(policies=[policy["id"]]) for _ in range(2)] for one in (known, *desk.tokens(secret))]
    narrower = desk.dice.choice(({"allow": ["n:*"]}, {"allow": ["orders:read", "n:*"], "deny": ["orders:*"]}))
    return Plan(credentials, "PUT", f"/v1/policies/{policy['id']}", {"name": policy["name"], **narrower})


def policies_replaced(desk):
    policy = desk.policy()
    narrow = desk.get("POST", "/v1/policies", lambda: {"name": desk.name(), "allow": ["n:*"]})[0]["policy"]
    uid, secret, known = desk.client(policies=[policy["id"]])
    return Plan([known, *desk.tokens(secret)], "PATCH", f"/v1/clients/{uid}", {"policies": [narrow["id"]]}, racing=secret)


def session_ended(desk):
    name = desk.person()
    jwt, known = desk.login(name)
    return Plan([known], "DELETE", f"/v1/sessions/{jwt['payload']['sid']}", headers=dict(bearer(jwt["token"])), again=False)


def logged_out(desk):
    name = desk.person()
    jwt, known = desk.login(name)
    desk.login(name, "live")  # one that stays
    return Plan([known], "POST", "/v1/logout", headers=dict(bearer(jwt["refresh_token"])))


def password_changed(desk):
    name = desk.person()
    credentials = [desk.login(name)[1] for _ in range(2)]
    body = {"new_password": "another long password", "kill_sessions": True}
    return Plan(credentials, "POST", "/v1/password/change", body, basic(name), again=False)


def tenant_blocked(desk):
    json, asked, answered = desk.get("POST", "/v1/register", lambda: {"user": desk.name(), "password": PASSWORD}, {})
    secret = json["api_key"]
    known = desk.key(asked, answered, secret)
    tenant = desk.get("GET", f"/v1/admins/{json['uid']}")[0]["principal"]["tenant"]
    return Plan([known, *desk.tokens(secret)], "PATCH", f"/v1/tenants/{tenant}", {"blocked": True}, racing=secret, keys=[secret])


SCENES = {scene.__name__.replace("_", " "): scene for scene in (
    token, revoke, key_deleted, key_rotated, key_narrowed, client_blocked, parent_blocked, client_deleted, policy_narrowed, policies_replaced,
    session_ended, logged_out, password_changed, tenant_blocked)}
DECK = [*SCENES, "token", "token", "key deleted", "key rotated", "client blocked", "policy narrowed"]
