"""Real S3 servers on this machine, each as its own documentation starts it: `make servers-test`."""
