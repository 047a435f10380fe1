"""What check_docs.py asks of the documents, one question per module. Each has check(tree), which yields complaints."""
