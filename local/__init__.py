"""The whole system on one machine, for demonstration and tests; never deployed."""
