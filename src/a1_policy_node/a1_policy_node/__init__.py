"""The policy node: observation in, action chunk out."""
