"""Statistics of samples: numbers in, frozen results out; no word of models or workflows."""
