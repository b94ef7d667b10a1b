"""The files, scripts and commands that a node is handed, made of its configuration. Pure."""
