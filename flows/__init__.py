"""What is deployed: one module per flow, plus the settings and the command line."""
