"""Why: what an encoder attended to, and which parts of an item carry its nearness to a query."""
