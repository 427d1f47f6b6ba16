"""One model on many devices: processes that torchrun supervises do the same steps on rows of their own (decision 0008)."""

from tuneful.pipeline.distribute.launch import devices, launch
from tuneful.pipeline.distribute.led import Led, dismissed, follow

__all__ = ["Led", "devices", "dismissed", "follow", "launch"]
