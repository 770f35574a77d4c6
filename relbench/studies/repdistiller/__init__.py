"""RepDistiller's benchmark of distillation."""
