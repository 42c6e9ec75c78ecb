"""From files to texts to chunks: what is searched."""
