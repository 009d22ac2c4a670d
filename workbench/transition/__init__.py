"""What must hold when an environment moves from one stage to another in place."""
