"""crossrank: score and rank query-document pairs with cross-encoders."""
