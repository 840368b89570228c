"""Debian's nginx as the network before pods: new connections go to those it is led to."""

import getpass
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from tests.gunicorn_process import free_port, wait_until
from tests.programs import program

CONFIG = """
daemon off;
user {user};
pid nginx.pid;
events {{}}
http {{
  access_log off;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  scgi_temp_path scgi;
  uwsgi_temp_path uwsgi;
  upstream pods {{ {servers} }}
  server {{
    listen 127.0.0.1:{port};
    location = /pods {{ return 200 "{pods}"; }}
    location / {{
      proxy_pass http://pods;
      proxy_next_upstream off;  # a Service of Kubernetes does not try again, either
    }}
  }}
}}
"""


@contextmanager
def network(folder: Path) -> Iterator[tuple[int, Callable[..., None]]]:
    """The port on which it listens, and what leads it to services, given their ports.

    It listens from the first call on.
    """
    port, config = free_port(), folder / "nginx.conf"
    nginx = program("nginx", "nginx")
    process: subprocess.Popen[bytes] | None = None

    def led_to(pods: str) -> bool:
        try:
            return requests.get(f"http://127.0.0.1:{port}/pods", timeout=60).text == pods
        except requests.ConnectionError:  # it does not listen yet
            return False

    def lead_to(*ports: int) -> None:
        nonlocal process
        pods = ",".join(map(str, ports))
        # Never out of use for a while after a failure: that would hide the next ones.
        servers = " ".join(f"server 127.0.0.1:{pod} max_fails=0;" for pod in ports)
        config.write_text(
            CONFIG.format(user=getpass.getuser(), servers=servers, port=port, pods=pods)
        )
        if process is None:
            process = subprocess.Popen([nginx, "-p", folder, "-c", config, "-e", folder / "log"])
        else:
            process.send_signal(signal.SIGHUP)
        wait_until(lambda: led_to(pods))

    try:
        yield port, lead_to
    finally:
        if process is not None:
            process.terminate()
            process.wait()
