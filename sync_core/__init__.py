"""The service itself: rules and plans as pure functions, use cases over ports, adapters at the wires."""
