"""The boxes of the page: each is a function from answers of the API to HTML."""
