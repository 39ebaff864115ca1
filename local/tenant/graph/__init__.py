"""The calls of Microsoft Graph v1.0 that the simulated tenant answers."""
