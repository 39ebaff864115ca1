"""Benchmarks: the cost and scaling of the service, compared with a plain script on this machine; never deployed."""
