"""Microsoft Graph: the port with fake and real adapter, the client and the limits."""
