"""The results page: pictures of held-out layouts, their scores, tables and sheets."""
