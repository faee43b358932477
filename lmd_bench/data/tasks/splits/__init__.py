"""Published splits: one reader per layout, each giving the images by the name that it lists."""
