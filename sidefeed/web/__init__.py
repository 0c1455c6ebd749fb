"""The pages that managers and reps read: `create_app` makes them over one workspace; ``sidefeed serve`` shows them."""

from sidefeed.web.app import create_app

__all__ = ["create_app"]
