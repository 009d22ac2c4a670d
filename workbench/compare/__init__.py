"""Two sides of anything that is a template, and what changes between them: pure functions, no AWS, no CDK."""
