"""MIS feeds: how they are read, and how bad ones are refused."""
