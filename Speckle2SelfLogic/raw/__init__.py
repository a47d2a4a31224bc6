"""What a scanner has before it makes a B-mode picture: envelopes, IQ and RF, on beams instead of pixels."""
