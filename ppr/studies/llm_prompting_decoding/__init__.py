"""Studies: llm prompting decoding."""
