"""Where blocks live: units of deployment, split by lifetime."""
