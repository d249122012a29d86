"""The check itself: CPU time and rate beside bare servers, on one core, and what rules, credentials, stores and many tokens change."""

import time
from statistics import median

from . import peers, question, tokens
from .load import Target, in_turn, slice_of
from .row import compared

TOKEN = [("Authorization", "Bearer TOKEN")]


def rows(options, folder):
    with options.home(folder / "check") as home:
        bare, empty, on_core, nginx = home.bare(), home.bare(204), home.bare("core"), home.nginx_204()
        ten = home.gatepost("ten")
        api_key = ten.sign_up()
        credential = question.credentials(ten.token(api_key))
        targets = [
            Target("bare", bare, question.headers(credential)),
            Target("bare 204", empty, question.headers(credential)),
            Target("bare on a core", on_core, question.headers(credential)),
            Target("nginx 204", nginx, question.headers(credential)),
            Target("opaque", ten, question.headers(credential)),
            Target("anonymous", ten, question.headers(credential, question.OPEN)),
            Target("limited", ten, question.headers(credential, question.LIMITED)),
            Target("api key", ten, question.headers([("X-Api-Key", api_key)])),
        ]
        for name, sections in [("jwt", {"tokens": {"format": "jwt"}}), ("1,000 rules", {"rules": 1000}), ("100,000 rules", {"rules": 100_000})]:
            server = home.gatepost(name.replace(" ", "-"), **({"rules": sections["rules"]} if "rules" in sections else sections), )
            targets.append(Target(name, server, question.headers(question.credentials(server.token()))))
        # what is longer, or stands in another header, costs the reference more, too
        targets += [Target(f"bare, asked as {like.name}", bare, like.asked) for like in targets if like.name in ("jwt", "api key")]
        uncounted = home.gatepost("uncounted", usage={"enabled": False})
        targets.append(Target("uncounted", uncounted, question.headers(question.credentials(uncounted.token()))))
        stored = home.redis()
        server = home.gatepost("redis", tokens={"store": f"redis://127.0.0.1:{stored.port}"})
        one = server.token()
        targets.append(Target("redis", server, question.headers(question.credentials(one))))
        texts = tokens.seeded(stored.port, one, options.zipf_tokens)
        all_once = tokens.written(folder / "all", texts)
        drawn = tokens.written(folder / "drawn", tokens.zipf(texts, options.zipf_draws))
        targets.append(Target("zipf", server, question.headers(TOKEN), drawn))
        # the reference of the Zipf row is asked with the same bytes by the same script
        targets.append(Target("bare zipf", bare, question.headers(TOKEN), drawn))
        for target in targets:
            slice_of(folder, target, 1)
        slice_of(folder, Target("fill", server, question.headers(TOKEN), all_once), options.fill_s, once=True)
        time.sleep(1)
        found = in_turn(targets, options.rounds, lambda target: slice_of(folder, target, options.slice_s))
    cpu = {name: [part.cpu for part in parts] for name, parts in found.items()}
    rate = {name: [part.rate for part in parts] for name, parts in found.items()}

    def beside(name, of, reference, bare="bare hyper, constant 200", **more):
        return compared("check", name, "ns CPU a check", cpu[of], bare, cpu[reference], 
                        more={"checks_a_second": median(rate[of]), "stray_answers": sum(part.stray for part in found[of])}, **more)

    to_empty = beside("opaque token", "opaque", "bare 204", "bare hyper, 204")
    return [
        beside("opaque token", "opaque", "bare", at_most=1.10),
        compared("check", "opaque token, rate on one core", "checks/s", rate["opaque"], "bare hyper, constant 200", rate["bare"]),
        beside("opaque token", "opaque", "bare on a core", "bare hyper, constant 200, served as gates are"),
        to_empty,
        beside("opaque token", "opaque", "nginx 204", "nginx, return 204"),
        beside("anonymous rule", "anonymous", "bare"),
        beside("opaque token, a rate and a quota", "limited", "opaque", "opaque token, no limit", at_most=1.05),
        beside("JWT", "jwt", "bare, asked as jwt", at_most=1.10),
        beside("API key", "api key", "bare, asked as api key", at_most=1.10),
        beside("opaque token, tokens in Redis", "redis", "bare", at_most=1.10),
        beside(f"{options.zipf_tokens:,} tokens by Zipf, in Redis", "zipf", "bare zipf"),
        beside("opaque token, with usage", "opaque", "uncounted", "without usage", at_most=1.05),
        beside("1,000 rules", "1,000 rules", "opaque", "10 rules", at_most=1.10),
        beside("100,000 rules", "100,000 rules", "opaque", "10 rules", at_most=1.10),
        *peers.rows(to_empty.ratio),
    ]
