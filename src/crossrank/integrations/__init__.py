"""crossrank inside other frameworks: one file each, imported only where it is used."""
