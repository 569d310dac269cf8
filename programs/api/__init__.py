"""The REST API: the same records, scopes, masks, filters and writes as the pages, in JSON.

access.py   who is asking, and whether the view they ask for is open to them
bodies.py   what a JSON body may hold, read strictly; `shapes.py` describes it, for readers and for the schema
records.py  one viewset per registered kind; reading.py: units, kinds, oneself
paging.py   pages and links of lists; errors.py: every refusal as JSON
schema.py   what the OpenAPI description says beyond that

Nothing is imported here: the settings name classes of these modules, and REST framework loads them while it is itself
being loaded.
"""
