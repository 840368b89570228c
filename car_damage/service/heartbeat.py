"""The worker's heartbeat file for gunicorn, kept in memory because a disk may be full."""

import os
import sys

from gunicorn.config import Config
from gunicorn.workers.workertmp import WorkerTmp


class Heartbeat(WorkerTmp):
    """gunicorn's heartbeat file, but in memory on Linux, because /tmp may be full or read-only."""

    def __init__(self, cfg: Config):
        if sys.platform != "linux":
            super().__init__(cfg)
            return
        self._tmp = os.fdopen(os.memfd_create("heartbeat"), "w+b", 0)
        # Only the owner of a file may set its time.
        if (cfg.uid, cfg.gid) != (os.geteuid(), os.getegid()):
            os.fchown(self.fileno(), cfg.uid, cfg.gid)
