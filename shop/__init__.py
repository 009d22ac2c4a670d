"""A small web shop: the same code at every stage, its shape chosen by environment variables alone."""
