"""What a running policy does, in rqt or in a window of its own."""
