"""A simulated site: its hosts and their habits, what goes wrong there, and who attacks it.

Belongs here: streams of connection events made from a seed. Does not belong here: the traffic
features (see ``tasks.simulation.traffic``) and the writing of files (see
``tasks.simulation.simulate``).
"""
