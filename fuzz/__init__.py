"""Coverage-guided fuzzing of what strangers' octets reach: `make fuzz`."""
