"""What the worker remembers over a restart: where each camera's count stands, and what is not yet delivered.

    <folder>/            0700: whoever can write it can write counts
    ├── lock             held while a worker runs
    ├── state.db         SQLite, with its -wal and -shm beside it
    └── state.db.damaged-<time>…   put aside, where a file was found damaged

One transaction holds a camera's checkpoint, the records of what happened since the one before, and the counts by
time that they add to. After `kill -9` the three agree, whatever was going on. The folder must be on a local disk.
"""

from serving.camera.state.outbox import Batch, SinkBacklog
from serving.camera.state.store import Checkpoint, StateStore

__all__ = ["Batch", "Checkpoint", "SinkBacklog", "StateStore"]
