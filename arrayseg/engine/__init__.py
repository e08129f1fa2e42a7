"""The block driver of the losses: value and closed-form gradient, block by block."""
