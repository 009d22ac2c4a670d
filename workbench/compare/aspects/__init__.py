"""One question each, asked of one side or of both."""
