"""The local world itself."""
