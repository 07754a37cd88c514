"""What Prefect deploys: one module per flow, and what flows share. ``flows.cli``: the commands."""
