"""The page `/`: HTML from the server, complete without JavaScript; boxes/ has one file a box, in the order shown."""
