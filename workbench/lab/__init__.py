"""The stages on one laptop: real servers from wheels, each in a folder of its own, on free ports of the loopback."""
