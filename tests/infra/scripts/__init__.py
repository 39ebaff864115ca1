"""Tests of infra/scripts, each command as its own process, against a directory over sockets."""
