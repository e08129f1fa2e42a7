"""The mathematics of the losses: pure Array API, value and closed-form derivative side by side."""
