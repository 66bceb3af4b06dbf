"""Where records go: files, databases, the prediction log, other people's servers.

Each sink has a thread of its own (`Delivery`), and takes what waits for it in the worker's state, batch by batch.
"""

from serving.camera.sinks.base import Sink
from serving.camera.sinks.delivery import Delivery
from serving.camera.sinks.jsonl import JsonLinesSink
from serving.camera.sinks.settings import SinkSettings, open_sink

__all__ = ["Delivery", "JsonLinesSink", "Sink", "SinkSettings", "open_sink"]
