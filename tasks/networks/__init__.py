"""Networks: dense layers, trained with Keras and run as ONNX graphs.

Belongs here: what selections and detectors share that are networks. Does not belong here: any one
network.
"""
