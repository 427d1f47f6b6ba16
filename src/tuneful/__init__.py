"""tuneful finds the best deep-learning model that a budget can buy, and proves it."""

__version__ = "0.1.0"
