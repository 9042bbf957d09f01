"""What every A1 node shares: lifecycle, parameters, conversions, QoS, diagnostics, composition."""
