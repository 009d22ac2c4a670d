"""What can be searched: one row for each product, written by this job alone."""

from __future__ import annotations

# Every repetition and every order of arrival ends the same: the row is made of the product as it is now, and an older
# version never replaces a newer one. A product that is gone took its row along, so that nothing is written.
# `words` is in the shop's schema, and the shop asks with it too. The name counts most in a ranking.
UPSERT = """
insert into product_search (product_id, version, document)
select
    id,
    version,
    setweight(to_tsvector('words', name), 'A')
        || setweight(to_tsvector('words', category), 'B')
        || setweight(to_tsvector('words', description), 'C')
from products
where id = %(product_id)s
on conflict (product_id) do update
set version = excluded.version, document = excluded.document
where product_search.version < excluded.version
"""
