"""Thin, guarded ways to call the CDK command line: what is checked before, what is refused, what is left after."""


class Refused(Exception):
    """Nothing more is done; the message says why, and what to do about it."""
