"""The message bus: hints that wake workers up, and questions to one agent. What is to be done stands in the database."""

from nova_lite.bus.bus import Bus
from nova_lite.bus.catalogue import AGENT, SCHEDULER
from nova_lite.bus.listener import Listener
from nova_lite.bus.waker import Waker

__all__ = ["AGENT", "SCHEDULER", "Bus", "Listener", "Waker"]
