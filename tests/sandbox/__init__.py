"""The sandbox: its world, its wire, its webhooks, its server."""
