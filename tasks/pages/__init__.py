"""Pages: the Jinja environment and the base template of every text that people read.

Belongs here: how a template is opened, how its numbers look, and the style of HTML pages. Does not
belong here: what a page shows; each room keeps its own templates. Imports no other room.
"""
