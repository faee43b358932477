"""SVG drawn by small pure functions; colours and fonts come from the page's style sheet."""
