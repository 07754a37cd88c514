"""What flows call: one module a stage, pure functions first, their Prefect tasks at the foot."""
