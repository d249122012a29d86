"""One of several Gateposts on one database: each has ports of its own."""

from .gate import check
from .gatepost import PASSWORD, Gatepost, call


class Replica(Gatepost):
    is_away = False  # whether something is done to it

    def __init__(self, folder, n, rules, proxy="nginx", **sections):
        self.proxy, self.gate, self.admin_port, self.metrics_port = proxy, 9101 + n, 8100 + n, 9564 + n
        folder.mkdir(exist_ok=True)
        super().__init__(folder, rules, ports={proxy: self.gate}, admin={"listen": f"127.0.0.1:{self.admin_port}"},
                         metrics={"listen": f"127.0.0.1:{self.metrics_port}"}, **sections)

    def ready(self):
        try:
            return call(self.metrics_port, "GET", "/readyz").status == 200
        except OSError:
            return False

    def admin(self, method, path, body=None, token=None, headers=(), source=None):
        headers = {**dict(headers), **({"Authorization": f"Bearer {token}"} if token else {})}
        return call(self.admin_port, method, path, body, headers, timeout=20, source=source)

    def register(self, user, **more):
        return self.admin("POST", "/v1/register", {"user": user, "password": PASSWORD, **more})

    def check(self, headers):
        return check(self.proxy, uri="/orders/1", headers=headers, address=self.gate)
