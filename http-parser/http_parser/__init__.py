"""The names that pymesos imports from the distribution http-parser, over h11; nothing else belongs here."""
