"""Making models: training, hard negatives, distillation."""
