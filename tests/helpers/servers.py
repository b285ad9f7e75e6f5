"""Real servers that hold DVC remotes: OpenSSH's sshd and rclone's S3, on ports of their own, and a line that breaks.

Each raises AbsentError with a reason where its program is not installed.
"""

from __future__ import annotations

import getpass
import os
import secrets
import shutil
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

LOOPBACK = "127.0.0.1"


class AbsentError(Exception):
    """A program that this needs is not installed; the message says how to get it."""


def program(name: str, how: str) -> str:
    """The path of a program, also where users' PATH does not look or beside this Python."""
    places = [str(Path(sys.executable).parent), os.environ["PATH"], "/usr/sbin", "/usr/local/sbin"]
    found = shutil.which(name, path=os.pathsep.join(places))
    if found is None:
        raise AbsentError(f"{name} is not installed; {how} installs it")
    return found


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))
        return int(taken.getsockname()[1])


class Server:
    """A process that listens on a port, until `stop`; what it says goes to server.log in its folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        raise NotImplementedError

    def start(self) -> None:
        log = self.folder / "server.log"
        with log.open("ab") as output:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        end = time.monotonic() + 20
        while True:
            with suppress(ConnectionRefusedError), socket.create_connection((LOOPBACK, self.port), timeout=5):
                return
            assert self.process.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.02)

    def stop(self) -> None:
        """End it; connections that it has served stay with processes of their own, which end with their peers."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


class Ssh(Server):
    """sshd with a host key, a user's key and a configuration of its own; it takes that key and nothing else."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.program = program("sshd", "`apt-get install openssh-server`")
        self.keygen = program("ssh-keygen", "`apt-get install openssh-client`")
        if os.geteuid() == 0:  # Debian makes it when it starts its own sshd
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        self.key = self.new_key("user")
        self.host_key = self.new_key("host")
        (folder / "authorized_keys").write_text(self.key.with_suffix(".pub").read_text())
        (folder / "sshd_config").write_text(f"""
ListenAddress {LOOPBACK}:{self.port}
HostKey {self.host_key}
AuthorizedKeysFile {folder}/authorized_keys
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
MaxStartups 100
Subsystem sftp internal-sftp
""")

    def new_key(self, name: str) -> Path:
        """A new ed25519 key, in place of what had this name."""
        path = self.folder / name
        path.unlink(missing_ok=True)
        command = [self.keygen, "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(path)]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
        return path

    def command(self) -> list[str]:
        return [self.program, "-D", "-e", "-f", str(self.folder / "sshd_config")]

    def known_hosts(self, host: str = LOOPBACK, port: int | None = None) -> str:
        """The line of a known_hosts file that names this server's key."""
        kind, key, *_ = self.host_key.with_suffix(".pub").read_text().split()
        return f"[{host}]:{port or self.port} {kind} {key}\n"

    @property
    def user(self) -> str:
        return getpass.getuser()


class S3(Server):
    """`rclone serve s3` over a folder; its sub-folders are the buckets. It refuses keys as short as `x`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.program = program("rclone", "`make servers`")
        self.data = folder / "data"
        self.data.mkdir()
        self.key_id = secrets.token_hex(10)
        self.secret = secrets.token_hex(20)

    def bucket(self, name: str) -> Path:
        path = self.data / name
        path.mkdir()
        return path

    def command(self) -> list[str]:
        return [
            *(self.program, "serve", "s3", "--config", os.devnull, "--addr", f"{LOOPBACK}:{self.port}"),
            *("--auth-key", f"{self.key_id},{self.secret}", str(self.data)),
        ]

    @property
    def endpoint(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def credentials(self) -> dict[str, str]:
        """As the environment of a command that may use this server."""
        return {"AWS_ACCESS_KEY_ID": self.key_id, "AWS_SECRET_ACCESS_KEY": self.secret}


class Line:
    """A port that leads to another and breaks once so many bytes went there: then all is closed, and nothing listens.

    `mend` makes it whole again.
    """

    def __init__(self, to: int, breaks_after: int) -> None:
        self.to = to
        self.left = breaks_after
        self.port = free_port()
        self.lock = threading.Lock()
        self.broken = threading.Event()
        self.open: list[socket.socket] = []
        self.listen()

    def listen(self) -> None:
        self.listener = socket.create_server((LOOPBACK, self.port))
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()

    def accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            far = socket.create_connection((LOOPBACK, self.to))
            self.open += [near, far]
            for end in (near, far):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.carry, args=(near, far, True), daemon=True).start()
            threading.Thread(target=self.carry, args=(far, near, False), daemon=True).start()

    def carry(self, source: socket.socket, sink: socket.socket, counted: bool) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 14):
                if counted:
                    with self.lock:
                        self.left -= len(data)
                    if self.left < 0:
                        self.cut()
                        return
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def cut(self) -> None:
        """Close everything, as if the server's machine were gone."""
        self.broken.set()
        for end in (self.listener, *self.open):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self.open = []

    def mend(self) -> None:
        """Lead there again, and never break."""
        self.left = sys.maxsize
        self.broken.clear()
        self.listen()
