"""Redis as users run it who must not lose a machine: TLS, users of few rights, Sentinels, a Cluster. With examples/scale-out/redis.conf, and
the users that the page beside it describes."""

import signal
import subprocess

from . import binaries
from .services import Service, until

PAGE = binaries.REPOSITORY / "examples" / "scale-out"
PASSWORD, SENTINELS_PASSWORD = "pa:ss/w@rd", "another one"
WRITTEN, SENTINELS_WRITTEN = "pa%3Ass%2Fw%40rd", "another%20one"
MAX_LAG = 3  # as the file has it
SERVICE = "gate"


def users():
    """The ACL lines of the page: the servers' and the Sentinels'."""
    lines = [line.removeprefix("ACL SETUSER ") for line in (PAGE / "README.md").read_text().splitlines() if line.startswith("ACL SETUSER ")]
    return [line.replace(">PASSWORD", "") .split() for line in lines]


class Node(Service):
    """A redis-server. Its default user may do everything: replication, Sentinels and these tests come as that one."""

    def __init__(self, folder, port, *settings, authority=None, rights=(), tag="gp"):
        folder.mkdir(exist_ok=True)
        self.port, self.authority = port, authority
        own, _ = users()
        # a file of its own: Sentinels have it written anew
        lines = [f"include {PAGE / 'redis.conf'}", "bind 127.0.0.1", f"dir {folder}", 'save ""', "repl-diskless-sync-delay 0", *settings,
                 f"user {' '.join([*own, *rights]).replace('~{gp}:*', f'~{{{tag}}}:*')} >{PASSWORD}"]
        if authority:
            lines += ["port 0", f"tls-port {port}", f"tls-cert-file {authority.leaf}", f"tls-key-file {authority.leaf_key}",
                      f"tls-ca-cert-file {authority.cert}", "tls-replication yes", "tls-cluster yes"]
        else:
            lines.append(f"port {port}")
        file = folder / "redis.conf"
        file.write_text("\n".join(lines) + "\n")
        super().__init__(f"redis{port}", [binaries.debian("redis-server"), str(file)], folder)

    def start(self):
        return super().start(lambda: self.cli("PING") == "PONG")

    def cli(self, *words):
        tls = ["--tls", "--cacert", str(self.authority.cert), "--cert", str(self.authority.leaf), "--key", str(self.authority.leaf_key)] if self.authority else []
        command = [binaries.debian("redis-cli"), "-h", "127.0.0.1", "-p", str(self.port), *tls, *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True, timeout=10).stdout.strip()

    def info(self, field):
        return dict(line.split(":", 1) for line in self.cli("INFO").splitlines() if ":" in line).get(field)

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)


class Sentinel(Service):
    def __init__(self, folder, port, primary):
        folder.mkdir(exist_ok=True)
        self.port = port
        _, own = users()
        file = folder / "sentinel.conf"
        file.write_text(f"""port {port}
bind 127.0.0.1
dir {folder}
user {' '.join(own)} "{'>' + SENTINELS_PASSWORD}"
sentinel monitor {SERVICE} 127.0.0.1 {primary} 2
sentinel down-after-milliseconds {SERVICE} 1000
sentinel failover-timeout {SERVICE} 5000
sentinel parallel-syncs {SERVICE} 2
""")
        super().__init__(f"sentinel{port}", [binaries.debian("redis-server"), str(file), "--sentinel"], folder)

    def start(self):
        return super().start(lambda: self.cli("PING") == "PONG")

    cli = Node.cli
    authority = None


class Watched:
    """A primary and two replicas, watched by three Sentinels."""

    def __init__(self, folder, first=6400):
        folder.mkdir(exist_ok=True)
        ports = [first + n for n in range(3)]
        self.nodes = [Node(folder / str(port), port, *([f"replicaof 127.0.0.1 {first}"] if port != first else []), rights=["+config|get"]) for port in ports]
        self.sentinels = [Sentinel(folder / str(first + n), first + n, first) for n in range(10, 13)]
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        self.url = f"redis+sentinel://gatepost:{WRITTEN}@{hosts}/{SERVICE}?sentinel_user=gatepost&sentinel_password={SENTINELS_WRITTEN}"

    def start(self):
        for node in self.nodes:
            node.start()
        until("replicas follow", 15, lambda: self.nodes[0].info("min_slaves_good_slaves") == "2")
        for sentinel in self.sentinels:
            sentinel.start()
        known = ("num-slaves\n2", "num-other-sentinels\n2")
        until("the Sentinels know each other", 20, lambda: all(all(k in s.cli("SENTINEL", "MASTER", SERVICE) for k in known) for s in self.sentinels), every=0.1)
        return self

    def primary(self):
        return self.primary_but(None)

    def primary_but(self, other):
        return next(node for node in self.nodes if node is not other and node.process.poll() is None and node.info("role") == "master")

    def stop(self):
        for service in (*self.sentinels, *self.nodes):
            if service.process:
                service.process.send_signal(signal.SIGCONT)
                service.kill()


class Cluster:
    """Three primaries with a replica each, by TLS, and one more replica where the keys of Gatepost are: a promoted one needs another to write.
    The keys have a tag of their own."""

    def __init__(self, folder, authority, first=6420):
        folder.mkdir(exist_ok=True)
        settings = ["cluster-enabled yes", "cluster-node-timeout 1500", "cluster-announce-hostname localhost", "cluster-preferred-endpoint-type hostname",
                    "cluster-allow-replica-migration no"]
        self.nodes = [Node(folder / str(port), port, *settings, authority=authority, rights=["+config|get", "+cluster|shards"], tag="shop") for port in range(first, first + 7)]
        hosts = ",".join(f"localhost:{node.port}" for node in self.nodes[:3])
        self.url = (f"rediss+cluster://gatepost:{WRITTEN}@{hosts}?ca={authority.cert}&cert={authority.leaf}&key={authority.leaf_key}&tag=shop")

    def start(self):
        for node in self.nodes:
            node.start()
        ids = [node.cli("CLUSTER", "MYID") for node in self.nodes]
        for node, (low, high) in zip(self.nodes, ((0, 5460), (5461, 10922), (10923, 16383))):
            node.cli("CLUSTER", "ADDSLOTSRANGE", low, high)
        for n, node in enumerate(self.nodes[1:], 1):
            assert node.cli("CLUSTER", "SET-CONFIG-EPOCH", n + 1) == "OK"
            assert self.nodes[0].cli("CLUSTER", "MEET", "127.0.0.1", node.port) == "OK"
        until("the nodes know each other", 20, lambda: all(node.cli("CLUSTER", "NODES").count("connected") == 7 for node in self.nodes), every=0.1)
        # the slot of {shop} is 3808: of the first
        for node, of in ((3, 0), (4, 1), (5, 2), (6, 0)):
            assert self.nodes[node].cli("CLUSTER", "REPLICATE", ids[of]) == "OK"
        until("replicas follow", 20, lambda: [node.info("connected_slaves") for node in self.nodes[:3]] == ["2", "1", "1"]
              and all("cluster_state:ok" in node.cli("CLUSTER", "INFO") for node in self.nodes), every=0.1)
        until("the first may write", 10, lambda: self.nodes[0].info("min_slaves_good_slaves") == "2", every=0.1)
        return self

    def primary(self):
        shard = (self.nodes[0], self.nodes[3], self.nodes[6])
        return next(node for node in shard if node.process.poll() is None and node.info("role") == "master")

    def stop(self):
        for node in self.nodes:
            if node.process:
                node.kill()
