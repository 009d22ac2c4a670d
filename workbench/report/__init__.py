"""How answers look: text, markdown and JSON. Layout lives here and nowhere else; only the command imports it."""
