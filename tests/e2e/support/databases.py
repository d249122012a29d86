"""PostgreSQL and MariaDB servers of the tests' own: on loopback, with a password, as Gatepost finds them at its users'."""

import glob
import itertools
import os
import re
import shutil
import signal
import subprocess

from . import binaries
from .services import Service, listening

PASSWORD, WRITTEN = "pa:ss/w@rd", "pa%3Ass%2Fw%40rd"


def program(variable, name, package):
    versions = sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"), key=lambda path: [int(n) for n in re.findall(r"\d+", path)])
    found = os.environ.get(variable) or (versions[-1] if versions else None) or shutil.which(name, path=binaries.SEARCH)
    return found or binaries.missing(name, f"apt-get install {package}")


def as_user(user):
    """Neither server runs as root."""
    return ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"] if os.geteuid() == 0 else []


class Server(Service):
    """A database server that can be killed and started again with what it has."""

    def __init__(self, folder, port):
        folder.chmod(0o777)
        # another user runs the server and must reach its folder
        for above in itertools.takewhile(lambda above: above.stat().st_mode & 0o077 == 0, folder.parents):
            above.chmod(0o711)
        self.port = port
        self.user = as_user(self.system_user)
        super().__init__(self.name, self.user + self.made(folder), folder)

    def start(self):
        return super().start(lambda: listening(self.port) and self.answers())

    def kill(self):
        """As a power cut: nothing is shut down."""
        self.process.send_signal(signal.SIGQUIT if self.name == "postgres" else signal.SIGKILL)
        self.process.wait()
        self.forget()

    def answers(self):
        return self.run("SELECT 1").returncode == 0

    def value(self, statement, database="gatepost"):
        done = self.run(statement, database)
        assert done.returncode == 0, done
        return done.stdout.strip()

    def url(self, database="gatepost"):
        return f"{self.scheme}://gatepost:{WRITTEN}@127.0.0.1:{self.port}/{database}"


class Postgres(Server):
    name, scheme, system_user = "postgres", "postgresql", "postgres"

    def made(self, folder):
        postgres = program("GATEPOST_TEST_POSTGRES", "postgres", "postgresql")
        self.client = os.path.join(os.path.dirname(postgres), "psql")
        (folder / "password").write_text(PASSWORD)
        subprocess.run([*self.user, os.path.join(os.path.dirname(postgres), "initdb"), "--no-sync", "--auth=scram-sha-256", "--username=gatepost",
                        f"--pwfile={folder / 'password'}", "--encoding=UTF8", str(folder / "cluster")], cwd=folder, check=True, capture_output=True)
        return [postgres, "-D", str(folder / "cluster"), "-c", "listen_addresses=127.0.0.1", "-p", str(self.port), "-k", str(folder),
                "-c", "fsync=off"]

    def run(self, statement, database="postgres"):
        return subprocess.run([self.client, "-h", "127.0.0.1", "-p", str(self.port), "-U", "gatepost", "-d", database, "-XAtc", statement],
                              env={**os.environ, "PGPASSWORD": PASSWORD}, capture_output=True, text=True)


class MariaDB(Server):
    name, scheme, system_user = "mariadb", "mariadb", "mysql"

    def made(self, folder):
        mariadbd = program("GATEPOST_TEST_MARIADB", "mariadbd", "mariadb-server")
        tables = f"--datadir={folder / 'tables'}"
        subprocess.run([*self.user, binaries.debian("mariadb-install-db"), "--no-defaults", tables, "--skip-test-db"],
                       cwd=folder, check=True, capture_output=True)
        first = folder / "first.sql"
        first.write_text(f"CREATE USER IF NOT EXISTS gatepost@'127.0.0.1' IDENTIFIED BY '{PASSWORD}';\nGRANT ALL ON *.* TO gatepost@'127.0.0.1';\n")
        return [mariadbd, "--no-defaults", tables, "--bind-address=127.0.0.1", f"--port={self.port}", f"--socket={folder / 'socket'}",
                f"--pid-file={folder / 'pid'}", f"--init-file={first}", "--skip-name-resolve", "--innodb-flush-log-at-trx-commit=0"]

    def run(self, statement, database=""):
        return subprocess.run([binaries.debian("mariadb"), "--no-defaults", "-h127.0.0.1", f"-P{self.port}", "-ugatepost", "-NBe", statement, database],
                              env={**os.environ, "MYSQL_PWD": PASSWORD}, capture_output=True, text=True)


SERVERS = {"postgres": Postgres, "mariadb": MariaDB}
