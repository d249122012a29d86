"""A certificate authority for tests, and what it signs; by the openssl command."""

import subprocess

from . import binaries


class Authority:
    def __init__(self, folder):
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.openssl = binaries.debian("openssl")
        self.cert = folder / "ca.pem"
        self._run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=test authority",
                  "-keyout", "ca.key", "-out", "ca.pem")

    def _run(self, *arguments):
        done = subprocess.run([self.openssl, *map(str, arguments)], cwd=self.folder, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done
        return done.stdout

    def key(self, kind="ec"):
        """A private key as PEM text: `ec` (PKCS#8), `sec1` (with its parameters before it), `rsa` (PKCS#8) or `pkcs1`."""
        return {"ec": lambda: self._run("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
                "sec1": lambda: self._run("ecparam", "-genkey", "-name", "prime256v1"),
                "rsa": lambda: self._run("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"),
                "pkcs1": lambda: self._run("genrsa", "-traditional", "2048")}[kind]()

    def sign(self, key, serial):
        """A certificate for this key and `localhost`, with the authority's own after it."""
        (self.folder / "leaf.key").write_text(key)
        (self.folder / "extensions").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n")
        self._run("req", "-new", "-key", "leaf.key", "-subj", "/CN=localhost", "-out", "leaf.csr")
        self._run("x509", "-req", "-in", "leaf.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-set_serial", serial, "-days", "2",
                  "-extfile", "extensions", "-out", "leaf.pem")
        return (self.folder / "leaf.pem").read_text() + self.cert.read_text()
