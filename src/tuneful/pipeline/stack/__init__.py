"""many trials of one shape trained at once as one tensor program"""

from tuneful.pipeline.stack.signature import apart, signature, unfit
from tuneful.pipeline.stack.stack import Stack

__all__ = ["Stack", "apart", "signature", "unfit"]
