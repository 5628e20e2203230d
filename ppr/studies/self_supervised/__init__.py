"""Studies: self supervised."""
