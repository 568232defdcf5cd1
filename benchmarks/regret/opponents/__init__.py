"""What else gives a rate, or a trained model, run with its released package."""
