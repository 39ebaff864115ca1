"""What the service costs and how it scales, measured on this machine beside a plain script; never deployed."""
