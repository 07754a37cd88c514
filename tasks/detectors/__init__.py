"""The models: detectors of several kinds, their tails, and the model that joins them.

Belongs here: what scores encoded connections, how it is fitted and stored. Does not belong here:
the encoding, the choice of training rows and thresholds, or the reading of batches.
"""
