"""Whether a shop does what it is there for: asked once and from outside, as a visitor would ask, step by step."""
