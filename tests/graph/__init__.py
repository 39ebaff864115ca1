"""Microsoft Graph: the port with its fake and real adapters, the client and the quota."""
