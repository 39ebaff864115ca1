"""The Functions host of the local world: runs a Python v2 function app over Microsoft's own worker runtime."""
