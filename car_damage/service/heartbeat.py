"""The file by whose time gunicorn sees that a worker lives, without a disk that could be full."""

import os
import sys

from gunicorn.config import Config
from gunicorn.workers.workertmp import WorkerTmp


class Heartbeat(WorkerTmp):
    """gunicorn's own, but in memory where the system can: /tmp may be full or read-only."""

    def __init__(self, cfg: Config):
        if sys.platform != "linux":
            super().__init__(cfg)
            return
        self._tmp = os.fdopen(os.memfd_create("heartbeat"), "w+b", 0)
        if (cfg.uid, cfg.gid) != (os.geteuid(), os.getegid()):  # only its owner may set its time
            os.fchown(self.fileno(), cfg.uid, cfg.gid)
