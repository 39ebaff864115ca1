"""The service itself: rules and plans as pure functions, use cases over ports, adapters at the wires."""

VERSION = "0.1.0"
