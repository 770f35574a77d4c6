"""Networks of finished runs for other programs: weights, ONNX, and a folder for a hub.

A run's network is written as a file of weights (`weights.py`), as a computation that other programs run
(`computation.py`), or as a folder with both, a configuration and a model card (`hub_folder.py`).
"""
