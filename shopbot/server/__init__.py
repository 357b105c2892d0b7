"""Pages for the shop's staff, served by FastAPI. Nothing else of shopbot needs it: `pip install 'shopbot[server]'`."""
