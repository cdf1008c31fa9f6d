"""A real HAProxy and a real nginx, with the configuration that `deploy/` ships, and the processes that drive them."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from urllib.request import urlopen

from deploy import apt
from tests.conftest import ROOT, free_port
from tests.e2e.pipeline import wait_for


class Proxy:
    """One proxy of the service ``chat``, its configuration in a folder.

    Parameters
    ----------
    folder : for configuration, socket, map and logs.
    ports : of the backends by version.
    """

    kind = ""

    def __init__(self, folder: Path, ports: Mapping[str, int]) -> None:
        self.folder, self.port = folder, free_port()
        self._ports = ports
        self._process: subprocess.Popen[bytes] | None = None
        self.prepare()

    def prepare(self) -> None:
        """Write the configuration."""
        raise NotImplementedError

    def command(self) -> list[str]:
        """What runs it in the foreground."""
        raise NotImplementedError

    def driver(self) -> list[str]:
        """The arguments of `serinus` that drive it."""
        raise NotImplementedError

    def reload(self) -> None:
        """As its service manager does."""
        raise NotImplementedError

    def await_configuration(self) -> None:
        """Until it can start; its driver may have to write something."""

    def start(self) -> None:
        with (self.folder / "proxy.log").open("ab") as log:
            self._process = subprocess.Popen(self.command(), stdout=log, stderr=log, start_new_session=True)
        wait_for(self._answers, 10, what=f"{self.kind} answers", dump=(self.folder / "proxy.log").read_text)

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)

    def kill(self) -> None:
        """`kill -9` of all its processes: nginx' workers would go on without their master."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(10)

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def _answers(self) -> bool:
        try:
            with urlopen(f"http://127.0.0.1:{self.port}/", timeout=2):
                return True
        except OSError:
            return False

    def _example(self, changes: Mapping[str, str]) -> str:
        """The shipped configuration with this proxy's ports and paths; each of them must be in it."""
        name = {"haproxy": "haproxy/haproxy.cfg", "nginx": "nginx/nginx.conf"}[self.kind]
        text = (ROOT / "deploy" / name).read_text(encoding="utf-8")
        ports = {"127.0.0.1:8080": self.port, "127.0.0.1:9001": self._ports["v1"], "127.0.0.1:9002": self._ports["v2"]}
        for old, new in [*changes.items(), *((old, f"127.0.0.1:{port}") for old, port in ports.items())]:
            assert old in text, old
            text = text.replace(old, new)
        return text


class HAProxy(Proxy):
    """The exact router: the same buckets as the client library."""

    kind = "haproxy"

    def prepare(self) -> None:
        self.socket, self.map = self.folder / "api.sock", self.folder / "chat.map"
        self.map.touch()
        text = self._example(
            {
                "/run/haproxy/admin.sock": str(self.socket),
                "/etc/haproxy/serinus.lua": str(ROOT / "deploy/haproxy/serinus.lua"),
                "/etc/haproxy/serinus-chat.map": str(self.map),
            }
        )
        (self.folder / "haproxy.cfg").write_text(text, encoding="utf-8")

    def command(self) -> list[str]:
        return [apt.program("haproxy", "haproxy"), "-W", "-f", str(self.folder / "haproxy.cfg")]

    def driver(self) -> list[str]:
        return ["route", "haproxy", "chat", "--fallback", "v1", "--socket", str(self.socket), "--map", str(self.map)]

    def reload(self) -> None:
        self.signal(signal.SIGUSR2)


class Nginx(Proxy):
    """The router with a hash of its own."""

    kind = "nginx"

    def prepare(self) -> None:
        self.file = self.folder / "chat.conf"
        temporary = "".join(
            f"    {name}_temp_path {self.folder}/{name};\n"
            for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        text = self._example(
            {
                "/run/nginx.pid": str(self.folder / "nginx.pid"),
                "/var/log/nginx/error.log": str(self.folder / "error.log"),
                "/etc/nginx/serinus-chat.conf": str(self.file),
                "http {\n": f"http {{\n{temporary}",
                "worker_processes auto;": "worker_processes 2;",
            }
        )
        (self.folder / "nginx.conf").write_text(text, encoding="utf-8")

    def await_configuration(self) -> None:
        wait_for(self.file.exists, 20, what="the driver writes the baseline first")

    def words(self) -> list[str]:
        """The command that is this nginx."""
        return [apt.program("nginx", "nginx"), "-p", str(self.folder), "-c", str(self.folder / "nginx.conf")]

    def command(self) -> list[str]:
        return [*self.words(), "-g", "daemon off;"]

    def driver(self) -> list[str]:
        command = " ".join(self.words())
        return ["route", "nginx", "chat", "--fallback", "v1", "--file", str(self.file), "--nginx", command]

    def reload(self) -> None:
        self.signal(signal.SIGHUP)


PROXIES: dict[str, type[Proxy]] = {"haproxy": HAProxy, "nginx": Nginx}
