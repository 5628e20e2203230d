"""Laws of loss curves: fitted with uncertainty, and used to predict what was not fitted."""
