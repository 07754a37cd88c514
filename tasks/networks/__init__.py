"""Networks: dense layers, trained with Keras and run as ONNX graphs.

Belongs here: what selections and detectors that are networks share. Does not belong here: what a
network learns.
"""
