"""The models: detectors of several kinds, their tails and thresholds, and the model of them.

Belongs here: fitting and storing a detector, and scoring encoded connections. Does not belong here:
the encoding, the choice of training rows and thresholds, or the reading of batches.
"""
