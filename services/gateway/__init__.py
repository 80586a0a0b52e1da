"""The gateway: REST, the conductor, the command line and the embedded cluster."""
