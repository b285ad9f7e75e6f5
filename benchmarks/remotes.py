"""The transcript of benchmarks/share.py over each kind of remote, on real servers on this machine's loopback.

    PYTHONPATH=tests/helpers python benchmarks/remotes.py [--out docs/results/share]

The servers are those of tests/helpers/servers.py: OpenSSH's sshd and `rclone serve s3`. Writes NAME.json and NAME.md
a remote.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import servers

ROOT = Path(__file__).parent.parent


def main() -> int:
    """Start the servers, check, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results" / "share")
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        started: list[servers.Server] = []
        try:
            ssh, s3 = servers.Ssh(folder / "ssh"), servers.S3(folder / "s3")
            started = [ssh, s3]
            for server in started:
                server.start()
            s3.bucket("models")
            remotes: dict[str, list[str]] = {
                "folder": [],
                "ssh": [
                    *("--remote", f"ssh://{ssh.user}@{servers.LOOPBACK}:{ssh.port}{folder}/remote"),
                    *("--set", f"keyfile={ssh.key}"),
                ],
                "s3": ["--remote", "s3://models/audit", "--set", f"endpointurl={s3.endpoint}"],
            }
            for name, arguments in remotes.items():
                done = subprocess.run(
                    [sys.executable, str(ROOT / "benchmarks/share.py"), *arguments, "--out", str(out / f"{name}.json")],
                    env={**os.environ, **s3.credentials},
                    stdout=subprocess.PIPE,
                    text=True,
                )
                if done.returncode:
                    return done.returncode
                print(f"{name}:\n{done.stdout}")
                (out / f"{name}.md").write_text(f"```console\n{done.stdout}```\n")
        except servers.AbsentError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        finally:
            for server in started:
                server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
