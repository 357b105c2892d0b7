"""From a shopper's words to rows of the catalog; `shopbot.catalog` is the front of it.

The way of a question, and where its parts lie:

    tokens      words and measures with their places
    operators   money bounds, cheapest, in stock, how many: blanked out of the text
    scan        the rest, cut into places that name something of the catalog (vocabulary), mended where misspelt
    things      which thing is meant: a named product, or a kind            (kinship: by another word for it)
    narrowing   what narrows it: options, brands, words, what must not be
    asking      what is asked of it: price, stock, options, one property
    query       the result: a ProductQuery
    constraints the query as masks over the rows, dropped from the weakest on where no row fits them all

No word list of one shop is here. `shopbot/words.toml` holds words of the language: what to pass over, units, colours.
"""
