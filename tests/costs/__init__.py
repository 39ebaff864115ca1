"""What things cost, counted exactly."""
