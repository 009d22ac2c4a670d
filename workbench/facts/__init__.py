"""What is true of AWS whoever deploys what: every row with its source, every file dated."""
