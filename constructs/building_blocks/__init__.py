"""How a part becomes AWS resources: one role a file, each usable alone in any CDK app."""
