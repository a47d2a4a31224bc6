"""Other runtimes for the same weights: ONNX Runtime and OpenVINO, checked against torch, which is the reference."""
